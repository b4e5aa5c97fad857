"""Two moons among nuisance features: is it the meta-features that help, or the shrinkage that comes with the penalty?

python experiments/weinberger2020/two-moons/run.py            compares with expected.json
python experiments/weinberger2020/two-moons/run.py --write    writes expected.json anew

See README.md for the setting, the arms and what came out.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import make_moons
from torch import Tensor

import rightreasons as rr
from rightreasons import models, priors, stats, tasks, training
from rightreasons.priors import LearnedPrior, MetaFeatures

sys.path.append(str(Path(__file__).parents[1]))
import shared

NUISANCE, REPEATS = (50, 200, 1000), 10
ROWS, TRAIN, HELD = 1000, 200, 400
INDEPENDENT = 10**9
EPOCHS, BATCH = 100, 50
WEIGHTS: dict[str, tuple[float, ...]] = {
    "attribution": (2.0, 6.0),
    "all": (7e-4, 1.4e-3),  # times the square of the number of features: the penalty is a mean over weights
    "first": (0.15, 0.6),  # times the number of features
    "lasso": (1e-3, 3e-3),
}

Row = dict[str, Any]


def problem(nuisance: int, repeat: int) -> tuple[Tensor, Tensor]:
    """Fresh data for each repeat: the first two features are the moons."""
    moons, y = make_moons(ROWS, noise=0.1, random_state=repeat)
    noise = torch.randn(ROWS, nuisance, generator=torch.Generator().manual_seed(1000 + repeat))
    return torch.cat([torch.tensor(moons, dtype=torch.float32), noise], dim=1), torch.tensor(y)


def meta_features(x_train: Tensor) -> MetaFeatures:
    """Standard deviation and mean of each feature over the training rows, as published."""
    names = [f"x{i + 1}" for i in range(x_train.shape[1])]
    table = {"sd": x_train.std(0).tolist(), "mean": x_train.mean(0).tolist()}
    return MetaFeatures.from_table(table, names, names=names)


def oracle(meta: MetaFeatures) -> MetaFeatures:
    """Which features matter: nobody knows, and no meta-feature can say more."""
    return MetaFeatures.from_sets({"matters": ["x1", "x2"]}, meta.features)


def arms(x_train: Tensor, repeat: int) -> dict[str, tuple[str, Callable[[float], list[training.Term]]]]:
    """For each arm: which weights are tried, and its terms at one of them. Everything is made of training rows."""

    def penalty(make: Callable[[], priors.Prior], weight: float) -> list[training.Term]:
        return [training.Penalty(rr.ExpectedGradients(x_train), make(), weight)]

    def control(name: str, weight: float) -> list[training.Term]:
        prior = LearnedPrior(meta)
        made = priors.controls(prior, torch.Generator().manual_seed(repeat))
        return penalty(lambda: prior if name == "real" else made[name], weight)

    meta = meta_features(x_train)
    found: dict[str, tuple[str, Callable[[float], list[training.Term]]]] = {
        "MLP": ("attribution", lambda weight: []),
    }
    for name in ("zero", "constant", "real", "permuted", "random"):
        found["DAPr" if name == "real" else name] = ("attribution", partial(control, name))
    found["oracle"] = ("attribution", partial(penalty, lambda: LearnedPrior(oracle(meta))))
    found["DAPr of |EG|"] = ("attribution", partial(penalty, lambda: LearnedPrior(meta, signed=False)))
    features = x_train.shape[1]
    for layers, name, factor in (("all", "weight L1", features**2), ("first", "first-layer L1", features)):
        found[name] = (layers, partial(_weight_l1, layers, factor))
    found["first-layer group lasso"] = (
        "lasso",
        lambda weight: [training.SparseGroupLasso(layers="first", weight=weight)],
    )
    return found


def _weight_l1(layers: Any, factor: int, weight: float) -> list[training.Term]:
    return [training.WeightL1(layers=layers, weight=weight * factor)]


def fitted(x: Tensor, y: Tensor, terms: list[training.Term], seed: int) -> tuple[float, float]:
    """Validation and test accuracy of the epoch that is best on validation rows."""
    width = x.shape[1] // 4
    model = models.seeded(lambda: models.MLP(x.shape[1], (width, width // 2), 2), seed)
    objective = training.Objective(model, tasks.MultiClass(2), terms)
    decay = {"weight_decay": 5e-3}
    groups = objective.parameter_groups(
        decay, {"lr": 1e-3, "weight_decay": 0.0} if len(objective.term_modules) else None
    )
    parts = [slice(0, TRAIN), slice(TRAIN, TRAIN + HELD), slice(TRAIN + HELD, TRAIN + 2 * HELD)]
    train, validation, test = ((x[part], y[part]) for part in parts)
    training.fit(
        objective,
        train,
        validation=validation,
        epochs=EPOCHS,
        batch_size=BATCH,
        optimizer=torch.optim.Adam(groups, lr=1e-3),
        seed=seed,
    )
    with torch.no_grad():
        scores = [
            tasks.MultiClass(2).metrics(model.eval()(xs), ys)["accuracy"] for xs, ys in (validation, test)
        ]
    return scores[0], scores[1]


def one(job: tuple[int, int]) -> dict[str, list[float]]:
    """Test accuracy and chosen weight of every arm on one repeat."""
    torch.set_num_threads(1)
    nuisance, repeat = job
    x, y = problem(nuisance, repeat)
    found = {}
    for name, (kind, terms) in arms(x[:TRAIN], repeat).items():
        torch.manual_seed(repeat)
        trials = []
        for trial, weight in enumerate(WEIGHTS[kind]):
            torch.manual_seed(repeat)  # of the prior's network
            validation, test = fitted(x, y, terms(weight), seed=3 * repeat + trial)
            trials.append((validation, trial, test))
        trial, accuracy = shared.best(trials)
        found[name] = [accuracy, trial]
    print(nuisance, repeat, {name: round(values[0], 3) for name, values in found.items()}, flush=True)
    return found


def table(results: dict[tuple[int, int], dict[str, list[float]]]) -> Row:
    """Mean and interval of each arm, its difference to "zero", and of the real to the permuted meta-features.

    Data are fresh in each repeat, so repeats are independent and the plain paired test is right: the corrected one is
    told of as many training rows as make its correction vanish.
    """
    found: Row = {}
    for nuisance in NUISANCE:
        rows = [results[nuisance, repeat] for repeat in range(REPEATS)]
        scores = {name: [row[name][0] for row in rows] for name in rows[0]}
        minus = shared.against(scores, "zero", INDEPENDENT, 1)
        found[str(nuisance)] = {
            "arms": {
                name: {
                    "accuracy": (interval := stats.mean_interval(values)).mean,
                    "interval": [interval.low, interval.high],
                    "chosen": [row[name][1] for row in rows],
                    "minus zero": minus.get(name),
                }
                for name, values in scores.items()
            },
            "pairs": {
                "DAPr minus permuted": shared.compared(scores["DAPr"], scores["permuted"], INDEPENDENT, 1)
            },
        }
    return found


if __name__ == "__main__":
    everything = [(nuisance, repeat) for repeat in range(REPEATS) for nuisance in NUISANCE]
    shared.main(__doc__, __file__, one, everything, table, "accuracy", 0.03)
