"""Means, intervals and comparisons of attacks, for any images and any number of networks.

Values are (networks, images), NaN where an image was not attacked or a measure is not defined.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from rightreasons.attacks import AttributionAttackResult, Status
from rightreasons.metrics import lens, mass_centre_shift, spearman, topk_intersection

Row = dict[str, Any]
Results = list[AttributionAttackResult]
"""One for each network, on the same images."""

RESAMPLES = 2000
TOLERANCE = 0.06
CENTRE = "centre shift"


def measures(clean: Tensor, maps: Tensor, k: int, window: int, *, rolled: bool = False) -> dict[str, Tensor]:
    """Every measure of every image, (images,); `rolled` maps are other images', one of which is the image's own."""
    near = lens(clean, maps, k, window, adjust="unrelated")
    level = lens(clean, clean, k, window).chance if rolled else near.chance
    return {
        "top-k": topk_intersection(clean, maps, k),
        "LENS": near.observed,
        "LENS uniform": lens(clean, maps, k, window, adjust="uniform").adjusted,
        "LENS unrelated": ((near.observed - level) / (1 - level)).masked_fill(level > 0.99, torch.nan),
        "Spearman": spearman(clean, maps),
        CENTRE: mass_centre_shift(clean, maps),
    }


def measured(
    results: Results,
    k: int,
    window: int,
    other: Callable[[Tensor], Tensor] | None = None,
    *,
    rolled: bool = False,
) -> dict[str, Tensor]:
    """The same of every network, (networks, images), of attacked maps or of `other(clean maps)`.

    A failed attack counts at its clean value.
    """
    table: dict[str, list[Tensor]] = {}
    for result in results:
        attacked = ~result.rows(Status.EXCLUDED)
        clean = result.clean_maps[attacked]
        maps = result.maps[attacked] if other is None else other(clean)
        for name, value in measures(clean, maps, k, window, rolled=rolled).items():
            row = torch.full((len(attacked),), torch.nan, dtype=value.dtype)
            row[attacked] = value
            table.setdefault(name, []).append(row)
    return {name: torch.stack(rows) for name, rows in table.items()}


def summary(values: Tensor) -> Row:
    """Mean, 95 % percentile bootstrap over images (all networks of an image together), mean of each network."""
    row: Row = {"mean": float(values.nanmean()), "interval": interval(values, torch.nanmean)}
    return row | {"networks": values.nanmean(1).tolist()} if len(values) > 1 else row


def interval(values: Tensor, statistic: Callable[[Tensor], Tensor]) -> list[float]:
    """Of a statistic of values (..., images), images drawn with replacement."""
    generator = torch.Generator().manual_seed(0)
    picks = torch.randint(values.shape[-1], (RESAMPLES, values.shape[-1]), generator=generator)
    found = torch.stack([statistic(values[..., pick].double()) for pick in picks])
    return found.nanquantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()


def described(results: Results, k: int, window: int) -> Row:
    """An attack in numbers, failures apart."""
    attacked = sum(result.summary.attacked for result in results)
    failed = sum(result.summary.attacked * result.summary.failure_rate for result in results)
    return {
        "attacked": attacked,
        "failure rate": failed / attacked,
        **{name: summary(value) for name, value in measured(results, k, window).items()},
        "evaluations": sum(sum(result.evaluations) for result in results) / attacked,
    }


def controls(results: Results, k: int, window: int) -> dict[str, Row]:
    """Maps that have nothing to do with the image: white noise, and the map of the next image."""

    def noise(clean: Tensor) -> Tensor:
        return torch.rand(clean.shape, generator=torch.Generator().manual_seed(0))

    def another(clean: Tensor) -> Tensor:
        return clean.roll(1, 0)

    return {
        "white noise": _summaries(measured(results, k, window, noise)),
        "another image's map": _summaries(measured(results, k, window, another, rolled=True)),
    }


def _summaries(values: Mapping[str, Tensor]) -> Row:
    return {measure: summary(value) for measure, value in values.items()}


def separations(found: Mapping[str, Results], attacks: list[str], k: int, window: int) -> dict[str, Row]:
    """How well each measure tells an attack from noise: the published walk, and corners of the ball."""
    return {
        "separation": separation(found, "random", attacks, k, window),
        "separation from corners": separation(found, "random corners", attacks, k, window),
    }


def separation(
    found: Mapping[str, Results], control: str, attacks: list[str], k: int, window: int
) -> dict[str, Row]:
    """How well each measure tells an attack from a random perturbation of the same image, in the same ball.

    further: share of pairs in which the attacked map is further from the clean one; ties count half.
    gap: mean paired difference in units of its standard deviation.
    gap less top-k's: the difference of two such gaps, on the same images.
    """
    before = measured(found[control], k, window)
    table = {}
    for name in attacks:
        after = measured(found[name], k, window)
        signs = {measure: -1.0 if measure == CENTRE else 1.0 for measure in after}
        gaps = {measure: signs[measure] * (before[measure] - after[measure]) for measure in after}
        table[name] = {}
        for measure, gap in gaps.items():
            wins = torch.where(gap.isnan(), torch.nan, (gap > 0).float() + 0.5 * (gap == 0).float())
            both = torch.stack([gap, gaps["top-k"]])
            table[name][measure] = {
                "further": float(wins.nanmean()),
                "gap": float(standardised(gap)),
                "gap interval": interval(gap, standardised),
                "gap less top-k's": interval(
                    both, lambda pair: standardised(pair[0]) - standardised(pair[1])
                ),
            }
    return table


def standardised(gap: Tensor) -> Tensor:
    """Mean over standard deviation."""
    gap = gap[gap.isfinite()]
    return gap.mean() / gap.std()


def compared(arms: Mapping[str, Results], default: str) -> dict[str, Row]:
    """The measure of each arm after its attack, and the paired difference to the default."""
    table, reference = {}, _after(arms[default])
    for name, results in arms.items():
        better = sum(int(result.rows(Status.BETTER).sum()) for result in results)
        table[name] = {
            "after": summary(_after(results)),
            "minus the default": summary(_after(results) - reference),
            "failure rate": 1 - better / sum(result.summary.attacked for result in results),
        }
    return table


def _after(results: Results) -> Tensor:
    return torch.stack([r.after.masked_fill(r.rows(Status.EXCLUDED), torch.nan) for r in results])


def rounded(table: Any) -> Any:
    """Three digits behind the point."""
    if isinstance(table, dict):
        return {key: rounded(value) for key, value in table.items()}
    if isinstance(table, list):
        return [rounded(value) for value in table]
    return round(table, 3) if isinstance(table, float) else table


def differences(found: Any, expected: Any, path: str = "") -> list[str]:
    """Means further apart than the tolerance; counts, shifts and gaps may differ by a fifth."""
    if isinstance(expected, dict):
        return [line for key in expected for line in differences(found[key], expected[key], f"{path}/{key}")]
    if isinstance(expected, list):
        return []  # intervals and single networks: the means say it
    relative = any(word in path for word in ("evaluations", "shift", "gap"))
    allowed = 0.2 * abs(expected) + 0.3 if relative else TOLERANCE
    return [] if math.isclose(found, expected, abs_tol=allowed) else [f"{path}: {found}, expected {expected}"]
