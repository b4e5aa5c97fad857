import pytest
import torch

import rightreasons as rr
from rightreasons.attacks import L2, MassCentre, RankCorrelation, TopK
from rightreasons.audit import attack_names, attack_of
from rightreasons.audit._attack_registry import ByGroup, cheaper
from rightreasons.core._errors import InputError


def test_names_make_attacks() -> None:
    made = {name: attack_of(name, k=5, window=2, norm="l2", eps=0.1, steps=7) for name in attack_names()}
    kinds = {name: type(attack) for name, attack in made.items()}
    assert kinds == {
        "top-k": TopK, "lens": TopK, "lens-diverse": TopK, "centre": MassCentre, "rank": RankCorrelation
    }  # fmt: skip
    assert all(attack.norm == L2() and attack.steps == 7 for attack in made.values())
    assert [getattr(made[name], "window", None) for name in made] == [0, 2, 2, None, None]


def test_columns_have_no_places() -> None:
    assert attack_names(space=False) == ("top-k", "rank")
    with pytest.raises(InputError, match=r"no attack 'centre' here. A table's columns have no neighbours"):
        attack_of("centre", space=False, eps=0.1)


def test_unknown_names_get_the_closest() -> None:
    with pytest.raises(InputError, match=r"no attack 'topk' here. Did you mean 'top-k'"):
        attack_of("topk", eps=0.1)
    with pytest.raises(InputError, match=r"no norm 'inf'. Did you mean 'linf'"):
        attack_of("top-k", norm="inf", eps=0.1)


def test_methods_that_average_are_climbed_by_few_points() -> None:
    attack = attack_of("top-k", eps=0.1)
    for method, field in (
        (rr.IntegratedGradients(steps=50), "steps"),
        (rr.ExpectedGradients(torch.rand(4, 3), samples=50), "samples"),
        (rr.SmoothGrad(samples=20), "samples"),
    ):
        search, direction = cheaper(attack, method)
        assert getattr(direction, field) == 5
        assert search.judge_every == 10
    assert cheaper(attack, rr.Gradient()) == (attack, None)
    assert cheaper(attack, rr.IntegratedGradients(steps=3)) == (attack, None)


def test_features_of_one_column_are_added_up_before_the_magnitude() -> None:
    maps = torch.tensor([[1.0, -3.0, 1.0], [-2.0, 0.5, 0.5]])
    assert ByGroup(((0,), (1, 2)))(maps).tolist() == [[1.0, 2.0], [2.0, 1.0]]
