"""Augmentations: every row moves on its own, within bounds, by the generator alone."""

import pytest
import torch
from torch.nn import functional as F

from rightreasons import InputError, ShapeError, training

IMAGES = torch.arange(6 * 2 * 5 * 4.0).reshape(6, 2, 5, 4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved(image: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Naive: pad with the border, then cut."""
    padded = F.pad(image[None], (9, 9, 9, 9), mode="replicate")[0] if min(image.shape[1:]) else image
    return padded[:, 9 + down : 9 + down + image.shape[1], 9 + right : 9 + right + image.shape[2]]


def test_shifts_are_moves_by_whole_pixels_with_a_continued_border() -> None:
    shifted = training.Shift(2)(IMAGES, generator())
    distances = []
    for image, got in zip(IMAGES, shifted, strict=True):
        found = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.equal(moved(image, down, right), got)
        ]
        assert len(found) == 1
        distances += found
    assert len(set(distances)) > 1


def test_every_distance_occurs() -> None:
    line = torch.arange(5.0).expand(400, 1, 5, 5)
    centres = training.Shift(2)(line, generator())[:, 0, 2, 2]
    assert set(centres.tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize(("axis", "dimension"), [("horizontal", 2), ("vertical", 1)])
def test_flips_mirror_some_rows(axis, dimension) -> None:
    flipped = training.Flip(axis=axis)(IMAGES.repeat(10, 1, 1, 1), generator())
    same = [torch.equal(a, b) for a, b in zip(IMAGES.repeat(10, 1, 1, 1), flipped, strict=True)]
    mirrored = [
        torch.equal(a.flip(dimension), b) for a, b in zip(IMAGES.repeat(10, 1, 1, 1), flipped, strict=True)
    ]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 15 <= sum(mirrored) <= 45


@pytest.mark.parametrize("change", [training.Shift(1), training.Flip()], ids=repr)
def test_the_generator_decides_and_the_input_is_left_alone(change) -> None:
    before = IMAGES.clone()
    assert torch.equal(change(IMAGES, generator(1)), change(IMAGES, generator(1)))
    assert torch.equal(IMAGES, before)
    several = [change(IMAGES, generator(seed)) for seed in range(5)]
    assert any(not torch.equal(several[0], other) for other in several[1:])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: training.Shift(0), InputError, "pixels is the largest distance, at least 1; got 0"),
        (lambda: training.Flip(chance=1.5), InputError, "chance is a probability.*got 1.5"),
        (lambda: training.Flip(axis="up"), InputError, "axis must be 'horizontal' or 'vertical'; got 'up'"),
        (
            lambda: training.Shift()(torch.zeros(3, 4)),
            ShapeError,
            r"Shift.* changes images.*got rows of \(4,\)",
        ),
        (
            lambda: training.Flip()(torch.zeros(3, 4)),
            ShapeError,
            r"Flip.* changes images.*got rows of \(4,\)",
        ),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_what_cannot_be_changed(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make()


def test_draws_do_not_depend_on_the_default_dtype() -> None:
    x = torch.randn(64, 1, 3, 3)
    wanted = training.Flip()(x, torch.Generator().manual_seed(0))
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(training.Flip()(x, torch.Generator().manual_seed(0)), wanted)
    finally:
        torch.set_default_dtype(torch.float32)
