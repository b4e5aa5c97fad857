import math
from typing import Any

import pytest
import torch
from torch import nn

from rightreasons import tasks, training
from rightreasons.core._errors import InputError

TERMS = (training.WeightL1, training.WeightL2, training.SparseGroupLasso)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()


def value(model: nn.Module, term: Any) -> torch.Tensor:
    x = torch.randn(5, 4, dtype=next(model.parameters()).dtype)
    objective = training.Objective(model, tasks.MultiClass(3), [term])
    return objective(x, torch.tensor([0, 1, 2, 0, 1])).penalties[term.name]


def entries(model: nn.Module, layers: str) -> list[float]:
    """Every entry of every matrix, or of the first, one at a time."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    return [e for p in matrices[: 1 if layers == "first" else None] for e in p.flatten().tolist()]


def groups(matrix: torch.Tensor) -> float:
    """Sparse group lasso of one matrix: columns are the units it reads."""
    total = sum(abs(e) for e in matrix.flatten().tolist())
    rows, columns = matrix.shape
    for c in range(columns):
        norm = math.sqrt(sum(float(matrix[r, c]) ** 2 for r in range(rows)))
        total += math.sqrt(rows) * norm
    return total


@pytest.mark.parametrize("layers", ["all", "first"])
def test_l1_is_the_mean_over_entries_of_matrices_and_leaves_biases_out(layers: Any) -> None:
    model = network()
    listed = entries(model, layers)
    expected = sum(map(abs, listed)) / len(listed)
    assert float(value(model, training.WeightL1(layers)).detach()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("layers", ["all", "first"])
@pytest.mark.parametrize("squared", [False, True])
def test_l2_is_the_norm_of_all_entries_together_or_its_square(layers: Any, squared: bool) -> None:
    model = network()
    square = sum(e * e for e in entries(model, layers))
    got = value(model, training.WeightL2(layers, squared=squared))
    assert float(got.detach()) == pytest.approx(square if squared else math.sqrt(square), rel=1e-12)


def test_sparse_group_lasso_of_the_first_layer_has_a_group_for_each_feature() -> None:
    model = network()
    got = value(model, training.SparseGroupLasso("first"))
    assert float(got.detach()) == pytest.approx(groups(model[0].weight.detach()), rel=1e-12)


def test_sparse_group_lasso_of_all_layers_adds_twice_the_mean_of_each_bias() -> None:
    model = network()
    expected = groups(model[0].weight.detach()) + groups(model[2].weight.detach())
    for bias in (model[0].bias, model[2].bias):
        expected += 2 * sum(abs(b) for b in bias.tolist()) / len(bias)
    got = value(model, training.SparseGroupLasso())
    assert float(got.detach()) == pytest.approx(expected, rel=1e-12)


def test_groups_of_a_convolution_are_its_input_channels() -> None:
    kernel = torch.randn(5, 2, 3, 3, dtype=torch.float64)
    flat = torch.stack([kernel[:, c].flatten() for c in range(2)], dim=1)
    got = training.SparseGroupLasso().of([kernel], [])
    assert float(got) == pytest.approx(groups(flat), rel=1e-12)


@pytest.mark.parametrize("term", [training.WeightL2(), training.SparseGroupLasso("first")])
def test_zero_groups_have_a_finite_gradient(term: Any) -> None:
    model = nn.Linear(4, 3)
    with torch.no_grad():
        model.weight[:, 1] = 0
        if isinstance(term, training.WeightL2):
            model.weight.zero_()
    value(model, term).backward()
    assert model.weight.grad is not None
    assert bool(torch.isfinite(model.weight.grad).all())
    assert not model.weight.grad[:, 1].any()


@pytest.mark.parametrize(
    "term",
    [training.WeightL1(), training.WeightL2(), training.WeightL2(squared=True), training.SparseGroupLasso()],
)
def test_gradients_are_those_of_finite_differences(term: Any) -> None:
    weights = [torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b, c: term.of([a, b], [c]), (*weights, bias))


@pytest.mark.parametrize("make", TERMS)
def test_frozen_matrices_do_not_count(make: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    model[0].requires_grad_(False)
    torch.testing.assert_close(value(model, make()), value(model[1], make()))


def test_label_names_it() -> None:
    assert training.WeightL1(label="decay").name == "decay"


@pytest.mark.parametrize("make", TERMS)
def test_a_model_without_matrices_is_refused(make: Any) -> None:
    model = nn.Linear(4, 3)
    model.weight.requires_grad_(False)
    with pytest.raises(InputError, match=f"{make.__name__} shrinks.*Linear has none that are trainable"):
        value(model, make())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"every": 0}, "at least 1"),
        ({"weight": -1.0}, "negative"),
        ({"layers": "last"}, "'all' or 'first'.*'last'"),
    ],
)
@pytest.mark.parametrize("make", TERMS)
@pytest.mark.usefixtures("without_type_checks")
def test_bad_fields_are_refused(make: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**fields)
