"""Run directories: paths, reading and atomic writing."""

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from rightreasons.core._errors import DataError
from rightreasons.core._suggest import did_you_mean
from rightreasons.core.files._disk import TEMPORARY
from rightreasons.recipes import Recipe, read
from rightreasons.runs.results._manifest import AGAIN, Manifest

_SUMMARY = ("arms", "comparisons", "data", "features", "headline", "reference", "rows", "splits", "weights")


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
        SHA256SUMS          digests of all these, by which damage is noticed

    What is read is what was written: a file that is gone or damaged is a DataError of one line.

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
                else "is a file, and a run is a folder"
                if run.path.is_file()
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

    @property
    def lock_file(self) -> Path:
        """There while a process makes results, and held by it."""
        return self.path / ".lock"

    @property
    def manifest(self) -> Manifest:
        """Digests of the files; what is written and read through it is checked."""
        return Manifest(self.path)

    def recipe(self) -> Recipe:
        """The recipe as it was run.

        Raises: DataError or RecipeError if the file is gone or damaged.
        """
        self.manifest.read(self.recipe_file)
        return read(self.recipe_file)

    def metrics(self) -> dict[str, Any]:
        """The summary.

        Raises: DataError if it is not one.
        """
        found = self.object_in(self.metrics_file)
        missing = [key for key in _SUMMARY if key not in found]
        if missing:
            raise DataError(
                f"{self.metrics_file} is of another version, or damaged: it has no {missing[0]!r}. {AGAIN}"
            )
        return found

    def history(self) -> list[dict[str, Any]]:
        """One record for each epoch of each fit.

        Raises: DataError if the file is gone or damaged.
        """
        text = self.manifest.read(self.history_file)
        return [_object(self.history_file, line) for line in text.splitlines()]

    def object_in(self, path: Path) -> dict[str, Any]:
        """The object in one of the JSON files.

        Raises: DataError if the file is gone or damaged.
        """
        return _object(path, self.manifest.read(path))

    def maps(self, key: str) -> dict[str, np.ndarray]:
        """Attributions of a chosen fit.

        Raises: DataError if the file is gone or damaged.
        """
        return self._arrays(self.maps_file(key))

    def predictions(self, key: str) -> dict[str, np.ndarray]:
        """`outputs` of a chosen fit on all test rows, their labels `y`, and their `ids` if they have any.

        Raises: DataError if the file is gone or damaged.
        """
        return self._arrays(self.predictions_file(key))

    def _arrays(self, path: Path) -> dict[str, np.ndarray]:
        raw = self.manifest.read(path)
        try:
            with np.load(BytesIO(raw), allow_pickle=False) as found:
                return dict(found)
        except Exception as error:  # NumPy's, zipfile's, zlib's: there is no list of them
            raise DataError(f"{path} is gone or damaged: it holds no arrays. {AGAIN}") from error

    def clean(self) -> None:
        """Remove what a killed process left half-written."""
        for leftover in list(self.path.glob(f"**/{TEMPORARY}*")):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _object(path: Path, text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is gone or damaged: it is no JSON. {AGAIN}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} is gone or damaged: it holds no JSON object. {AGAIN}")
    return found


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as the bytes of a compressed npz file."""
    buffer = BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez_compressed(buffer, **named)
    return buffer.getvalue()
