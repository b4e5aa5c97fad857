"""Files written as the AnnData format says, with h5py alone."""

import numpy as np
import pytest
import torch

from rightreasons.core._errors import DataError
from rightreasons.core._sparse_rows import SparseRows
from rightreasons.data import outline, read
from rightreasons.data.readers import _anndata

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
    with pytest.raises(
        DataError, match="names of genes: 1 are given more than once, such as 'MYC', .*var_names_make_unique"
    ):
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


def test_cells_that_share_a_name_are_refused_unless_a_column_names_them(written):
    path = written()
    with h5py.File(path, "r+") as file:
        del file["obs/_index"]
        file["obs"].create_dataset("_index", data=["c1", "c2", "c1", "c2"], dtype=TEXT)
        file["obs"].create_dataset("barcode", data=["b1", "b2", "b3", "b4"], dtype=TEXT)
    with pytest.raises(
        DataError, match="names of cells, .*: 2 are given more than once, such as 'c1', .*obs_names_"
    ):
        read(path)
    assert read(path, id="barcode").named("b3").x.tolist() == [X[2].tolist()]


@pytest.mark.parametrize("kind", ["csr", "csc"])
@pytest.mark.parametrize(
    ("part", "change", "match"),
    [
        ("indptr", lambda a: a[:-1], "indptr has . entries and needs"),
        ("indptr", lambda a: np.concatenate([a[:1], a]), "indptr has . entries and needs"),
        ("indptr", lambda a: a + 1, "indptr goes from 1 to 7, data has 6 entries, indices 6"),
        ("indptr", lambda a: np.concatenate([a[:1], a[-1:], a[2:]]), "indptr falls"),
        ("indptr", lambda a: a.astype(float), "must be integers"),
        ("data", lambda a: a[:-1], "data has 5 entries, indices 6"),
        ("data", lambda a: a.astype(complex), "must hold numbers; got complex128"),
        ("data", lambda a: a[:, None], "must be one-dimensional"),
        ("indices", lambda a: np.where(a == a[2], -1, a), "indices go from -1 to"),
        ("indices", lambda a: a + 4, "indices go from 4 to ., and must be in 0"),
        ("indices", lambda a: a[:2], "indices 2"),
    ],
)
def test_a_compressed_matrix_whose_parts_do_not_fit_is_refused(written, kind, part, change, match):
    path = written(kind)
    with h5py.File(path, "r+") as file:
        values = change(file["X"][part][()])
        del file["X"][part]
        file["X"][part] = values
    with pytest.raises(DataError, match=match):
        read(path)


def test_other_wrong_forms_are_refused(written, tmp_path):
    def broken(change, matrix="csr", **options):
        path = written(matrix)
        with h5py.File(path, "r+") as file:
            change(file)
        with pytest.raises(DataError, match=r"cells\.h5ad") as caught:
            read(path, **options)
        return str(caught.value)

    def replaced(name, value):
        def change(file):
            del file[name]
            file[name] = value

        return change

    assert "has a matrix (4, 30)" in broken(lambda file: file["X"].attrs.modify("shape", (4, 30)))
    assert "has a matrix ()" in broken(lambda file: file["X"].attrs.pop("shape"))
    assert "of the kind 'array'" in broken(lambda file: file["X"].attrs.modify("encoding-type", "array"))
    assert "KeyError" in broken(lambda file: file["X"].pop("indices"))
    other = written("dense").rename(tmp_path / "other.h5ad")
    link = h5py.ExternalLink(str(other), "/layers/counts")
    assert "lies in another file" in broken(replaced("X", link), "dense")
    assert "shape (3,), for 4 rows" in broken(replaced("obs/age", np.ones(3)), target="age")
    assert "shape (1,), for 4 rows" in broken(replaced("obs/age", 1.0), target="age")
    assert "codes" in broken(replaced("obs/cell_type/codes", np.array([0, 1, 2, 7])), target="cell_type")
    assert "is a group" in broken(replaced("obs/cell_type/codes", h5py.SoftLink("/obs")), target="cell_type")


def test_absurd_shapes_are_refused_before_anything_is_allocated(written):
    path = written()
    with h5py.File(path, "r+") as file:
        del file["obs/_index"]
        file["obs"].create_dataset("_index", shape=(10**12,), dtype=TEXT, chunks=(1000,))
    with pytest.raises(DataError, match=r"/obs/_index has the shape \(1000000000000,\) and holds 0 values"):
        read(path)


@pytest.mark.parametrize(
    ("dtype", "expected"), [("f4", "f4"), ("f8", "f8"), ("i8", "f4"), ("u2", "f4"), ("?", "f4")]
)
def test_single_precision_where_it_is_exact(written, dtype, expected):
    path = written()
    with h5py.File(path, "r+") as file:
        file["layers"]["own"] = X.astype(dtype)
        file["layers"]["large"] = X.astype("i8") + 2**24
    assert read(path, layer="own").x.numpy().dtype == np.dtype(expected)
    assert read(path, layer="large").x.tolist() == (X.astype("i8") + 2**24).tolist()


@pytest.mark.parametrize("kind", ["csr", "csc"])
@pytest.mark.parametrize("index", [np.int32, np.int64, np.uint16])
@pytest.mark.parametrize("of", [np.float32, np.float64, np.int16, np.bool_])
def test_a_large_compressed_matrix_stays_so(written, monkeypatch, kind, index, of):
    monkeypatch.setattr(_anndata, "_SPARSE_FROM", 0)
    x = np.random.default_rng(0).integers(0, 9, (4, 3)) * np.eye(4, 3, dtype=np.int64)
    matrix = sparse.csr_matrix(x.astype(of)) if kind == "csr" else sparse.csc_matrix(x.astype(of))
    matrix.indices, matrix.indptr = matrix.indices.astype(index), matrix.indptr.astype(np.int64)
    path = written("none")
    with h5py.File(path, "r+") as file:
        put_sparse(file, "X", matrix, f"{kind}_matrix")
    found = read(path, target="cell_type")
    assert isinstance(found.x, SparseRows)
    assert isinstance(found.rows(torch.tensor([3, 0])).x, SparseRows)
    monkeypatch.setattr(_anndata, "_SPARSE_FROM", 100)
    dense = read(path, target="cell_type")
    assert type(dense.x) is torch.Tensor
    assert torch.equal(found.x.to_dense(), dense.x)
    assert (found.x.dtype, found.x.tolist()) == (dense.x.dtype, x.astype(of).tolist())
    assert outline(found) == outline(dense)


@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_entries_of_a_sparse_matrix_given_twice_and_in_any_order_add_up(written, monkeypatch, kind):
    monkeypatch.setattr(_anndata, "_SPARSE_FROM", 0)
    monkeypatch.setattr(_anndata, "_ROWS_AT_ONCE", 2)
    path = written("none")
    parts = np.array([1, 2, 3, 4, 5], np.float32), np.array([2, 0, 2, 1, 1]), np.array([0, 3, 3, 3, 5])
    make = sparse.csr_matrix if kind == "csr" else sparse.csc_matrix
    shape = (4, 30) if kind == "csr" else (30, 4)
    with h5py.File(path, "r+") as file:
        del file["var"], file["obs"]
        put_table(file, "var", [f"g{i}" for i in range(shape[1])])
        put_table(file, "obs", [f"c{i}" for i in range(shape[0])])
        put_sparse(file, "X", make(parts, shape=shape), f"{kind}_matrix")
    found = read(path).x
    assert isinstance(found, SparseRows)
    assert torch.equal(found.to_dense(), torch.from_numpy(make(parts, shape=shape).toarray()))
