import torch

from rightreasons.metrics import mass_centre, mass_centre_shift
from tests.metrics import oracles


def test_centre_on_every_grid():
    for shape in [(9,), (4, 5), (3, 4, 5)]:
        maps = torch.randn(3, *shape, dtype=torch.float64)
        expected = [oracles.centre(row) for row in maps]
        torch.testing.assert_close(
            mass_centre(maps, reduce=None), torch.tensor(expected, dtype=torch.float64)
        )


def test_all_zero_map_has_no_centre():
    maps = torch.zeros(2, 3, 3)
    maps[0, 2, 1] = 1e-30
    torch.testing.assert_close(
        mass_centre(maps), torch.tensor([[2.0, 1.0], [torch.nan, torch.nan]]), equal_nan=True
    )


def test_shift_in_pixels_is_not_cut_to_whole_ones():
    a = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    b = torch.tensor([[1.0, 0.0, 1.0, 1.0]])
    torch.testing.assert_close(mass_centre_shift(a, b), torch.tensor([5 / 3]))


def test_centre_and_shift_are_differentiable():
    a, b = torch.rand(2, 2, 2, 3, 4, dtype=torch.float64) + 0.1
    torch.autograd.gradcheck(mass_centre, a.requires_grad_())
    torch.autograd.gradcheck(mass_centre_shift, (a, b.requires_grad_()))
    gradient = torch.autograd.grad(mass_centre_shift(a, a).sum(), a)[0]
    assert not gradient.any()
