"""How many gradients an attack on integrated gradients needs, against the published protocol.

The published scripts climb the map of 100 path points, from the image, through softplus with beta = 1, judge every step
by 100 points, and repeat that search three times without a random start: the repeats find the same image, and are
counted because they are paid for. Here the direction takes few points, the surrogate anneals, lost labels are won back,
and the true map is looked at every so many steps; rows whose measure is zero stop.

All arms are judged by the same 100 points (right rule) on the true network. An evaluation is a gradient at one point:
of the direction (followed by its own gradient) or of a judged map. Controls: the attack's search without a direction,
the map of another image, white noise. Needs the extra `data` for MNIST digits.

    python benchmarks/attack_evaluations.py    writes benchmarks/results/attack_evaluations.json, some minutes
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import rightreasons as rr
from rightreasons.attacks import RandomSign, Softplus, Status, TopK
from rightreasons.data import load
from rightreasons.metrics import topk_intersection
from rightreasons.models import CNN

IMAGES, TRAIN, EPOCHS, POINTS, REPEATS = 16, 4000, 8, 100, 3
RESULTS = Path(__file__).parent / "results" / "attack_evaluations.json"
OURS = TopK(k=100, eps=0.3, steps=100, bounds=(0.0, 1.0))
PUBLISHED = replace(OURS, step_size=0.01, surrogate=Softplus(1.0), repair=False, random_start=False)
JUDGED = rr.IntegratedGradients(steps=POINTS, rule=rr.Right())
# Points of a direction, steps, and steps between two looks at the true map.
ARMS = ((10, 100, 10), (5, 100, 20), (5, 30, 10), (5, 10, 5), (3, 10, 10), (2, 5, 5))


def network(x: Tensor, y: Tensor) -> CNN:
    torch.manual_seed(0)
    model = CNN(outputs=10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(50):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model.eval()


def interval(values: Tensor) -> list[float]:
    """95 % percentile bootstrap of the mean over images."""
    picks = torch.randint(len(values), (2000, len(values)), generator=torch.Generator().manual_seed(0))
    return values[picks].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=values.dtype)).tolist()


def measured(attack: TopK, points: int, model: CNN, x: Tensor, y: Tensor, repeats: int = 1) -> dict[str, Any]:
    direction = JUDGED if points == POINTS else rr.IntegratedGradients(steps=points)
    generator = torch.Generator().manual_seed(0)
    found = attack(model, x, y, attribution=JUDGED, direction=direction, generator=generator, chunk=4)
    after = found.after[~found.rows(Status.EXCLUDED)].double()
    each = (found.evaluations.direction + found.evaluations.judging) * repeats / len(after)
    return {
        "points of a direction": points,
        "steps": attack.steps,
        "judged every": attack.judge_every,
        "searches": repeats,
        "top-k intersection": float(after.mean()),
        "interval": interval(after),
        "failure rate": found.summary.failure_rate,
        "evaluations an image": each,
    }


def controls(model: CNN, x: Tensor, y: Tensor) -> dict[str, Any]:
    """What is left of the top k without an attack."""
    generator = torch.Generator().manual_seed(0)
    found = RandomSign(replace(OURS, judge_every=10))(
        model, x, y, attribution=JUDGED, generator=generator, chunk=4
    )
    there = ~found.rows(Status.EXCLUDED)
    clean = found.clean_maps[there]
    left = {
        "random perturbation": found.after[there],
        "another image's map": topk_intersection(clean, clean.roll(1, 0), OURS.k),
        "white noise": topk_intersection(clean, torch.rand(clean.shape, generator=generator), OURS.k),
    }
    return {
        name: {"top-k intersection": float(values.mean()), "interval": interval(values.double())}
        for name, values in left.items()
    }


def main() -> None:
    torch.set_num_threads(1)
    data = load("mnist")
    order = torch.randperm(len(data.x), generator=torch.Generator().manual_seed(0))
    train, test = order[:TRAIN], order[TRAIN : TRAIN + IMAGES]
    model, x, y = network(data.x[train], data.y[train]), data.x[test], data.y[test]
    arms = {"published": measured(PUBLISHED, POINTS, model, x, y, REPEATS)}
    for points, steps, every in ARMS:
        attack = replace(OURS, steps=steps, judge_every=every)
        arms[f"{points} points, {steps} steps"] = measured(attack, points, model, x, y)
        print(arms)
    paid = arms["published"]["evaluations an image"]
    for arm in arms.values():
        arm["published / evaluations"] = paid / arm["evaluations an image"]
    report = {
        "setting": {
            "images": IMAGES,
            "data": "MNIST",
            "network": "rightreasons.models.CNN()",
            "torch": torch.__version__,
            "eps": OURS.eps,
            "k": OURS.k,
        },
        "arms": arms,
        "controls": controls(model, x, y),
    }
    rounded = json.loads(json.dumps(report), parse_float=lambda text: round(float(text), 3))
    RESULTS.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
