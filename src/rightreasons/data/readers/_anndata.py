"""Read AnnData .h5ad files with h5py.

The file is HDF5: the matrix X (cells or samples x genes) dense or compressed by rows or columns, a table `obs` about
the rows and a table `var` about the columns. A column of a table is an array, or a group that holds codes and
categories, or values and a mask.
"""

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rightreasons.core._errors import DataError
from rightreasons.core._sparse_rows import SparseRows
from rightreasons.core._suggest import did_you_mean, repeats
from rightreasons.core.files._reading import reading, require_room
from rightreasons.data._dataset import Column, DataSet
from rightreasons.data.readers._columns import exact_floats
from rightreasons.data.readers._labels import names_of_rows, read_labels
from rightreasons.data.readers._options import Asked, extra

_ADVICE = (
    "It may be cut short or damaged, or written by a version of anndata before 0.7: read it with anndata and write it "
    "again."
)
_ROWS_AT_ONCE = 256  # whose entries are put in order together
_SPARSE_FROM = 2**24  # numbers of a matrix; a smaller one is dense at no great cost


def read_anndata(path: Path, asked: Asked) -> DataSet:
    """Rows of the matrix with one column per gene; labels, groups and parts from columns of `obs`, ids its index.

    A large compressed matrix stays so. Cost: the arrays that the file holds of it, or the dense matrix.
    """
    h5py, pd = extra("h5py", "h5py"), extra("pandas", "pandas")
    with reading(path, "AnnData", _ADVICE), h5py.File(path, "r") as file:
        for part in ("obs", "var"):
            if part not in file:
                raise DataError(f"{path} has no {part!r}: it is HDF5, but not AnnData.")
        genes, rows = _index(file["var"], path), _index(file["obs"], path)
        _require_different(genes, f"{path}: names of genes", "var_names_make_unique")
        if asked.id is None:
            _require_different(rows, f"{path}: names of cells, which are its ids", "obs_names_make_unique")
        matrix = _matrix(file, path, asked.layer, (len(rows), len(genes)))
        names = dict.fromkeys(asked.about_rows)
        frame = pd.DataFrame({name: _column(file, name, path) for name in names}, index=range(len(rows)))
    about_rows: dict[str, Any] = {"ids": tuple(rows)} | names_of_rows(frame, path, asked)
    return DataSet(
        name=path.name.partition(".")[0],
        x=matrix,
        columns=tuple(Column(gene) for gene in genes),
        description=f"{len(rows)} rows x {len(genes)} genes of {path.name}, {asked.layer or 'X'}.",
        source=path.name,
        **read_labels(frame, path, asked),
        **about_rows,
    )


def _matrix(file: Any, path: Path, layer: str | None, shape: tuple[int, int]) -> torch.Tensor:
    """X or a layer, in single precision unless the values need double."""
    if layer is None:
        if "X" not in file:
            raise DataError(f"{path} has no matrix X. Say which layer to use: layer={_known(file)}.")
        stored = file["X"]
    elif layer not in file.get("layers", {}):
        raise DataError(f"{path} has no layer {layer!r}. {did_you_mean(layer, file.get('layers', {}))}")
    else:
        stored = file["layers"][layer]
    compressed = hasattr(stored, "keys")
    size = stored.attrs.get("shape", stored.attrs.get("h5sparse_shape", ())) if compressed else stored.shape
    if tuple(size) != shape or 0 in shape:
        found = tuple(int(n) for n in size)
        raise DataError(f"{path} has a matrix {found} for {shape[0]} rows and {shape[1]} genes.")
    what = f"{path}: {layer or 'X'}"
    values = _array(stored["data"] if compressed else stored, path)
    if values.dtype.kind not in "fiub":
        raise DataError(f"{what} must hold numbers; got {values.dtype}.")
    values = exact_floats(values, what)
    return _compressed(stored, values, shape, path) if compressed else torch.from_numpy(values)


