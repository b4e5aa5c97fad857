from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rightreasons import tasks
from rightreasons.core._errors import InputError
from rightreasons.models import Trees
from rightreasons.training import GradientBoosting, RandomForest

ensemble = pytest.importorskip("sklearn.ensemble")
BOOSTING = GradientBoosting(rate=0.3, rounds=12, depth=2)
FOREST = RandomForest(trees=9, least=2)


def rows(kind: str, count: int = 90, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 5, generator=generator).round(decimals=1)
    score = x[:, 0] * x[:, 1] + 0.3 * torch.randn(count, generator=generator)
    return x, {"regression": score, "binary": (score > 0).long()}.get(
        kind, (score > -0.5).long() + (score > 0.5).long()
    )


TASKS: dict[str, tuple[tasks.Task, int]] = {
    "regression": (tasks.Regression(), 1),
    "binary": (tasks.Binary(), 1),
    "multiclass": (tasks.MultiClass(3), 3),
}


def fitted(peer: Any, kind: str, seed: int = 4) -> tuple[Trees, int]:
    task, outputs = TASKS[kind]
    return peer.fit(task, rows(kind), rows(kind, seed=1), outputs=outputs, seed=seed)


@pytest.mark.parametrize("kind", TASKS)
def test_boosting_has_the_outputs_of_scikit_learn_at_its_best_round(kind: str) -> None:
    trees, best = fitted(BOOSTING, kind)
    make = getattr(ensemble, f"HistGradientBoosting{'Regressor' if kind == 'regression' else 'Classifier'}")
    x, y = rows(kind)
    theirs = make(
        learning_rate=0.3, max_iter=12, max_depth=2, min_samples_leaf=10, max_bins=64, early_stopping=False
    ).fit(x.numpy(), y.numpy())
    staged = theirs.staged_predict if kind == "regression" else theirs.staged_decision_function
    new, labels = rows(kind, seed=1)
    stages = [torch.from_numpy(np.squeeze(each)) for each in staged(new.numpy())]
    torch.testing.assert_close(trees(new).double(), stages[best - 1], atol=1e-5, rtol=1e-5)
    task = TASKS[kind][0]
    losses = [task.metrics(each, labels)["mse" if kind == "regression" else "log_loss"] for each in stages]
    assert losses[best - 1] == min(losses)


def test_boosting_ends_where_probabilities_get_worse_and_is_calibrated() -> None:
    train, validation, new = (rows("binary", count=400, seed=seed) for seed in range(3))
    trees, best = GradientBoosting(rate=0.5, rounds=1000, depth=4).fit(
        tasks.Binary(), train, validation, seed=0
    )
    assert best < 60
    p, y = trees(new[0]).sigmoid(), new[1].float()
    confident = p > 0.8
    assert confident.sum() > 30
    assert abs(float(y[confident].mean() - p[confident].mean())) < 0.1


@pytest.mark.parametrize("kind", TASKS)
def test_a_forest_has_the_outputs_of_scikit_learn(kind: str) -> None:
    trees, count = fitted(FOREST, kind)
    assert count == 9
    make = ensemble.RandomForestRegressor if kind == "regression" else ensemble.RandomForestClassifier
    x, y = rows(kind)
    theirs = make(n_estimators=9, max_features=0.3, min_samples_leaf=2, random_state=4).fit(
        x.numpy(), y.numpy()
    )
    new = rows(kind, seed=1)[0]
    if kind == "regression":
        torch.testing.assert_close(trees(new).double(), torch.from_numpy(theirs.predict(new.numpy())))
        return
    probabilities = torch.from_numpy(theirs.predict_proba(new.numpy())).clamp(1e-3, 1 - 1e-3)
    ours = trees(new).double()
    expected = probabilities[:, 1].logit() if kind == "binary" else probabilities.log()
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("peer", [BOOSTING, FOREST])
def test_the_seed_alone_decides(peer: Any) -> None:
    one, same = (fitted(peer, "binary")[0].state_dict() for _ in range(2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(
        fitted(FOREST, "binary", seed=5)[0].get_buffer("threshold"),
        fitted(FOREST, "binary", seed=6)[0].get_buffer("threshold"),
    )


def test_class_weights_move_the_outputs() -> None:
    for peer in (BOOSTING, FOREST):
        plain = fitted(peer, "binary")[0]
        task = tasks.Binary(weights=(1.0, 20.0))
        heavy, _ = peer.fit(task, rows("binary"), rows("binary", seed=1), seed=4)
        new = rows("binary", seed=2)[0]
        assert float(heavy(new).mean()) > float(plain(new).mean())


@pytest.mark.parametrize("peer", [BOOSTING, FOREST])
def test_other_tasks_and_missing_classes_are_refused(peer: Any) -> None:
    x = torch.randn(6, 2)
    times = torch.ones(6, 2)
    with pytest.raises(InputError, match="binary, multi-class and regression tasks; got Survival"):
        peer.fit(tasks.Survival(), (x, times), (x, times))
    labels = torch.tensor([0, 0, 2, 2, 0, 2])
    with pytest.raises(InputError, match="only 2 of 3 are among the training rows"):
        peer.fit(tasks.MultiClass(3), (x, labels), (x, labels), outputs=3)


@pytest.mark.parametrize(
    ("make", "fields", "message"),
    [
        (GradientBoosting, {"rate": 0.0}, r"rate is in \(0, 1\]; got 0.0"),
        (GradientBoosting, {"rate": 1.5}, "rate is in"),
        (GradientBoosting, {"bins": 256}, r"bins is in 2..255; got 256"),
        (GradientBoosting, {"least": 0}, "least is a whole number"),
        (GradientBoosting, {"rounds": 0}, "rounds is a whole number of at least 1; got 0"),
        (RandomForest, {"features": 2.0}, r"features is a share in \(0, 1\]; got 2.0"),
        (RandomForest, {"trees": 0}, "trees is a whole number"),
    ],
)
def test_numbers_out_of_range_are_refused(make: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**fields)
