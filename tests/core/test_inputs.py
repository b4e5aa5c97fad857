"""Inputs, baselines and references: what fits, and what is said when it does not."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import rightreasons as rr
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._inputs import as_tuple, check_inputs, like, matching_rows


def test_one_tensor_is_a_tuple_of_one_and_back() -> None:
    x = torch.zeros(2, 3)
    assert as_tuple(x) == (x,)
    assert as_tuple((x, x)) == (x, x)
    assert like([x], x) is x
    assert like([x], (x,)) == (x,)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (3, 2, 5, 5)], ids=str)
def test_rows_are_counted(shape: tuple[int, ...]) -> None:
    assert check_inputs(torch.zeros(shape)) == 3
    assert check_inputs((torch.zeros(shape), torch.zeros(3, 1))) == 3
    assert check_inputs(torch.zeros(shape, dtype=torch.int64), integers_allowed=True) == 3


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "no tensors": ((), InputError, "inputs is an empty tuple"),
    "a number": (
        torch.tensor(1.0),
        ShapeError,
        r"must have a batch dimension; got a 0-d tensor. Add one: x\[None\]",
    ),
    "rows differ": ((torch.zeros(2, 1), torch.zeros(3, 1)), ShapeError, r"got \[\(2, 1\), \(3, 1\)\]"),
    "no rows": (torch.zeros(0, 4), InputError, r"inputs has no rows \(shape \(0, 4\)\): skip empty batches"),
    "integers": (torch.zeros(2, 4, dtype=torch.int64), InputError, "got torch.int64.*at='embedding'"),
    "sparse": (
        torch.eye(2).to_sparse(),
        InputError,
        r"must hold their numbers densely; got torch.sparse_coo on cpu",
    ),
    "no numbers": (torch.zeros(2, 4, device="meta"), InputError, "got torch.strided on meta"),
    "booleans": (torch.zeros(2, 4, dtype=torch.bool), InputError, "got torch.bool"),
    "NaN": (torch.tensor([[0, torch.nan], [1, 2]]), InputError, "inputs has 1 NaN or infinite values of 4"),
    "infinite": (
        torch.tensor([[torch.inf, -torch.inf]]),
        InputError,
        "inputs has 2 NaN or infinite values of 2",
    ),
    "NaN in the second": (
        (torch.zeros(1, 2), torch.tensor([torch.nan])),
        InputError,
        "inputs has 1 NaN or infinite values of 1",
    ),
}


@pytest.mark.parametrize(("inputs", "error", "words"), WRONG.values(), ids=WRONG)
def test_inputs_that_cannot_be_explained(inputs: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        check_inputs(inputs)
    for method in (
        rr.Gradient(),
        rr.InputTimesGradient(),
        rr.IntegratedGradients(),
        rr.ExpectedGradients(torch.zeros(2, 4)),
    ):
        with pytest.raises(error, match=words):
            method(lambda *x: x[0].sum(1), inputs)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    "inputs", [np.zeros((2, 3)), [torch.zeros(2, 3)], (torch.zeros(2, 3), 1.0)], ids=repr
)
def test_inputs_that_are_no_tensors(inputs: Any) -> None:
    with pytest.raises(
        InputError, match=r"must be a tensor or a tuple of tensors, batch first; got .*as_tensor"
    ):
        check_inputs(inputs)


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (2.0, [[2, 2]]),
        (3, [[3, 3]]),
        ([1, 2], [[1, 2]]),
        ([[1, 2]], [[1, 2]]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
    ],
)
def test_baselines_become_rows_of_the_dtype_of_the_inputs(value: Any, rows: Any) -> None:
    value = torch.tensor(value) if isinstance(value, list) else value
    (got,) = matching_rows(value, torch.zeros(2, 2, dtype=torch.float64), what="baseline")
    assert got.dtype == torch.float64
    assert got.tolist() == rows


def test_a_square_row_is_not_taken_for_a_batch() -> None:
    """Inputs (3, 3, 3): a (3, 3) baseline is one row, not three."""
    value = torch.arange(9.0).reshape(3, 3)
    (got,) = matching_rows(value, torch.zeros(3, 3, 3), what="baseline")
    assert got.shape == (1, 3, 3)


def test_rows_without_features() -> None:
    x = torch.zeros(3)
    assert matching_rows(torch.tensor(1.0), x, what="baseline")[0].tolist() == [1]
    assert matching_rows(torch.arange(3.0), x, what="baseline")[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "inputs", "batched", "words"),
    [
        (
            torch.zeros(3),
            torch.zeros(2, 2),
            False,
            r"baseline of shape \(3,\) does not fit inputs of shape \(2, 2\)",
        ),
        (torch.zeros(3, 2), torch.zeros(2, 2), False, r"expected \(2\), \(1, 2\) or \(2, 2\)"),
        (torch.zeros(5, 3), torch.zeros(2, 2), True, r"expected \(R, 2\)"),
        ((torch.zeros(2),), (torch.zeros(2, 2),) * 2, False, "baseline has 1 tensors for 2 inputs"),
    ],
)
def test_values_that_fit_no_row(value: Any, inputs: Any, batched: bool, words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        matching_rows(value, inputs, what="baseline", batched=batched)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.5, "baseline=0.5 cannot stand in for integer inputs: give an integer"),
        (float("nan"), "baseline=nan cannot stand in for integer inputs"),
        (torch.full((2,), 0.5), "baseline is torch.float32 where inputs are torch.int64: rounding it"),
    ],
)
def test_fractions_do_not_stand_in_for_tokens(value: Any, words: str) -> None:
    tokens = torch.zeros(3, 2, dtype=torch.int64)
    with pytest.raises(InputError, match=words):
        matching_rows(value, tokens, what="baseline")
    (pad,) = matching_rows(7.0, tokens, what="baseline")
    assert torch.equal(pad, torch.full((1, 2), 7))


def test_partial_batches_are_no_special_case() -> None:
    """The last batch of a loader, one row included, gives the rows of the whole."""
    model, x = torch.nn.Linear(4, 3).double(), torch.randn(7, 4, dtype=torch.float64)
    method = rr.IntegratedGradients(steps=4)
    parts: list[Tensor] = [method(model, batch, 1) for batch in x.split(3)]
    torch.testing.assert_close(torch.cat(parts), method(model, x, 1))


def test_expanded_and_transposed_inputs() -> None:
    model, x = torch.nn.Linear(4, 3).double(), torch.randn(4, 1, dtype=torch.float64)
    wide = x.T.expand(3, 4)
    for method in (rr.InputTimesGradient(), rr.IntegratedGradients(steps=3)):
        torch.testing.assert_close(method(model, wide, 1), method(model, wide.contiguous(), 1))