def _compressed(stored: Any, values: np.ndarray, shape: tuple[int, int], path: Path) -> torch.Tensor:
    """A matrix compressed by rows (csr) or by columns (csc), whose parts fit together; dense if that is not large."""
    kind = str(stored.attrs.get("encoding-type", stored.attrs.get("h5sparse_format", "csr")))
    if kind.removesuffix("_matrix") not in ("csr", "csc"):
        raise DataError(f"{path} has a matrix of the kind {kind!r}; known are csr_matrix and csc_matrix.")
    by_rows = kind.startswith("csr")
    outer, inner = shape if by_rows else shape[::-1]
    starts, indices = (_array(stored[name], path) for name in ("indptr", "indices"))
    wrong = _misfit(values, indices, starts, outer, inner)
    if wrong:
        raise DataError(f"{path} has a {kind} whose parts do not fit together: {wrong}. {_ADVICE}")
    found = _sparse(values, indices, starts, shape, by_rows)
    if shape[0] * shape[1] >= _SPARSE_FROM and 2 * len(values) < shape[0] * shape[1]:
        return found
    require_room(found.numel() * values.itemsize, path, f"a matrix {shape}")
    return found.to_dense()


def _sparse(
    values: np.ndarray, indices: np.ndarray, starts: np.ndarray, shape: tuple[int, int], by_rows: bool
) -> SparseRows:
    """The matrix by rows; entries given twice add up."""
    begin, places = (
        torch.from_numpy(starts.astype(np.int64, copy=False)),
        torch.from_numpy(indices.astype(np.int32, copy=False)),
    )
    entries, background = (
        torch.from_numpy(values),
        torch.zeros(shape[1], dtype=torch.from_numpy(values).dtype),
    )
    if not by_rows:
        columns = torch.arange(shape[1], dtype=torch.int32).repeat_interleave(begin.diff())
        return _summed(SparseRows.of(places, columns, entries, background, shape[0]))
    return _summed(SparseRows(begin, places, entries, background))


