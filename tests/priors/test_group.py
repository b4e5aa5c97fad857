import pytest
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.data import Column, DataSet, sum_groups
from rightreasons.priors import L1, Gini, GroupSparsity

MAPS = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SINGLE = [(0,), (1,), (2,), (3,)]


def test_groups_of_one_are_the_ungrouped_priors():
    torch.testing.assert_close(GroupSparsity(SINGLE)(MAPS), Gini()(MAPS))
    torch.testing.assert_close(GroupSparsity(SINGLE, level="sample")(MAPS), Gini("sample")(MAPS))
    torch.testing.assert_close(GroupSparsity(SINGLE, "lasso", "sample")(MAPS), 4 * L1()(MAPS))


def test_groups_of_a_data_set_count_as_its_original_columns():
    names = ("age", "sex=f", "sex=m", "bp")
    columns = tuple(Column(name, source=name.split("=")[0] if "=" in name else None) for name in names)
    data = DataSet("d", torch.zeros(1, 4), torch.zeros(1), columns=columns)
    _, summed = sum_groups(MAPS, data.groups)
    torch.testing.assert_close(GroupSparsity(data.groups)(MAPS), Gini()(summed))


def test_features_in_no_group_are_free():
    maps = MAPS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(GroupSparsity([(0, 1)], "lasso", "sample")(maps), maps)
    assert gradient[:, :2].all()
    assert not gradient[:, 2:].any()


def test_descent_on_the_group_lasso_sets_whole_groups_to_zero():
    """min 1/2 ||w - a||^2 + t sum_g sqrt(p_g) ||w_g||: a group vanishes if its norm is below t sqrt(p_g)."""
    target = torch.tensor([0.3, -0.2, 2.0, 1.0], dtype=torch.float64)
    weights = target.clone().requires_grad_()
    prior = GroupSparsity([(0, 1), (2, 3)], "lasso", "sample")
    optimizer = torch.optim.SGD([weights], lr=0.02)
    for _ in range(400):
        optimizer.zero_grad()
        (0.5 * (weights - target).square().sum() + 0.5 * prior(weights[None])).backward()
        optimizer.step()
    found = weights.detach()
    assert float(found[:2].norm()) < 0.03  # the last steps go back and forth
    shrunk = target[2:] * (1 - 0.5 * 2**0.5 / target[2:].norm())
    torch.testing.assert_close(found[2:], shrunk, rtol=1e-3, atol=1e-3)


def test_repr_is_short():
    assert (
        repr(GroupSparsity({"a": (0,), "b": (1,)}))
        == "GroupSparsity(<2 groups>, penalty='gini', level='global')"
    )


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("groups", "match"),
    [
        ([], "at least one group of features; got none"),
        ([(0,), ()], r"each once; got \[\]"),
        ([(0, 0)], r"each once; got \[0, 0\]"),
        ([(0, -1)], r"got \[0, -1\]"),
        ([("age",)], r"got \['age'\]. Pass DataSet.groups"),
    ],
)
def test_groups_are_checked(groups: object, match: str):
    with pytest.raises(InputError, match=match):
        GroupSparsity(groups)


def test_maps_with_fewer_features_are_refused():
    with pytest.raises(ShapeError, match=r"names feature 4, but the maps \(5, 4\) have 4 features, 0 to 3"):
        GroupSparsity([(0, 4)])(MAPS)
