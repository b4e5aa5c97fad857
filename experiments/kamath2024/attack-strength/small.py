"""MNIST and Fashion-MNIST: several networks of one kind, trained on other digits from other first weights."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import tables
import torch
from tables import Results, Row
from torch import Tensor
from torch.nn import functional as F

import rightreasons as rr
from rightreasons.attacks import AttributionAttack, MassCentre, RandomSign, RankCorrelation, Softplus, TopK
from rightreasons.data import load
from rightreasons.models import CNN

K, WINDOW, IMAGES, SEEDS = 100, 1, 64, 3
BETAS = (1.0, 10.0, 20.0, 50.0, 100.0)
DEFAULT = "1 to 100 (default)"
Say = Callable[[str], None]


class Images(NamedTuple):
    """What is trained on, how far inputs may move, and whether surrogates are compared."""

    data: str
    eps: float
    train: int
    epochs: int
    ablated: bool


STUDIES = {
    "mnist": Images("mnist", eps=0.3, train=4000, epochs=8, ablated=True),
    "fashion-mnist": Images("fashion-mnist", eps=0.1, train=10000, epochs=6, ablated=False),
}


def network(x: Tensor, y: Tensor, epochs: int, seed: int) -> CNN:
    """The package's small network, trained plainly."""
    torch.manual_seed(seed)
    model = CNN(outputs=10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(50):
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()


def strength_arms(eps: float) -> dict[str, AttributionAttack | RandomSign]:
    """Each attack optimises its own measure; all measures are reported."""
    top = TopK(k=K, eps=eps, steps=100, step_size=0.01, bounds=(0.0, 1.0))
    centre = MassCentre(eps=eps, steps=100, step_size=0.01, bounds=(0.0, 1.0))
    return {
        "random": RandomSign(top),
        "random corners": RandomSign(top, stride=2.0),
        "random, kept for its centre shift": RandomSign(centre),
        "centre": centre,
        "top-k": top,
        "top-k, 3 restarts": replace(top, restarts=3),
        "LENS top-k": replace(top, window=WINDOW),
        "rank": RankCorrelation(eps=eps, steps=100, step_size=0.01, bounds=(0.0, 1.0)),
        "top-k as published": replace(top, surrogate=Softplus(1.0), repair=False, random_start=False),
    }


def ablation_arms(eps: float) -> dict[str, AttributionAttack]:
    """The top-k attack by sharpness and mode, and without the way back to lost labels."""
    top = TopK(k=K, eps=eps, steps=100, step_size=0.01, bounds=(0.0, 1.0))
    constant = {
        f"{mode} {beta:g}": replace(top, surrogate=Softplus(beta, mode))
        for mode in ("forward", "backward")
        for beta in BETAS
    }
    return constant | {
        DEFAULT: top,
        "backward 1 to 100": replace(top, surrogate=Softplus(1.0, "backward", anneal_to=100.0)),
        "1 to 100, no way back": replace(top, repair=False),
        "1 to 100, from the image": replace(top, random_start=False),
        **{
            f"forward {beta:g}, no way back": replace(top, surrogate=Softplus(beta), repair=False)
            for beta in BETAS[:3]
        },
    }


def study(name: str, say: Say) -> Row:
    """One data set."""
    of = STUDIES[name]
    data = load(of.data)
    order = torch.randperm(len(data.x), generator=torch.Generator().manual_seed(0))
    test = order[-1000:]
    x, y = data.x[test[:IMAGES]], data.y[test[:IMAGES]]
    networks = []
    for seed in range(SEEDS):
        draw = torch.randperm(len(order) - 1000, generator=torch.Generator().manual_seed(seed))[: of.train]
        networks.append(network(data.x[order[draw]], data.y[order[draw]], of.epochs, seed))
    with torch.no_grad():
        right = [float((each(data.x[test]).argmax(1) == data.y[test]).float().mean()) for each in networks]
    say(f"{name}: accuracies {right}")

    def attacked(arm: str, attack: AttributionAttack | RandomSign) -> Results:
        say(f"{name}: {arm}")
        return [
            attack(model, x, y, attribution=rr.Gradient(), generator=torch.Generator().manual_seed(0))
            for model in networks
        ]

    found = {arm: attacked(arm, attack) for arm, attack in strength_arms(of.eps).items()}
    arms = ablation_arms(of.eps) if of.ablated else {}
    ablated = {arm: attacked(arm, attack) for arm, attack in arms.items()}
    table = {
        "accuracy": right,
        "controls": tables.controls(found["random"], K, WINDOW),
        "strength": {arm: tables.described(results, K, WINDOW) for arm, results in found.items()},
        **tables.separations(found, ["top-k", "LENS top-k", "centre"], K, WINDOW),
    }
    return table | ({"surrogate": tables.compared(ablated, DEFAULT)} if ablated else {})
