"""A recipe on a matrix that is compressed in its file: never dense as a whole, and the same numbers as if it were."""

import json
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from safetensors.numpy import load_file

from rightreasons import audit, runs
from rightreasons.attribution.path import _expected
from rightreasons.core._errors import RecipeError
from rightreasons.core._sparse_rows import SparseRows
from rightreasons.core.model import _memory
from rightreasons.data.readers import _anndata
from rightreasons.recipes import read
from rightreasons.runs.setup import _datasets as _rows

h5py = pytest.importorskip("h5py")
ROWS, GENES = 90, 40
WHOLE = SparseRows.to_dense
RECIPE = """
name: cells
data: {path: cells.h5ad, target: kind, train: 40, validation: 20, splits: 1, preprocessing: {indicators: true}}
model: {name: mlp, hidden: [6]}
training: {epochs: 2, batch_size: 8, precision: 64-true}
noise: {gaussian: [0.1], salt_and_pepper: [0.1]}
explain: {rows: 6, attribution: {name: expected_gradients, samples: 4}}
arms:
  - {name: Plain}
  - name: Gini
    terms: [{prior: gini, attribution: {name: expected_gradients, samples: 2, references: train}}]
    weights: [0.1]
  - {name: Learned, terms: [{prior: {name: learned, statistics: [mean, sd, missing], network: linear}}], weights: [1]}
"""
PEERS = """
  - {name: Lasso, peer: lasso, weights: [0.05]}
  - {name: Boosting, peer: {name: gradient_boosting, rounds: 2}, weights: [0.3]}
"""


@pytest.fixture
def folder(tmp_path):
    draws = np.random.default_rng(0)
    x = draws.integers(1, 9, (ROWS, GENES)) * (draws.random((ROWS, GENES)) < 0.2).astype(np.float32)
    x[:, 7] = np.where(np.arange(ROWS) % 9, x[:, 7], np.nan)
    filled = x != 0
    with h5py.File(tmp_path / "cells.h5ad", "w") as file:
        matrix = file.create_group("X")
        matrix.attrs["encoding-type"], matrix.attrs["shape"] = "csr_matrix", x.shape
        matrix["data"], matrix["indices"] = x[filled], filled.nonzero()[1].astype(np.int32)
        matrix["indptr"] = np.concatenate([[0], filled.sum(1).cumsum()])
        for part, names in (
            ("obs", [f"c{i}" for i in range(ROWS)]),
            ("var", [f"g{i}" for i in range(GENES)]),
        ):
            table = file.create_group(part)
            table.attrs["_index"] = "_index"
            table.create_dataset("_index", data=names, dtype=h5py.string_dtype())
        file["obs"]["kind"] = (np.nan_to_num(x)[:, :5].sum(1) > 5).astype(np.int8)
    return tmp_path


def trained(folder, name, recipe=RECIPE):
    for cache in (_rows._rows, _rows._parts):
        cache.cache_clear()
    (folder / "recipe.yaml").write_text(recipe)
    return runs.run(read(folder / "recipe.yaml"), folder / name, workers=0)


@pytest.fixture
def sparse(monkeypatch):
    monkeypatch.setattr(_anndata, "_SPARSE_FROM", 0)
    monkeypatch.setattr(_expected, "INTERPOLATED_REFERENCES", 8)  # with more, not all are needed at once


def few(self):
    assert self.numel() <= 12 * GENES, f"{self!r} was made dense"
    return WHOLE(self)


def used(run, folder):
    """All that was measured and is said of cells, in numbers."""
    network = runs.load(run.path)
    cells = network.read(folder / "cells.h5ad")
    store = folder / f"{run.path.name}.zarr"
    runs.explain(runs.Job(str(run.path), str(folder / "cells.h5ad"), rows=10), store)
    stored: Any = zarr.open_group(store, mode="r")
    attacked = audit.robustness_of_run(network, eps=0.1, attack="top-k", rows=3, steps=2)
    files = sorted(each for each in run.path.rglob("*") if each.suffix in (".npz", ".safetensors"))
    found = {
        "losses": [each["loss"] for each in run.history()],
        "noise": [
            [level for kind in examined["noise"].values() for each in kind for level in each.values()]
            for examined in (
                json.loads(each.read_text()) for each in sorted(run.path.glob("examined/*.json"))
            )
        ],
        "predicted": network.outputs(cells.x),
        "evaluated": list(network.evaluate(cells).values()),
        "seen": network.seen(cells),
        "streamed": stored["maps"][:],
        "attacked": attacked.found.adversarial,
    }
    for file in files:
        values = load_file(file) if file.suffix == ".safetensors" else dict(np.load(file))
        found |= {f"{file.name} {name}": each for name, each in values.items()}
    return cells, {name: np.asarray(each) for name, each in found.items()}


def test_a_run_on_a_sparse_matrix_is_that_on_the_dense_one(folder, sparse, monkeypatch):
    with monkeypatch.context() as guarded:
        guarded.setattr(SparseRows, "to_dense", few)
        cells, found = used(trained(folder, "sparse"), folder)
    assert isinstance(cells.x, SparseRows)
    monkeypatch.setattr(_anndata, "_SPARSE_FROM", 2**24)
    cells, expected = used(trained(folder, "dense"), folder)
    assert type(cells.x) is torch.Tensor
    assert found.keys() == expected.keys()
    assert found["seen"].sum() == 60
    for name, values in expected.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=1e-6, err_msg=name)
        else:
            assert np.array_equal(found[name], values), name


def test_peers_take_all_rows_at_once_if_these_fit_into_memory(folder, sparse, monkeypatch):
    recipe = RECIPE.partition("  - name: Gini")[0] + PEERS
    done = trained(folder, "fits", recipe)
    statuses = [json.loads(each.read_text())["status"] for each in done.path.glob("fits/*.json")]
    assert statuses == ["ok"] * 3
    monkeypatch.setattr(_memory, "free_bytes", lambda device: 4 * 40 * GENES - 1)
    with pytest.raises(
        RecipeError, match=r"arm 'Lasso': A sparse table \(40, 41\) is needed dense and as a whole"
    ):
        trained(folder, "does not", recipe)
    assert not (folder / "does not").exists()
