import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors import FourierSmoothness

X = torch.arange(64, dtype=torch.float64) * 2 * math.pi / 64
HARD = FourierSmoothness(limit=8, softness=None, smoothing=0, constant="free")


def wave(k: int) -> torch.Tensor:
    """Non-negative, with frequencies 0 and k only."""
    return (1 + torch.cos(k * X))[None]


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (8, 0.0), (9, 1.0), (20, 1.0)])
def test_a_wave_is_low_or_not(k: int, expected: float):
    assert float(HARD(wave(k))) == pytest.approx(expected, abs=1e-12)


def test_the_published_form_counts_the_constant_part_against_a_map():
    published = FourierSmoothness(limit=8, softness=None, smoothing=0)
    # |DFT| of 1 + cos: L at 0 and L / 2 at k.
    assert float(published(wave(5))) == pytest.approx(2 / 3)
    assert float(published(torch.ones(1, 64))) == pytest.approx(1)
    assert float(HARD(torch.ones(1, 64))) == 0.0


def test_weights_fall_softly_beyond_the_limit():
    soft = FourierSmoothness(limit=8, softness=0.2, smoothing=0, constant="free")
    for k in (9, 10, 20):
        assert float(soft(wave(k))) == pytest.approx(1 - 1 / (1 + (k - 8) ** 0.2))


def test_channels_add_up_in_magnitude():
    maps = torch.randn(2, 64, dtype=torch.float64)
    both = torch.stack([maps, -2 * maps], dim=1)
    torch.testing.assert_close(HARD(both), HARD(maps))


@given(seed=st.integers(0, 10**6), smoothing=st.integers(0, 4))
def test_values_lie_between_zero_and_one_and_turning_round_changes_nothing(seed: int, smoothing: int):
    maps = torch.randn(3, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    prior = FourierSmoothness(limit=4, smoothing=smoothing)
    value = prior(maps)
    assert 0 <= float(value) <= 1
    torch.testing.assert_close(prior(maps.flip(-1)), value)


def test_descent_makes_a_noisy_map_smooth():
    maps = torch.rand(1, 64, dtype=torch.float64).requires_grad_()
    before = float(HARD(maps.detach()))
    optimizer = torch.optim.Adam([maps], lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        HARD(maps).backward()
        optimizer.step()
    assert float(HARD(maps.detach())) < 0.3 * before


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"limit": 0}, "limit must be a whole number of at least 1; got 0"),
        ({"limit": 2.5}, "got 2.5"),
        ({"limit": 3, "smoothing": -1}, "smoothing must be a whole number of at least 0; got -1"),
        ({"limit": 3, "softness": -0.1}, "softness must be finite and at least 0, or None; got -0.1"),
        ({"limit": 3, "softness": math.nan}, "got nan"),
    ],
)
def test_fields_are_checked(fields: dict, match: str):
    with pytest.raises(InputError, match=match):
        FourierSmoothness(**fields)


@pytest.mark.parametrize("shape", [(2, 3, 20, 20), (2, 17), (2, 4, 9)])
def test_maps_that_are_no_sequences_or_too_short_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ShapeError, match=r"\(B, channels, L\) of at least L = 18 positions"):
        HARD(torch.ones(shape))
