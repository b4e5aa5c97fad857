"""Files written as the AnnData format says, with h5py alone."""

import numpy as np
import pytest
import torch

from rightreasons.core._errors import DataError
from rightreasons.data import read

h5py = pytest.importorskip("h5py")
sparse = pytest.importorskip("scipy.sparse")
pytest.importorskip("pandas")

X = np.array([[0.0, 1.5, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 1.0]], np.float32)
TEXT = h5py.string_dtype()


def put_sparse(group, name, matrix, kind):
    made = group.create_group(name)
    made.attrs["encoding-type"], made.attrs["shape"] = kind, matrix.shape
    for part in ("data", "indices", "indptr"):
        made[part] = getattr(matrix, part)


def put_table(file, name, index):
    table = file.create_group(name)
    table.attrs["_index"] = "_index"
    table.create_dataset("_index", data=index, dtype=TEXT)
    return table


@pytest.fixture
def written(tmp_path):
    def write(matrix="dense", genes=("TP53", "MYC", "KRAS")):
        path = tmp_path / "cells.h5ad"
        with h5py.File(path, "w") as file:
            if matrix == "dense":
                file["X"] = X
            elif matrix == "csr":
                put_sparse(file, "X", sparse.csr_matrix(X), "csr_matrix")
            elif matrix == "csc":
                put_sparse(file, "X", sparse.csc_matrix(X), "csc_matrix")
            file.create_group("layers")["counts"] = 2 * X
            put_table(file, "var", list(genes))
            obs = put_table(file, "obs", ["c1", "c2", "c3", "c4"])
            cells = obs.create_group("cell_type")
            cells["codes"] = np.array([1, 0, 1, 0], np.int8)
            cells.create_dataset("categories", data=["B", "T"], dtype=TEXT)
            obs["age"] = np.array([20.5, 30.5, 40.5, 50.5])
            obs.create_dataset("donor", data=["d1", "d1", "d2", "d2"], dtype=TEXT)
            alive = obs.create_group("alive")
            alive["values"], alive["mask"] = np.array([1, 0, 1, 0], bool), np.array([0, 0, 0, 1], bool)
            obs["old"] = np.array([0, 1, 0, 1], np.int8)
            obs.create_group("__categories").create_dataset("old", data=["no", "yes"], dtype=TEXT)
        return path

    return write


@pytest.mark.parametrize("matrix", ["dense", "csr", "csc"])
def test_matrices_are_the_same_however_stored(written, matrix):
    data = read(written(matrix), target="cell_type", group="donor")
    assert torch.equal(data.x, torch.from_numpy(X))
    assert data.feature_names == ("TP53", "MYC", "KRAS")
    assert (data.y.tolist(), data.classes) == ([1, 0, 1, 0], ("B", "T"))
    assert (data.ids, data.clusters) == (("c1", "c2", "c3", "c4"), ("d1", "d1", "d2", "d2"))


def test_a_layer_takes_the_place_of_x(written):
    assert torch.equal(read(written(), layer="counts").x, torch.from_numpy(2 * X))
    with pytest.raises(DataError, match="no layer 'count'. Did you mean 'counts'"):
        read(written(), layer="count")
    with pytest.raises(DataError, match="no matrix X. Say which layer to use: layer='counts'"):
        read(written(matrix="none"))


def test_columns_of_every_kind(written):
    path = written()
    assert read(path, target="age").y.tolist() == [20.5, 30.5, 40.5, 50.5]
    assert read(path, target="old").classes == ("no", "yes")
    with pytest.raises(DataError, match="'alive' of .* is missing in 1 of 4 rows, first in row 4"):
        read(path, target="alive")


def test_an_index_of_nullable_text(written):
    path = written()
    with h5py.File(path, "r+") as file:
        del file["obs/_index"]
        index = file["obs"].create_group("_index")
        index.create_dataset("values", data=["a", "b", "c", "d"], dtype=TEXT)
        index["mask"] = np.zeros(4, bool)
    assert read(path).ids == ("a", "b", "c", "d")


def test_entries_given_twice_add_up(written):
    path = written("csr")
    with h5py.File(path, "r+") as file:
        del file["X"]
        twice = sparse.csr_matrix(
            (np.ones(2, np.float32), np.array([0, 0]), np.array([0, 2, 2, 2, 2])), shape=(4, 3)
        )
        put_sparse(file, "X", twice, "csr_matrix")
    assert float(read(path).x[0, 0]) == 2.0


def test_a_file_of_before_0_7_is_read_too(tmp_path):
    with h5py.File(tmp_path / "old.h5ad", "w") as file:
        file["X"] = X
        file["var"] = np.array([(b"TP53",), (b"MYC",), (b"KRAS",)], dtype=[("index", "S8")])
        rows = [(b"c1", 0, 1.5), (b"c2", 1, 2.5), (b"c3", 0, 3.5), (b"c4", 1, 4.5)]
        file["obs"] = np.array(rows, dtype=[("index", "S8"), ("kind", "i1"), ("age", "f4")])
        file.create_group("uns")["kind_categories"] = np.array([b"B", b"T"])
    data = read(tmp_path / "old.h5ad", target="kind")
    assert (data.classes, data.ids[0], data.feature_names[1]) == (("B", "T"), "c1", "MYC")
    assert read(tmp_path / "old.h5ad", target="age").y.tolist() == [1.5, 2.5, 3.5, 4.5]


def test_what_cannot_be_used_is_refused(written, tmp_path):
    with pytest.raises(DataError, match="no column 'celltype' in obs. Did you mean 'cell_type'"):
        read(written(), target="celltype")
    with pytest.raises(DataError, match="1 repeated gene names, such as 'MYC'; .*var_names_make_unique"):
        read(written(genes=("TP53", "MYC", "MYC")))
    with pytest.raises(DataError, match=r"has a matrix \(4, 3\) for 4 rows and 2 genes"):
        read(written(genes=("TP53", "MYC")))
    whole = written().read_bytes()
    (tmp_path / "cut.h5ad").write_bytes(whole[:200])
    with pytest.raises(DataError, match=r"cut\.h5ad cannot be read as AnnData: .*It may be cut short"):
        read(tmp_path / "cut.h5ad")
    with h5py.File(tmp_path / "other.h5ad", "w") as file:
        file["X"] = X
    with pytest.raises(DataError, match="has no 'obs': it is HDF5, but not AnnData"):
        read(tmp_path / "other.h5ad")
