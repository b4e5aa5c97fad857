"""Robustness of explanations under attack, beside random perturbations and unrelated maps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import inf
from typing import Any, final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.attacks import AttributionAttack, AttributionAttackResult, RandomSign, Status
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core.model._guard import Model
from rightreasons.core.model._memory import within_memory
from rightreasons.metrics import lens, mass_centre_shift, spearman, topk_intersection
from rightreasons.stats import Interval, mean_interval

ATTACK, RANDOM, OTHER, NOISE = "attack", "random perturbation", "another row's map", "white noise"
CONTROLS = (RANDOM, OTHER, NOISE)
"""Rows of the table that are no attack: noise in the same ball, the map of another row, and no map at all."""

_ENDS = {"top-k": (0.0, 1.0), "LENS": (0.0, 1.0), "Spearman": (-1.0, 1.0), "centre shift": (0.0, inf)}
_LESS_A_LEVEL = (-inf, 1.0)

Progress = Callable[[int, int], None]


@final
@dataclass(frozen=True, eq=False)
class Robustness:
    """What an attack does to explanations, next to its controls.

    Attributes:
        attack: as given.
        attribution: the method under attack.
        k: how many positions count, or their share.
        window: radius of the windows; None where positions have no neighbours.
        inputs: what was attacked, (B, *F).
        found: the attack's result, row by row.
        control: the same of the random perturbation.
        values: for the attack and each of `CONTROLS`, every measure of every attacked row; NaN where it is not
            defined. What is less a level is on the scale of all rows, for their mean. Failed attacks and controls stand
            at their clean map.
    """

    attack: AttributionAttack
    attribution: Callable[..., Any]
    k: int | float
    window: int | None
    inputs: Float[Tensor, "B *F"]
    found: AttributionAttackResult
    control: AttributionAttackResult
    values: Mapping[str, Mapping[str, Tensor]]

    @cached_property
    def table(self) -> dict[str, dict[str, Interval]]:
        """Mean over the attacked rows and its 95 % interval (Student's t, cut where the measure ends)."""
        return {
            row: {
                measure: _interval(value, *_ENDS.get(measure, _LESS_A_LEVEL))
                for measure, value in measures.items()
            }
            for row, measures in self.values.items()
        }


@within_memory("the attack", "Attack fewer rows (--rows).")
@checked
def robustness(
    model: Model,
    x: Float[Tensor, "B *F"],
    y: Shaped[Tensor, "B"],
    *,
    attribution: Callable[..., Any],
    attack: AttributionAttack,
    k: int | float = 0.1,
    window: int = 1,
    direction: Callable[..., Any] | None = None,
    generator: torch.Generator | None = None,
    block: int = 16,
    progress: Progress | None = None,
) -> Robustness:
    """Attack explanations, and say how alike the maps before and after are, next to what is no attack.

    | row                 | the map it compares with the clean one                                        |
    |---------------------|-------------------------------------------------------------------------------|
    | attack              | at the attacked input                                                         |
    | random perturbation | at the best of as many random corners of the same ball, under the same measure |
    | another row's map   | the clean map of the next attacked row                                        |
    | white noise         | uniform noise                                                                 |

    Measures are top-k intersection, LENS recall as published and less each chance level, all rows on the scale that the
    mean level leaves (`rr.metrics.LensResult.on_one_scale`), Spearman's correlation and the shift of the centre of
    mass; without neighbours (tables) top-k takes the place of LENS. The last two rows say where each measure ends: a
    value that unrelated maps have is no agreement, whatever it is called.

    Cost: that of the attack twice, once without directions; memory is that of `block` rows and restarts at once.

    Args:
        model: a classifier; left as found.
        x: inputs, at least two that are predicted as their label.
        y: labels.
        attribution: the method under attack.
        attack: the attack.
        k: how many positions the measures count, or their share (float in (0, 1)).
        window: radius of the windows of LENS, in positions; rows (n,) are of a table, whose columns have no neighbours.
        direction: the method that is climbed, e.g. one with fewer path points; None: `attribution`.
        generator: of starts and draws; None advances the global one.
        block: rows attacked at once.
        progress: called with rows done and rows in all, attack and control together.

    Raises:
        InputError: fewer than two rows can be attacked, or what attack and metrics refuse.

    Example:
        >>> import rightreasons as rr
        >>> from rightreasons.attacks import TopK
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> x = torch.randn(8, 6)
        >>> attack = TopK(k=2, eps=0.5, steps=5)
        >>> found = robustness(model, x, model(x).argmax(1), attribution=rr.Gradient(), attack=attack, k=2)
        >>> attacked, control = found.table["attack"], found.table["random perturbation"]
        >>> attacked["top-k"].mean <= control["top-k"].mean
        True
    """
    if block < 1:
        raise InputError(f"block is how many rows are attacked at once, at least 1; got {block}.")
    searches = {ATTACK: partial(attack, direction=direction), RANDOM: RandomSign(attack, stride=2.0)}
    parts: dict[str, list[AttributionAttackResult]] = {name: [] for name in searches}
    done = 0
    for rows in torch.arange(len(x)).split(block):
        seed = int(torch.randint(2**62, (), generator=generator))
        for name, search in searches.items():
            # One seed for both: maps of random methods have the same draws.
            draws = torch.Generator().manual_seed(seed)
            parts[name].append(search(model, x[rows], y[rows], attribution=attribution, generator=draws))
            done += len(rows)
            if progress is not None:
                progress(done, len(searches) * len(x))
    found, control = (AttributionAttackResult.joined(each) for each in parts.values())
    attacked = ~found.rows(Status.EXCLUDED)
    if int(attacked.sum()) < 2:
        raise InputError(
            f"{int(attacked.sum())} of {len(x)} rows can be attacked: the others are not predicted as their label, or "
            "their map is constant. Chance is measured on maps of other rows, so at least two are needed."
        )
    clean, after, random = (
        each if attack.reduce is None else attack.reduce(each)
        for each in (found.clean_maps[attacked], found.maps[attacked], control.maps[attacked])
    )
    # Drawn after the reduction: every position alike, however many features it stands for.
    seeded = torch.Generator().manual_seed(0)
    noise = torch.rand(clean.shape, generator=seeded, dtype=torch.float32).to(clean)
    compared = {ATTACK: after, RANDOM: random, OTHER: clean.roll(1, 0), NOISE: noise}
    # A table has no neighbours; sequences (channels, length) have, also where maps are of their length only.
    radius = window if clean.ndim > 2 or x.ndim == 3 else None
    # For another row's map the other rows' maps are the clean ones: rolled ones would hold the row's own.
    others = compared | {OTHER: clean}
    values = {name: _measures(clean, maps, others[name], k, radius) for name, maps in compared.items()}
    return Robustness(attack, attribution, k, radius, x, found, control, values)


def _measures(
    clean: Tensor, maps: Tensor, others: Tensor, k: int | float, window: int | None
) -> dict[str, Tensor]:
    """Of reduced maps, (B, *S); `others` are those whose rows j != i are unrelated to row i."""
    measure = partial(lens, clean, k=k, window=window or 0, reduce=None)
    near = measure(maps)
    near = near._replace(chance=measure(others).chance)
    uniform, unrelated = measure(maps, adjust="uniform").on_one_scale(), near.on_one_scale()
    order = spearman(clean, maps, reduce=None)
    if window is None:
        return {
            "top-k": near.observed,
            "top-k less uniform": uniform,
            "top-k less unrelated": unrelated,
            "Spearman": order,
        }
    return {
        "top-k": topk_intersection(clean, maps, k, reduce=None),
        "LENS": near.observed,
        "LENS less uniform": uniform,
        "LENS less unrelated": unrelated,
        "Spearman": order,
        "centre shift": mass_centre_shift(clean, maps, reduce=None),
    }


def _interval(values: Tensor, least: float, most: float) -> Interval:
    there = values[values.isfinite()].double().tolist()
    if len(there) > 1:
        found = mean_interval(there)
        return replace(found, low=max(found.low, least), high=min(found.high, most))
    nan = float("nan")
    return Interval(there[0] if there else nan, nan, nan, len(there), 0.95)
