import pytest
import torch

from rightreasons.attribution import Gradient
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors import Monotone

MAPS = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))


def test_only_the_wrong_sign_is_penalised():
    torch.testing.assert_close(Monotone(torch.ones(2, 4))(MAPS), MAPS.clamp(max=0).abs().sum() / 3)
    torch.testing.assert_close(Monotone(-torch.ones(1, 1))(MAPS), MAPS.clamp(min=0).sum() / 3)
    assert float(Monotone([2.0, -1.0, 0.0])(torch.tensor([[1.0, -1.0, 5.0]]))) == 0.0


def test_signs_for_each_sample():
    signs = torch.zeros(3, 1, 4)
    signs[1, 0, 2] = -2
    torch.testing.assert_close(Monotone()(MAPS, signs), 2 * MAPS[1, :, 2].clamp(min=0).sum() / 3)


def test_a_penalised_slope_becomes_monotone():
    torch.manual_seed(0)
    x = torch.linspace(-2, 2, 32)[:, None]
    y = -x[:, 0]  # the data say falling, the belief says rising
    model = torch.nn.Sequential(
        torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1), torch.nn.Flatten(0)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    prior, method = Monotone([1]), Gradient()
    for _ in range(80):
        optimizer.zero_grad()
        ((model(x) - y).square().mean() + 10 * prior(method(model, x, create_graph=True))).backward()
        optimizer.step()
    assert float(method(model, x).min()) > -0.05


def test_repr_is_short():
    assert repr(Monotone([1, -1, 0, 1])) == "Monotone(signs=<(4,), 2 up, 1 down>)"
    assert repr(Monotone()) == "Monotone(signs=None)"


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("signs", "match"),
    [
        ([0, 0], "believes nothing: all signs are 0"),
        (torch.tensor([1.0, torch.nan]), "got dtype torch.float32 with 1 NaN or infinite entries"),
        (torch.tensor([True, False]), r"got dtype torch.bool"),
        (["up", "down"], r"as numbers, \+1, -1 or 0; got \['up', 'down'\]"),
    ],
)
def test_signs_are_checked(signs: object, match: str):
    with pytest.raises(InputError, match=match):
        Monotone(signs)


def test_signs_must_fit():
    with pytest.raises(ShapeError, match=r"shape of one map, \(2, 4\), 1 where shared; got \(4,\)"):
        Monotone(torch.ones(4))(MAPS)
    with pytest.raises(InputError, match="Mark a feature without belief by 0"):
        Monotone()(MAPS, torch.full((3, 1, 1), torch.inf))
