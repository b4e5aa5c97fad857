"""Two moons among columns of noise."""

import builtins
from typing import Any

import pytest
import torch
from sklearn.datasets import make_moons

from rightreasons import data
from rightreasons.core._errors import MissingExtraError
from rightreasons.data.named._moons import two_moons


def test_the_first_two_columns_are_the_moons_and_the_others_noise() -> None:
    x, y, columns = two_moons(30, seed=3)
    moons, labels = make_moons(1000, noise=0.1, random_state=3)
    torch.testing.assert_close(x[:, :2], torch.tensor(moons).float())
    assert y.tolist() == labels.tolist()
    assert [column.name for column in columns][:3] == ["x1", "x2", "n1"]
    assert len(columns) == 32
    noise = x[:, 2:]
    assert noise.mean().abs() < 0.03  # 5 standard errors of 30,000 draws
    assert (noise.std() - 1).abs() < 0.03
    assert noise.T.corrcoef().triu(1).abs().max() < 0.16  # 5 standard errors of 1,000 rows


def test_the_named_set_is_always_the_same() -> None:
    once, again = data.load("two-moons"), data.load("two-moons")
    assert torch.equal(once.x, again.x)
    assert once.x.shape == (1000, 202)
    assert float(once.x[once.y == 0, 1].mean()) > float(once.x[once.y == 1, 1].mean())  # upper, lower


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        MissingExtraError, match=r"scikit-learn is not installed: pip install 'rightreasons\[train\]'"
    ):
        two_moons(1)
