import copy
import pickle

import numpy as np
import pytest
import torch

import rightreasons as rr
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import check_inputs
from rightreasons.core._sparse_rows import SparseRows, columns_in_blocks
from rightreasons.core.files._disk import digest_of_tensors
from rightreasons.core.model import _memory


@pytest.fixture
def dense():
    x = torch.randn(9, 6, dtype=torch.float64) * (torch.rand(9, 6) < 0.4)
    x[4] = 0.0
    x[:, 2] = torch.randn(9)
    x += torch.tensor([0.0, 2.0, 0.0, -1.0, 0.0, 0.0])
    return x


@pytest.fixture
def sparse(dense):
    background = torch.tensor([0.0, 2.0, 0.0, -1.0, 0.0, 0.0], dtype=torch.float64)
    rows, places = dense.ne(background).nonzero(as_tuple=True)
    mixed = torch.randperm(len(rows))
    return SparseRows.of(rows[mixed], places[mixed].int(), dense[rows, places][mixed], background, 9)


@pytest.fixture
def never_whole(monkeypatch):
    """Making a table dense as a whole fails."""

    def refuse(self):
        raise AssertionError(f"{self!r} was made dense")

    return lambda: monkeypatch.setattr(SparseRows, "to_dense", refuse)


ROWS = [
    torch.tensor([3, 0, 3, -1]),
    torch.tensor([], dtype=torch.int64),
    torch.arange(9) % 2 == 0,
    torch.tensor([[0, 1], [4, -2]]),
    [2, 5],
    slice(2, 7),
    slice(None, -3),
    slice(1, None, 3),
    slice(7, 2),
    -2,
    (slice(None), 2),
    (slice(None), -1),
    (slice(None), [4, 0]),
    (slice(None), [1, 1]),
    (3, 1),
    (torch.tensor([0, 2]), torch.tensor([1, 2])),
    None,
    ...,
]


@pytest.mark.parametrize("index", ROWS, ids=str)
def test_what_is_indexed_is_what_the_dense_table_holds(dense, sparse, index):
    assert torch.equal(sparse[index], dense[index])


@pytest.mark.parametrize("index", [*ROWS[:3], *ROWS[4:9]], ids=str)
def test_rows_are_indexed_and_selected_without_the_dense_table(dense, sparse, index, never_whole):
    never_whole()
    assert torch.equal(sparse[index], dense[index])
    kept = sparse.rows(index)
    assert isinstance(kept, SparseRows)
    assert torch.equal(kept.dense(slice(None)), dense[index])
    with pytest.raises(IndexError):
        sparse[torch.tensor([9])]


def test_precision_and_statistics_of_references_need_no_dense_table(dense, sparse, never_whole):
    never_whole()
    single = sparse.float()
    assert (single.dtype, single.shape, len(single)) == (torch.float32, dense.shape, 9)
    assert torch.equal(single.dense(slice(None)), dense.float())
    mean = (dense / 9).sum(0)
    assert torch.allclose((sparse / 9).sum(0), mean, atol=1e-15)
    assert torch.equal((sparse - mean).detach().abs().amax(0), (dense - mean).abs().amax(0))
    assert check_inputs(sparse) == 9
    blocks = list(columns_in_blocks(sparse, [5, 0, 2]))
    assert torch.equal(torch.cat([values for _, values in blocks], 1), dense[:, [5, 0, 2]])


def test_everything_else_is_done_with_the_dense_table(dense, sparse):
    layer = torch.nn.Linear(6, 2).double()
    for do in (layer, torch.tanh, lambda x: x @ x.mT, lambda x: x.mean(0), lambda x: torch.cat([x, x + 1])):
        assert torch.equal(do(sparse), do(dense))
    assert np.array_equal(np.asarray(sparse), dense.numpy())
    assert sparse.tolist() == dense.tolist()
    assert torch.equal(copy.deepcopy(sparse).to_dense(), dense)
    assert torch.equal(pickle.loads(pickle.dumps(sparse)).to_dense(), dense)
    assert digest_of_tensors({"x": sparse}) == digest_of_tensors({"x": sparse.rows(slice(None))})
    assert digest_of_tensors({"x": sparse}) != digest_of_tensors({"x": sparse * 2})
    assert repr(sparse).startswith("SparseRows(9 x 6")


def test_it_is_not_written_to_and_not_made_dense_beyond_memory(dense, sparse, monkeypatch):
    for write in (lambda: sparse.add_(1), lambda: torch.add(dense, 1, out=sparse), lambda: sparse.zero_()):
        with pytest.raises(InputError, match=r"sparse table \(9, 6\) cannot be written to"):
            write()
    changed = sparse.clone()
    changed[0] = 7.0
    assert torch.equal(sparse.to_dense(), dense)
    monkeypatch.setattr(_memory, "free_bytes", lambda device: 400)
    with pytest.raises(InputError, match=r"\(9, 6\) is needed dense and as a whole here.* Take fewer rows"):
        torch.tanh(sparse)


def test_values_that_are_not_finite_are_found(sparse):
    sparse.entries[0] = torch.nan
    with pytest.raises(InputError, match="has 1 NaN or infinite values of 54"):
        check_inputs(sparse)


@pytest.mark.parametrize(
    "options",
    [
        *({"estimator": each()} for each in (rr.ControlVariate, rr.Complete, rr.Kriging)),
        {},
        {"draws": "per_row"},
    ],
    ids=str,
)
def test_references_may_be_sparse(dense, sparse, options):
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    maps = [
        rr.ExpectedGradients(references, samples=16, **options).explain(
            model, dense[:3], generator=torch.Generator().manual_seed(0)
        )
        for references in (dense, sparse)
    ]
    torch.testing.assert_close(maps[0].maps, maps[1].maps, atol=1e-12, rtol=1e-12)


def test_explained_rows_may_be_sparse(dense, sparse):
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)).double()
    for method in (
        rr.Gradient(),
        rr.IntegratedGradients(),
        rr.SmoothGrad(samples=3),
        rr.DeepLift(),
        rr.LRP(),
    ):
        found = [method(model, x, generator=torch.Generator().manual_seed(0)) for x in (dense, sparse)]
        torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=1e-12)
