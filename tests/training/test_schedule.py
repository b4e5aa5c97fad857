from math import nan

import pytest

from rightreasons.core._errors import InputError
from rightreasons.training import Auto, Ramp
from rightreasons.training._schedule import check_weight


def test_linear_ramp() -> None:
    ramp = Ramp(end=3.0, last=6, start=1.0, first=2)
    assert [ramp(step) for step in (0, 2, 3, 4, 6, 100)] == [1.0, 1.0, 1.5, 2.0, 3.0, 3.0]


def test_cosine_ramp_is_half_way_in_the_middle_and_flat_at_the_ends() -> None:
    ramp = Ramp(end=2.0, last=100, shape="cosine")
    assert ramp(50) == pytest.approx(1.0)
    assert ramp(0) == 0
    assert ramp(100) == 2
    assert ramp(1) - ramp(0) < 1e-3
    assert ramp(100) - ramp(99) < 1e-3


def test_geometric_ramp_has_equal_ratios() -> None:
    ramp = Ramp(end=16.0, last=4, start=1.0, shape="geometric")
    assert [ramp(step) for step in range(5)] == pytest.approx([1, 2, 4, 8, 16])


def test_a_ramp_may_fall() -> None:
    assert Ramp(end=0.0, last=2, start=1.0)(1) == 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(end=1.0, last=3, first=3), "first < last"),
        (dict(end=1.0, last=3, shape="square"), "linear, cosine or geometric"),
        (dict(end=1.0, last=3, shape="geometric"), "start > 0 and end > 0"),
        (dict(end=-1.0, last=3), "finite and not negative"),
        (dict(end=nan, last=3), "finite and not negative"),
    ],
)
def test_ramps_that_make_no_sense(settings: dict, message: str, without_type_checks: None) -> None:
    with pytest.raises(InputError, match=message):
        Ramp(**settings)


@pytest.mark.parametrize(("settings", "message"), [(dict(ratio=0.0), "positive"), (dict(at=-1), "0 or more")])
def test_auto_that_makes_no_sense(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Auto(**settings)


@pytest.mark.parametrize("weight", [0, 0.5, "auto", Auto(2.0, at=3), Ramp(1.0, 5), lambda step: 1.0])
def test_weights(weight: object, without_type_checks: None) -> None:
    check_weight(weight)


@pytest.mark.parametrize("weight", [-1.0, nan, float("inf")])
def test_numbers_that_are_no_weights(weight: float) -> None:
    with pytest.raises(InputError, match="finite and not negative"):
        check_weight(weight)


@pytest.mark.parametrize("weight", ["automatic", None, True])
def test_things_that_are_no_weights(weight: object, without_type_checks: None) -> None:
    with pytest.raises(InputError, match="a number, 'auto'"):
        check_weight(weight)
