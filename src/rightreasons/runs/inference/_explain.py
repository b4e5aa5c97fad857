"""Explain every row of a source: streamed, resumable, on several processes."""

import inspect
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

import rightreasons
from rightreasons import attribution, data, models
from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError, InputError
from rightreasons.core._suggest import did_you_mean
from rightreasons.core.files._disk import digest_of_tensors
from rightreasons.core.model._memory import backing_off, fitting, out_of_memory
from rightreasons.data.readers._chunks import Pieces, Whole, pieces
from rightreasons.data.readers._image_folder import any_colour
from rightreasons.recipes._read import attribution_named
from rightreasons.runs.execution._fit import outputs_of
from rightreasons.runs.execution._maps import of_inputs
from rightreasons.runs.inference._load import Trained, load
from rightreasons.runs.inference._store import Rows
from rightreasons.runs.setup._plan import seed_of
from rightreasons.runs.setup._terms import attribution_of

NUMBERS = 2**20
"""Numbers in the inputs of a piece, about, where the caller does not say how many rows it has."""
FEWEST, MOST = 16, 4096
_OF_NEW_DATA = ("target", "id", "unseen")


@checked
@dataclass(frozen=True)
class Job:
    """What is explained how: a value that a process of its own can take up.

    Args:
        model: a run directory, or `module:factory`, a function without arguments in `code` that returns the network.
        source: a file, a folder, or the name of a data set, as `read` takes them. Tables (CSV, Parquet), .npy files
            and folders of images are streamed; other forms, and tables for a `module:factory`, are read at once.
        method: a name as in recipes, or one with fields; None: the recipe's own, or integrated gradients.
        explained: "predicted", the highest output of each row; "label", the output that its label selects; or an
            output, by its number or, of a run, its class or label.
        arm: of a run; None: the best on validation rows that has attributions.
        split: of a run.
        trust: run the code that the run's recipe names.
        code: folder that code is imported from.
        reading: options of `rr.data.read`.
        references: for a `module:factory`, a file of rows that methods with references take.
        seed: of the draws. Those of a piece depend on it and on the piece, on nothing else.
        rows: rows of a piece; None: 16 to 4,096, by its size.
        chunk: most model rows in one forward pass; "auto": as many as are quick and fit into memory, half as many
            each time that memory runs out.

    Raises: InputError: rows or chunk below 1.
    """

    model: str
    source: str
    method: str | Mapping[str, Any] | None = None
    explained: str | int = "predicted"
    arm: str | None = None
    split: int = 0
    trust: bool = False
    code: str = "."
    reading: Mapping[str, Any] = field(default_factory=dict)
    references: str | None = None
    seed: int = 0
    rows: int | None = None
    chunk: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.reading, Mapping):
            raise InputError(
                f"reading must be a mapping of options of rr.data.read, such as {{'size': (224, 224)}}; got "
                f"{self.reading!r}."
            )
        for name in ("rows", "chunk"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise InputError(f"{name} must be at least 1; got {value}.")

    @property
    def own_code(self) -> bool:
        """Whether the model is a `module:factory`."""
        return ":" in self.model and not Path(self.model).exists()


class Work:
    """A job with everything loaded: makes the maps of any piece.

    Args:
        job: what is asked.
        device: where the network runs.
        processes: that share the machine's memory.
    """

    def __init__(self, job: Job, device: str = "cpu", processes: int = 1) -> None:
        self.job, self.device, self.processes = job, torch.device(device), processes
        self.trained = (
            None
            if job.own_code
            else load(job.model, arm=job.arm, split=job.split, explains=True, trust=job.trust, code=job.code)
        )
        self.model = (_made(job) if self.trained is None else self.trained.model).to(self.device).eval()
        self.method = _method(job, self.trained, self.model)
        self.known = None  # f at the references
        self.chunk: int | None = None
        size = job.rows
        if size is None or job.references is not None:
            first = self._pieces(1).take(0)
            _require_alike(job, first)
            size = size or max(FEWEST, min(MOST, NUMBERS // max(1, first.x[0].numel())))
        self.pieces = self._pieces(size)

    def _pieces(self, size: int) -> Pieces:
        job, trained = self.job, self.trained
        path, labelled = Path(job.source), job.explained == "label"
        options = _options(job)
        if trained is None and path.is_dir() and not options.get("labels") and options.get("colour") is None:
            options["colour"] = any_colour(path)  # one answer for all pieces

        def read(place: Any) -> data.DataSet:
            return (
                data.read(place, **options)
                if trained is None
                else trained.read(place, labelled=labelled, **options)
            )

        listed = options.get("labels") or (trained is not None and labelled and trained.recipe.data.labels)
        if path.is_dir() and listed:
            return Whole(read(job.source), size)
        if not path.exists():
            named = trained is None and path.name == job.source and not path.suffix
            return Whole(data.load(job.source) if named else read(job.source), size)
        asked = {**({} if trained is None else trained.recipe.data.reading), **job.reading}
        return pieces(
            path,
            size,
            read,
            labelled=labelled,
            id=asked.get("id"),
            beside=_beside(asked, labelled or trained is None) if path.suffix == ".npy" else (),
            separator=asked.get("separator"),
            whole_tables=trained is None,
        )

    def require_different_ids(self) -> None:
        """Raise a DataError if rows of different pieces have one id; those of one piece are refused as it is read."""
        if (rows := self.pieces.repeated_id()) is not None:
            raise DataError(
                f"{self.job.source}: an id must name one row, but rows {rows[0] + 1} and {rows[1] + 1} have the same. "
                "Delete the copies, or say which column names them: reading={'id': COLUMN} (--reading)."
            )

    def identity(self) -> dict[str, Any]:
        """What the result depends on, in full: a store is gone on with only for the same."""
        job = self.job
        return {
            "model": job.model,
            "arm": None if self.trained is None else self.trained.arm,
            "split": None if self.trained is None else self.trained.split,
            "weights": digest_of_tensors(self.model.state_dict()),
            "source": job.source,
            "source is": self.pieces.fingerprint(),
            "method": repr(self.method),
            "references": digest_of_tensors(_tensors_of(self.method)),
            "explained": job.explained,
            "reading": repr(dict(job.reading)),
            "seed": job.seed,
            "piece": self.pieces.size,
        }

    def attributes(self, first: data.DataSet) -> dict[str, Any]:
        """What a store says about itself."""
        versions = {
            "rightreasons": rightreasons.__version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        }
        trained = self.trained
        outputs = first.classes or first.labels if trained is None else trained.outputs_named
        named = {"classes": list(outputs)}
        if first.columns:
            named["features"] = list(first.groups)
        return {"job": self.identity(), "versions": versions, **{k: v for k, v in named.items() if v}}

    def maps(self, piece: int) -> tuple[Rows, data.DataSet]:
        """The arrays of a piece, and its rows."""
        rows = self.pieces.take(piece)
        x = _as_weights(rows.x.to_dense(), self.model).to(self.device)
        outputs = self._outputs(x)
        target = self._target(rows, outputs)
        explanation = self._explanation(x, target, piece)
        if not isinstance(explanation.maps, Tensor):
            raise InputError("maps of a network with several inputs cannot be stored; name one layer: at=...")
        maps = of_inputs(explanation.maps, x)
        if rows.columns and maps.shape == x.shape:
            _, maps = data.sum_groups(maps, rows.groups)
        found = {"maps": maps, "outputs": outputs, "gap": explanation.gap, "target": target}
        arrays: Rows = {name: values.cpu().numpy() for name, values in found.items() if values is not None}
        if rows.ids:
            arrays["ids"] = np.array(rows.ids)
        return arrays, rows

    def _outputs(self, x: Tensor) -> Tensor:
        try:
            return outputs_of(self.model, x)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            raise InputError(
                f"{self.job.model} failed on rows of shape {tuple(x.shape[1:])} ({x.dtype}) of {self.job.source}: "
                f"{error}. Give it rows as it was trained on."
            ) from error

    def _target(self, rows: data.DataSet, outputs: Tensor) -> Tensor | None:
        asked = self._asked(outputs)
        if outputs[0].numel() == 1:
            return None
        if outputs.ndim != 2:
            raise InputError(
                f"the network has outputs of shape {tuple(outputs.shape[1:])}: make it return (B, C)."
            )
        if asked == "predicted":
            return outputs.argmax(1)
        if isinstance(asked, int):
            return torch.full((len(outputs),), asked, device=outputs.device)
        if not rows.labelled:
            raise DataError(f"{self.job.source} has no labels to explain. Ask for explained='predicted'.")
        return rows.y.to(outputs.device) if self.trained is None else self.trained.task.explained(rows.y)

    def _asked(self, outputs: Tensor) -> str | int:
        """What is explained, an output by its number."""
        asked, count = self.job.explained, outputs[0].numel()
        names = () if self.trained is None else self.trained.outputs_named
        if asked in ("predicted", "label"):
            return asked
        if isinstance(asked, str):
            if count == 1 or asked not in names:
                known = ["predicted", "label", *(names if count > 1 else ())]
                raise InputError(f"explained={asked!r} is no output. {did_you_mean(asked, known)}")
            return names.index(asked)
        if not 0 <= asked < count:
            raise InputError(
                f"explained={asked} is no output of a network with {count}: they are counted from 0 to {count - 1}."
            )
        return asked

    def _explanation(self, x: Tensor, target: Tensor | None, piece: int) -> attribution.Explanation:
        more: dict[str, Any] = {}
        if isinstance(self.method, attribution.ExpectedGradients):
            if self.known is None:
                self.known = attribution.reference_output(self.model, self.method)
            more["reference_output"] = self.known
        if self.chunk is None:
            share = 0.5 / self.processes if self.device.type == "cpu" else 0.5
            self.chunk = fitting(self.model, x, share) if self.job.chunk == "auto" else self.job.chunk

        def explained(chunk: int) -> attribution.Explanation:
            draws = torch.Generator().manual_seed(seed_of(self.job.seed, "explain", piece))
            return self.method.explain(self.model, x, target, generator=draws, chunk=chunk, **more)

        found, self.chunk = backing_off(explained, self.chunk)
        return found


def _options(job: Job) -> dict[str, Any]:
    """How the source is read, as far as the job says; a run knows the rest."""
    known = _OF_NEW_DATA if not job.own_code else tuple(inspect.signature(data.read).parameters)[1:]
    for name in job.reading:
        if name not in known:
            raise InputError(f"reading has no option {name!r} here. {did_you_mean(name, known)}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in job.reading.items()}


def _made(job: Job) -> nn.Module:
    factory = models.from_path(job.model, job.code)
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise InputError(
            f"{job.model} is called without arguments, but {error}. Name a function that needs none and returns the "
            "network."
        ) from error
    model = factory()
    if not isinstance(model, nn.Module):
        raise InputError(f"{job.model} must return an nn.Module; got {type(model).__name__}.")
    return model


def _as_weights(x: Tensor, model: nn.Module) -> Tensor:
    """Numbers in the precision of the network's weights: an unscaled table is read in double precision."""
    weights = (each.dtype for each in model.parameters() if each.is_floating_point())
    return x.to(next(weights, torch.float32)) if x.is_floating_point() else x


def _method(job: Job, trained: Trained | None, model: nn.Module) -> attribution.Attribution:
    named = job.method
    if trained is not None:
        return trained.method(named)
    found = attribution_named(named or "integrated_gradients")
    if found.fields.get("references") != "train":
        return attribution_of(found, torch.empty(0))
    if job.references is None:
        raise InputError(f"{found.name} needs rows to compare with: references=FILE (--references FILE).")
    return attribution_of(found, _as_weights(data.read(job.references, **_options(job)).x, model))


def _require_alike(job: Job, rows: data.DataSet) -> None:
    """A network of one's own takes numbers by position, so columns, levels and words must stand alike in both files.

    Raises: DataError if references and data name them, and not alike.
    """
    if job.references is None:
        return
    references = data.read(job.references, **_options(job))
    for what, ours, theirs in (
        ("column", rows.feature_names, references.feature_names),
        ("word", rows.vocabulary, references.vocabulary),
        *(
            (f"level of {a.name!r}", a.levels, b.levels)
            for a, b in zip(rows.columns, references.columns, strict=False)
        ),
    ):
        if ours == theirs or not ours or not theirs:
            continue
        a, b = next(pair for pair in zip_longest(ours, theirs) if pair[0] != pair[1])
        kind = "in another order" if sorted(ours) == sorted(theirs) else "of other names"
        raise DataError(
            f"{job.source} and {job.references} have {what}s {kind}: {_or_none(a)} in one stands where {_or_none(b)} "
            "stands in the other, and a network of your own takes them by position. Write both in the order of its "
            "training."
        )


def _or_none(name: str | None) -> str:
    return "nothing" if name is None else repr(name)


def _beside(asked: Mapping[str, Any], labelled: bool) -> tuple[str, ...]:
    """Files beside an .npy file that its reader will look for."""
    names = [asked.get("id"), *([asked.get("target")] if labelled else [])]
    flat = [each for name in names for each in ([name] if isinstance(name, str) else name or [])]
    return tuple(flat)


def _tensors_of(value: Any, name: str = "") -> dict[str, Tensor]:
    """Tensors in the fields of a method, such as references, which a repr shortens."""
    if isinstance(value, Tensor):
        return {name: value}
    inner: dict[str, Any] = {}
    if isinstance(value, tuple | list):
        inner = {str(i): each for i, each in enumerate(value)}
    elif is_dataclass(value):
        inner = {each.name: getattr(value, each.name) for each in fields(value)}
    return {k: v for key, each in inner.items() for k, v in _tensors_of(each, f"{name}.{key}").items()}
