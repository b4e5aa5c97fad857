"""Run directories: every file is whole or absent, whatever is killed when."""

import errno
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from rightreasons.core._closest import did_you_mean
from rightreasons.core._errors import DataError
from rightreasons.recipes import Recipe, read

_SUMMARY = ("arms", "comparisons", "data", "features", "headline", "reference", "rows", "splits", "weights")
_TEMPORARY = ".writing-"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says when it cannot write here into a DataError of one line."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}.") from error


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that it appears whole or not at all, also if the machine stops.

    Raises: DataError, one line, if it cannot be written.
    """
    raw = content.encode() if isinstance(content, str) else content
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
        _sync_folder(path.parent)


def append(path: Path, content: bytes | str) -> None:
    """Add to a file; if the disk is full, the file is as it was.

    Raises: DataError, one line, if it cannot be written.
    """
    raw = content.encode() if isinstance(content, str) else content
    with writing(path):
        size = path.stat().st_size
        with path.open("ab", buffering=0) as file:
            try:
                if file.write(raw) < len(raw):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(size)
                raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(path: Path) -> str:
    """A hash of a file's bytes, or of the names and bytes of all files in a folder: `sha256:...`.

    Raises: DataError if it cannot be read.
    """
    if not path.exists():
        raise DataError(f"{path} cannot be read: there is no such file.")
    total = sha256()
    try:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                with file.open("rb") as opened:
                    own = file_digest(opened, "sha256").hexdigest()
                total.update(f"{file.relative_to(path).as_posix()} {own}\n".encode())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    return f"sha256:{total.hexdigest()}"


def to_json(value: Any, indent: int | None = 1) -> str:
    """JSON that every reader takes: what is not a finite number becomes null."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


@dataclass(frozen=True)
class RunDirectory:
    """Where the results of one recipe are.

        recipe.yaml         resolved: every default, versions, seeds
        preprocessing.json  what tables were scaled with, for each split
        metrics.json        arms, choices, statistics, cost
        history.jsonl       one line for each epoch of each fit
        report.html         one self-contained page
        fits/               a JSON for each fit, and the weights of those that were chosen
        checkpoints/        of fits that are being trained, if the recipe asks for them
        logs/               learning curves of each fit, if the recipe asks for them
        examined/           test results of the chosen fits
        predictions/        their outputs on all test rows (npz: outputs, y, ids)
        maps/               their attributions (npz: maps, y, rows, ids, importance, ...)

    Args:
        path: the directory.
    """

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> "RunDirectory":
        """A directory that holds results.

        Raises: DataError if it does not, naming runs next to it.
        """
        run = cls(Path(path))
        if not run.metrics_file.is_file():
            folder = run.path.parent
            near = [str(each.parent) for each in folder.glob("*/metrics.json")] if folder.is_dir() else []
            kind = (
                "has no results yet (no metrics.json): finish it with rightreasons train"
                if run.path.is_dir()
                else "does not exist"
            )
            others = did_you_mean(str(run.path), near) if near else "There is no finished run beside it."
            raise DataError(f"run directory {str(run.path)!r} {kind}. {others}")
        return run

    @property
    def recipe_file(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def metrics_file(self) -> Path:
        """The summary."""
        return self.path / "metrics.json"

    @property
    def history_file(self) -> Path:
        """Learning curves."""
        return self.path / "history.jsonl"

    @property
    def report_file(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def preprocessing_file(self) -> Path:
        """How tables became numbers."""
        return self.path / "preprocessing.json"

    def result_file(self, fit: str) -> Path:
        """Result of a fit; it exists only when the fit is finished."""
        return self.path / "fits" / f"{fit}.json"

    def model_file(self, fit: str) -> Path:
        """Weights of a fit."""
        return self.path / "fits" / f"{fit}.safetensors"

    def curves_file(self, fit: str) -> Path:
        """Learning curves of a fit, by the logger csv."""
        return self.path / "logs" / f"{fit}.csv"

    def events_folder(self, fit: str) -> Path:
        """Learning curves of a fit, by the logger tensorboard."""
        return self.path / "logs" / "tensorboard" / fit

    def checkpoints_folder(self, fit: str) -> Path:
        """Where a fit that was killed goes on from; removed when it is finished."""
        return self.path / "checkpoints" / fit

    def examined_file(self, key: str) -> Path:
        """Test results of a chosen fit."""
        return self.path / "examined" / f"{key}.json"

    def maps_file(self, key: str) -> Path:
        """Attributions of a chosen fit."""
        return self.path / "maps" / f"{key}.npz"

    def predictions_file(self, key: str) -> Path:
        """Outputs of a chosen fit on all test rows."""
        return self.path / "predictions" / f"{key}.npz"

    def recipe(self) -> Recipe:
        """The recipe as it was run."""
        return read(self.recipe_file)

    def metrics(self) -> dict[str, Any]:
        """The summary.

        Raises: DataError if it is not one.
        """
        found = read_json(self.metrics_file)
        if found is None:
            raise DataError(f"{self.metrics_file} is not a summary: run the recipe again.")
        missing = [key for key in _SUMMARY if key not in found]
        if missing:
            raise DataError(
                f"{self.metrics_file} is of another version, or damaged: it has no {missing[0]!r}. "
                "Run the recipe again."
            )
        return found

    def history(self) -> list[dict[str, Any]]:
        """One record for each epoch of each fit."""
        return [json.loads(line) for line in self.history_file.read_text(encoding="utf-8").splitlines()]

    def maps(self, key: str) -> dict[str, np.ndarray]:
        """Attributions of a chosen fit.

        Raises: DataError if the file is gone or damaged.
        """
        return _arrays(self.maps_file(key))

    def predictions(self, key: str) -> dict[str, np.ndarray]:
        """`outputs` of a chosen fit on all test rows, their labels `y`, and their `ids` if they have any.

        Raises: DataError if the file is gone or damaged.
        """
        return _arrays(self.predictions_file(key))

    def clean(self) -> None:
        """Remove what a killed process left half-written."""
        for leftover in self.path.glob(f"**/{_TEMPORARY}*"):
            leftover.unlink(missing_ok=True)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as found:
            return dict(found)
    except (OSError, ValueError, BadZipFile) as error:
        raise DataError(f"{path} is gone or damaged. Run the recipe again.") from error


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None if there is no file or it holds no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as the bytes of a compressed npz file."""
    buffer = BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez_compressed(buffer, **named)
    return buffer.getvalue()
