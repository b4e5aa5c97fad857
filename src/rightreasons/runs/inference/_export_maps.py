"""Write maps of a table as CSV or Parquet, chunk by chunk."""

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rightreasons.core._errors import InputError
from rightreasons.core._extras import require
from rightreasons.core._suggest import did_you_mean
from rightreasons.core.files._disk import writing
from rightreasons.runs.inference._store import MapStore, features_of
from rightreasons.runs.results._tables import cells

_ENDINGS = (".zarr", ".csv", ".parquet")


def is_table(path: Path) -> bool:
    """Whether maps go to a table rather than a Zarr group.

    Raises: InputError for an unknown ending.
    """
    if path.suffix not in _ENDINGS:
        raise InputError(
            f"Maps are written as one of {', '.join(_ENDINGS)}; got {str(path)!r}. "
            f"{did_you_mean(path.suffix, _ENDINGS)}"
        )
    return path.suffix != ".zarr"


def tabulate(store: MapStore, path: Path) -> None:
    """Write a finished store as a .csv or .parquet file, then remove it.

    Raises: DataError if the file cannot be written; the store is kept, so the same job goes on from there.
    """
    making = path.with_name(f".making-{path.name}")
    with writing(path):
        try:
            (_csv if path.suffix == ".csv" else _parquet)(store, making)
            making.replace(path)
        finally:
            making.unlink(missing_ok=True)
        removing = store.path.with_name(f".removing-{path.name}")  # what is left of it is no store
        shutil.rmtree(removing, ignore_errors=True)
        store.path.replace(removing)
        shutil.rmtree(removing)


def _tables(store: MapStore) -> Iterator[dict[str, Any]]:
    """Columns of each piece: the row's name or number, the output explained, the gap, then the map."""
    classes = store.attributes.get("classes")
    features = features_of(store.attributes, store.group["maps"].shape[1])
    for piece in range(-(-store.rows // store.size)):
        found = store.read(piece)
        columns: dict[str, Any] = {"row": found["ids"] if "ids" in found else range(*store.bounds(piece))}
        if "target" in found:
            columns["explained"] = [classes[i] if classes else i for i in found["target"].tolist()]
        if "gap" in found:
            columns["gap"] = found["gap"]
        maps = {name: found["maps"][:, i] for i, name in enumerate(features)}
        yield {
            **{name if name not in maps else f"{name} (of the map)": v for name, v in columns.items()},
            **maps,
        }


def _csv(store: MapStore, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for i, columns in enumerate(_tables(store)):
            if i == 0:
                writer.writerow(cells(columns))
            writer.writerows(map(cells, zip(*columns.values(), strict=True)))


def _parquet(store: MapStore, path: Path) -> None:
    require("train", "pyarrow")
    import pyarrow
    import pyarrow.parquet

    writer = None
    try:
        for columns in _tables(store):
            table = pyarrow.table({name: list(values) for name, values in columns.items()})
            writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
