"""Expression matrices in AnnData's .h5ad, read with h5py alone.

The file is HDF5: the matrix X (cells or samples x genes) dense or compressed by rows or columns, a table `obs` about
the rows and a table `var` about the columns. A column of a table is an array, or a group that holds codes and
categories, or values and a mask.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rightreasons.core._closest import did_you_mean
from rightreasons.core._errors import DataError
from rightreasons.data._asked import Asked, extra
from rightreasons.data._dataset import Column, DataSet
from rightreasons.data._labels import names_of_rows, read_labels


def read_anndata(path: Path, asked: Asked) -> DataSet:
    """Rows of the matrix with one column per gene; labels, groups and parts from columns of `obs`, ids its index."""
    h5py, pd = extra("h5py", "h5py"), extra("pandas", "pandas")
    try:
        with h5py.File(path, "r") as file:
            for part in ("obs", "var"):
                if part not in file:
                    raise DataError(f"{path} has no {part!r}: it is HDF5, but not AnnData.")
            matrix = _matrix(file, path, asked.layer)
            genes, rows = _index(file["var"]), _index(file["obs"])
            columns = {name: _column(file, name, path) for name in dict.fromkeys(asked.about_rows)}
    except (OSError, KeyError) as error:
        raise DataError(
            f"{path} cannot be read as AnnData: {' '.join(str(error).split()).rstrip('.')}. It may be cut short, or "
            "written by a version of anndata before 0.7: read it with anndata and write it again."
        ) from error
    if matrix.shape != (len(rows), len(genes)) or matrix.size == 0:
        raise DataError(f"{path} has a matrix {matrix.shape} for {len(rows)} rows and {len(genes)} genes.")
    _require_different(genes, path)
    frame = pd.DataFrame(columns, index=range(len(rows)))
    about_rows: dict[str, Any] = {"ids": tuple(rows)} | names_of_rows(frame, path, asked)
    return DataSet(
        name=path.name.partition(".")[0],
        x=torch.from_numpy(matrix),
        columns=tuple(Column(gene) for gene in genes),
        description=f"{len(rows)} rows x {len(genes)} genes of {path.name}, {asked.layer or 'X'}.",
        source=path.name,
        **read_labels(frame, path, asked),
        **about_rows,
    )


def _matrix(file: Any, path: Path, layer: str | None) -> np.ndarray:
    """X or a layer, dense in float32."""
    if layer is None:
        if "X" not in file:
            raise DataError(f"{path} has no matrix X. Say which layer to use: layer={_known(file)}.")
        stored = file["X"]
    elif layer not in file.get("layers", {}):
        raise DataError(f"{path} has no layer {layer!r}. {did_you_mean(layer, file.get('layers', {}))}")
    else:
        stored = file["layers"][layer]
    if not hasattr(stored, "keys"):
        return np.asarray(stored, dtype=np.float32)
    kind = str(stored.attrs.get("encoding-type", stored.attrs.get("h5sparse_format", "csr")))
    size = tuple(int(n) for n in stored.attrs.get("shape", stored.attrs.get("h5sparse_shape")))
    data, inner, starts = (np.asarray(stored[name]) for name in ("data", "indices", "indptr"))
    outer = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    dense = np.zeros(size, dtype=np.float32)
    np.add.at(dense, (outer, inner) if "csr" in kind else (inner, outer), data)  # entries given twice add up
    return dense


def _known(file: Any) -> str:
    return repr(next(iter(file["layers"]))) if len(file.get("layers", {})) else "..., of which it has none"


def _index(table: Any) -> list[str]:
    if not hasattr(table, "keys"):  # before 0.7: one compound array
        return _texts(table[table.dtype.names[0]])
    stored = table[str(table.attrs.get("_index", "_index"))]
    return _texts((stored["values"] if hasattr(stored, "keys") else stored)[()])


def _column(file: Any, name: str, path: Path) -> Any:
    """A column of obs, of a type pandas knows."""
    pd = extra("pandas", "pandas")
    obs = file["obs"]
    known = list(obs.keys()) if hasattr(obs, "keys") else list(obs.dtype.names)
    if name not in known or name.startswith("_"):
        shown = [each for each in known if not each.startswith("_")]
        raise DataError(f"{path} has no column {name!r} in obs. {did_you_mean(name, shown)}")
    stored = obs[name]
    if hasattr(stored, "keys"):
        if "codes" in stored:
            return _categorical(np.asarray(stored["codes"]), _texts(stored["categories"][()]))
        values = pd.Series(_plain(stored["values"][()]))
        return values.astype(object).mask(np.asarray(stored["mask"], dtype=bool)).infer_objects()
    values = _plain(stored[()] if hasattr(stored, "attrs") else stored)
    older = obs["__categories"] if hasattr(obs, "keys") and "__categories" in obs else {}
    if name in older:
        return _categorical(values, _texts(older[name][()]))
    if not hasattr(obs, "keys") and f"{name}_categories" in file.get("uns", {}):
        return _categorical(values, _texts(file["uns"][f"{name}_categories"][()]))
    series = pd.Series(values)
    return series.replace("", np.nan) if values.dtype.kind == "O" else series


def _categorical(codes: np.ndarray, categories: list[str]) -> Any:
    return extra("pandas", "pandas").Categorical.from_codes(codes, categories)


def _plain(values: np.ndarray) -> np.ndarray:
    return np.array(_texts(values), dtype=object) if values.dtype.kind in "OS" else np.asarray(values)


def _texts(values: np.ndarray) -> list[str]:
    return [each.decode() if isinstance(each, bytes) else str(each) for each in np.atleast_1d(values)]


def _require_different(genes: list[str], path: Path) -> None:
    if len(set(genes)) < len(genes):
        seen: set[str] = set()
        twice = next(gene for gene in genes if gene in seen or seen.add(gene))
        raise DataError(
            f"{path} has {len(genes) - len(set(genes))} repeated gene names, such as {twice!r}; maps are reported "
            "by name. "
            "Make them different, e.g. by anndata's var_names_make_unique()."
        )