def _summed(x: SparseRows) -> SparseRows:
    """The same with each place once in a row."""
    rising = x.places.diff() > 0
    ends = x.starts[1:-1]
    rising[ends[(ends > 0) & (ends < len(x.places))] - 1] = True
    if bool(rising.all()):
        return x
    counts, places, entries = [torch.zeros(1, dtype=torch.int64)], [], []
    for rows in torch.arange(len(x)).split(_ROWS_AT_ONCE):
        some = x.rows(rows)
        where, number = torch.unique(some.row_numbers.long() * x.shape[1] + some.places, return_inverse=True)
        counts.append(torch.bincount(where // x.shape[1], minlength=len(some)))
        places.append((where % x.shape[1]).to(torch.int32))
        entries.append(torch.zeros(len(where), dtype=x.dtype).index_add(0, number, some.entries))
    return SparseRows(torch.cat(counts).cumsum(0), torch.cat(places), torch.cat(entries), x.background)


def _misfit(values: np.ndarray, indices: np.ndarray, starts: np.ndarray, outer: int, inner: int) -> str:
    """What is wrong with the parts of a compressed matrix; empty if nothing is."""
    if any(part.ndim != 1 for part in (values, indices, starts)):
        return "data, indices and indptr must be one-dimensional"
    if indices.dtype.kind not in "iu" or starts.dtype.kind not in "iu":
        return f"indices ({indices.dtype}) and indptr ({starts.dtype}) must be integers"
    if len(starts) != outer + 1:
        return f"indptr has {len(starts)} entries and needs {outer + 1}"
    if len(values) != len(indices) or int(starts[0]) != 0 or int(starts[-1]) != len(values):
        return f"indptr goes from {starts[0]} to {starts[-1]}, data has {len(values)} entries, indices {len(indices)}"
    if bool((starts[1:] < starts[:-1]).any()):
        return "indptr falls"
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= inner):
        return f"indices go from {indices.min()} to {indices.max()}, and must be in 0..{inner - 1}"
    return ""


def _array(stored: Any, path: Path) -> np.ndarray:
    """An array of the file; what it says of itself is checked before anything is allocated."""
    if hasattr(stored, "keys"):
        raise DataError(f"{path}: {stored.name} is a group, and an array is needed. {_ADVICE}")
    if stored.is_virtual or stored.external or Path(stored.file.filename) != path:
        raise DataError(f"{path}: {stored.name} lies in another file. Write it into this one.")
    there = stored.id.get_storage_size() // stored.id.get_type().get_size()
    if stored.chunks is not None:
        there = stored.id.get_num_chunks() * prod(stored.chunks)
    if there < stored.size:
        raise DataError(
            f"{path}: {stored.name} has the shape {stored.shape} and holds {there} values. {_ADVICE}"
        )
    require_room(stored.size * stored.dtype.itemsize, path, f"an array {stored.shape}, {stored.name}")
    return np.asarray(stored[()])


def _known(file: Any) -> str:
    return repr(next(iter(file["layers"]))) if len(file.get("layers", {})) else "..., of which it has none"


def _index(table: Any, path: Path) -> list[str]:
    if not hasattr(table, "keys"):  # before 0.7: one compound array
        return _texts(_array(table, path)[table.dtype.names[0]])
    stored = table[str(table.attrs.get("_index", "_index"))]
    return _texts(_array(stored["values"] if hasattr(stored, "keys") else stored, path))


def obs_columns(path: Path) -> tuple[str, ...]:
    """Names of the columns of `obs`, which may hold a label; none of a file that cannot be read."""
    try:
        with extra("h5py", "h5py").File(path, "r") as file:
            return _names(file)
    except (OSError, KeyError):
        return ()


def _names(file: Any) -> tuple[str, ...]:
    obs = file["obs"]
    index = str(obs.attrs.get("_index", "_index")) if hasattr(obs, "keys") else obs.dtype.names[0]
    names = obs.keys() if hasattr(obs, "keys") else obs.dtype.names
    return tuple(name for name in names if name != index and not name.startswith("_"))


def _column(file: Any, name: str, path: Path) -> Any:
    """A column of obs, of a type pandas knows."""
    obs, known = file["obs"], _names(file)
    if name not in known:
        raise DataError(f"{path} has no column {name!r} in obs. {did_you_mean(name, known)}")
    found = _values(file, name, path)
    rows = len(_index(obs, path))
    if found.ndim != 1 or len(found) != rows:
        raise DataError(
            f"{path}: the column {name!r} of obs has the shape {found.shape}, for {rows} rows. {_ADVICE}"
        )
    return found


def _values(file: Any, name: str, path: Path) -> Any:
    pd = extra("pandas", "pandas")
    obs = file["obs"]
    if not hasattr(obs, "keys"):
        values, stored = _plain(_array(obs, path)[name]), {}
        if f"{name}_categories" in file.get("uns", {}):
            return _categorical(values, _array(file["uns"][f"{name}_categories"], path))
        return pd.Series(values)
    stored = obs[name]
    if hasattr(stored, "keys"):
        if "codes" in stored:
            return _categorical(_array(stored["codes"], path), _array(stored["categories"], path))
        values = pd.Series(_plain(_array(stored["values"], path)))
        return values.astype(object).mask(_array(stored["mask"], path).astype(bool)).infer_objects()
    values = _plain(_array(stored, path))
    if name in obs.get("__categories", {}):
        return _categorical(values, _array(obs["__categories"][name], path))
    series = pd.Series(values)
    return series.replace("", np.nan) if values.dtype.kind == "O" else series


def _categorical(codes: np.ndarray, categories: np.ndarray) -> Any:
    return extra("pandas", "pandas").Categorical.from_codes(codes, _texts(categories))


def _plain(values: np.ndarray) -> np.ndarray:
    return np.array(_texts(values), dtype=object) if values.dtype.kind in "OS" else np.asarray(values)


def _texts(values: np.ndarray) -> list[str]:
    return [each.decode() if isinstance(each, bytes) else str(each) for each in np.atleast_1d(values)]


def _require_different(names: list[str], what: str, remedy: str) -> None:
    repeated = repeats(names)
    if repeated:
        raise DataError(
            f"{what}: {len(repeated)} are given more than once, such as {repeated[0]!r}, and rows and maps are found "
            f"by name. Make them different, e.g. by anndata's {remedy}()."
        )
