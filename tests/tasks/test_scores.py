import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rightreasons import tasks
from rightreasons.tasks._scores import auc, r2

pairs = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30)


def auc_by_pairs(score, positive):
    """P(s+ > s-) + P(s+ = s-) / 2, pair by pair."""
    wins, count = 0.0, 0
    for s, is_positive in zip(score, positive, strict=True):
        for t, other_is_positive in zip(score, positive, strict=True):
            if is_positive and not other_is_positive:
                wins += 1.0 if s > t else 0.5 if s == t else 0.0
                count += 1
    return wins / count if count else math.nan


@given(pairs)
def test_auc_is_the_share_of_pairs_in_order_with_ties_counting_half(rows):
    score, positive = zip(*rows, strict=True)
    ours = auc(torch.tensor(score, dtype=torch.float64), torch.tensor(positive))
    assert ours == pytest.approx(auc_by_pairs(score, positive), nan_ok=True)


@pytest.mark.peer
def test_auc_equals_scikit_learn_also_with_ties():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    for decimals in (0, 1, 6):
        score, positive = rng.normal(size=200).round(decimals), rng.random(200) < 0.2
        assert auc(torch.tensor(score), torch.tensor(positive)) == pytest.approx(
            metrics.roc_auc_score(positive, score)
        )


def test_auc_of_one_class_is_nan():
    assert math.isnan(auc(torch.tensor([0.1, 0.2]), torch.tensor([True, True])))


@pytest.mark.peer
def test_r2_equals_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    truth = rng.normal(size=50)
    prediction = truth + rng.normal(size=50)
    assert r2(torch.tensor(prediction), torch.tensor(truth)) == pytest.approx(
        metrics.r2_score(truth, prediction)
    )


def test_r2_of_constant_labels_is_nan():
    assert math.isnan(r2(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 3.0])))


TASKS = {
    "binary": (tasks.Binary(), (12,), torch.arange(12) % 2),
    "classes": (tasks.MultiClass(3), (12, 3), torch.arange(12) % 3),
    "labels": (
        tasks.MultiLabel(2),
        (12, 2),
        torch.stack([torch.arange(12) % 2, torch.arange(12) % 3 % 2], 1),
    ),
    "numbers": (tasks.Regression(), (12,), torch.arange(12.0)),
    "survival": (tasks.Survival(), (12,), torch.stack([torch.arange(12.0), torch.arange(12.0) % 2], 1)),
}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_metrics_of_half_precision_are_those_of_the_same_numbers(name, dtype):
    task, shape, y = TASKS[name]
    outputs = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert task.metrics(outputs, y) == task.metrics(outputs.double(), y)
