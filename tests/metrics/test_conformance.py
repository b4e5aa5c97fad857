"""What every metric promises, over the case table."""

import inspect

import pytest
import torch
from torch import Tensor

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.metrics import METRICS, channel_sum
from tests.metrics.cases import BATCH, CASES, Case

pytestmark = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def oracle(case: Case, a: Tensor, b: Tensor) -> list[float]:
    if not case.signed:
        a, b = channel_sum(a), channel_sum(b)
    return [case.oracle(row_a, row_b) for row_a, row_b in zip(a, b, strict=True)]


def close(actual: Tensor, expected: Tensor) -> None:
    # Metrics are sums of at most some thousands of float64 terms.
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12, equal_nan=True)


def test_equals_its_oracle(case: Case):
    a, b = case.pair()
    close(case.metric(a, b), torch.tensor(oracle(case, a, b), dtype=torch.float64))


def test_equals_its_oracle_where_values_tie(case: Case):
    a, b = ((2 * maps).round() for maps in case.pair(1))
    close(case.metric(a, b), torch.tensor(oracle(case, a, b), dtype=torch.float64))


def test_equal_maps_give_the_value_the_table_says(case: Case):
    a, _ = case.pair()
    assert torch.equal(case.metric(a, a), torch.full((BATCH,), case.row.equal, dtype=torch.float64))


def test_direction_and_bounds_are_what_the_table_says(case: Case):
    a, b = case.pair()
    related, unrelated = case.metric(a, b), case.metric(a, case.pair(5)[0])
    assert bool(related.mean() > unrelated.mean()) is case.row.higher_is_better
    low, high = case.row.bounds
    if "uniform" not in case.name:
        assert low is None or unrelated.min() >= low
    assert high is None or unrelated.max() <= high


def test_positive_scale_changes_nothing(case: Case):
    a, b = case.pair()
    close(case.metric(4 * a, 0.5 * b), case.metric(a, b))
    # The end of the range of float32; powers of two, so that nothing is rounded.
    single_a, single_b = case.pair(dtype=torch.float32)
    extreme = case.metric(2.0**-100 * single_a, 2.0**90 * single_b)
    torch.testing.assert_close(extreme, case.metric(single_a, single_b), rtol=1e-5, atol=1e-5)
    largest = 2.0 ** (
        125 - case.shape[0] if len(case.shape) > 2 else 125
    )  # the sum over channels has to be finite
    extreme = case.metric(largest / 4 * single_a, largest / 4 * single_b)
    torch.testing.assert_close(extreme, case.metric(single_a, single_b), rtol=1e-5, atol=1e-5)


def test_offset_changes_nothing_where_it_should_not(case: Case):
    a, b = (channel_sum(maps) for maps in case.pair())
    moved = case.metric(a - 1, b)
    assert bool(torch.isclose(moved, case.metric(a, b), rtol=1e-9).all()) is case.shift_free


def test_a_row_depends_on_itself_alone(case: Case):
    a, b = case.pair()
    order = torch.tensor([2, 0, 3, 1])
    close(case.metric(a[order], b[order]), case.metric(a, b)[order])
    close(case.metric(a[:1], b[:1]), case.metric(a, b)[:1])


def test_dtype_and_shape(case: Case):
    a, b = case.pair(dtype=torch.float32)
    value = case.metric(a, b)
    assert value.shape == (BATCH,)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), case.metric(a.double(), b.double()), rtol=1e-4, atol=1e-6)
    assert case.metric(a.bfloat16(), b.bfloat16()).dtype == torch.float32
    assert case.metric(a, b.double()).dtype == torch.float64


def test_layout_in_memory_does_not_matter(case: Case):
    a, b = case.pair()
    strided = a.transpose(0, -1).contiguous().transpose(0, -1)
    close(case.metric(strided, b), case.metric(a, b))


def test_leaves_maps_and_global_rng_alone(case: Case):
    (a, b), (kept_a, kept_b), state = case.pair(), case.pair(), torch.get_rng_state()
    case.metric(a, b)
    assert torch.equal(a, kept_a)
    assert torch.equal(b, kept_b)
    assert torch.equal(state, torch.get_rng_state())


def test_all_zero_row_is_nan_and_alone_in_it(case: Case):
    a, b = case.pair()
    expected = case.metric(a, b)
    a[1] = 0
    if case.name == "sign_agreement":
        assert case.metric(a, b)[1] == 0  # a zero disagrees with a sign
        b[1] = 0
    value = case.metric(a, b)
    assert value.isnan().tolist() == [False, True, False, False]
    close(value[[0, 2, 3]], expected[[0, 2, 3]])


def test_maps_with_graph_are_accepted(case: Case):
    a, b = case.pair()
    value = case.metric(a.requires_grad_(), b)
    assert torch.equal(value.detach(), case.metric(a.detach(), b))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_non_finite_maps_are_refused_by_row(case: Case, bad: float):
    a, b = case.pair()
    b.flatten(1)[2, 1] = bad
    with pytest.raises(InputError, match=r"NaN or infinite entries in 1 of 4 rows, first in row 2"):
        case.metric(a, b)


@pytest.mark.usefixtures("without_type_checks")
def test_maps_of_the_wrong_kind_are_refused(case: Case):
    a, b = case.pair()
    with pytest.raises(ShapeError, match=r"compares maps of one shape, row by row; got \(4, .*\) and \(3, "):
        case.metric(a, b[:3])
    with pytest.raises(ShapeError, match=r"at least one row and one position; got \(3,\)"):
        case.metric(torch.ones(3), torch.ones(3))
    with pytest.raises(ShapeError, match=r"got \(0, 5\)"):
        case.metric(torch.ones(0, 5), torch.ones(0, 5))
    with pytest.raises(InputError, match=r"got dtype torch.int64. Pass maps.float\(\)"):
        case.metric(a.long(), b.long())
    with pytest.raises(InputError, match=r"a must be a tensor; got .*Convert: torch.as_tensor"):
        case.metric(a.tolist(), b.tolist())


def test_the_table_says_what_the_signature_says(case: Case):
    row = METRICS[case.row.name]
    parameters = inspect.signature(row.function).parameters
    required = [name for name, value in parameters.items() if value.default is value.empty]
    assert tuple(required) == ("a", "b", *row.needs)
    assert ("adjust" in parameters) is row.chance
    assert row.kind == "agreement"
    assert row.summary
