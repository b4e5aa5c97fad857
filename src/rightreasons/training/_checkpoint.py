"""Checkpoints in safetensors and JSON, written so that a kill at any moment leaves a whole one. Nothing is pickled."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from rightreasons.core._errors import DataError, InputError, MissingExtraError

TENSORS, REST = "tensors.safetensors", "state.json"


def save_checkpoint(directory: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write nested `state` (dicts, lists, numbers, strings, tensors) as the checkpoint of `step`.

    The files are written and synced under a temporary name and renamed, so a checkpoint is either whole or absent.
    Older ones are removed afterwards.

    Raises:
        DataError: it cannot be written; the last one is still there.
        InputError: a value that a checkpoint cannot hold.
    """
    tensors: dict[str, Tensor] = {}
    rest = _split(state, "", tensors)
    final = directory / f"step-{step:09d}"
    partial = directory / f".writing-{step:09d}-{os.getpid()}"
    content = {TENSORS: _safetensors().save(tensors), REST: json.dumps(rest).encode()}
    try:
        _write(partial, content)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(partial, final)
        _sync(directory)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise DataError(f"the checkpoint {final} cannot be written: {error.strerror or error}.") from error
    for old in _whole(directory):
        if old != final:
            shutil.rmtree(old, ignore_errors=True)
    for leftover in directory.glob(".writing-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return final


def load_checkpoint(directory: Path) -> dict[str, Any] | None:
    """The newest whole checkpoint below `directory`, or None."""
    found = _whole(directory)
    if not found:
        return None
    tensors = _safetensors().load_file(found[-1] / TENSORS)
    rest = json.loads((found[-1] / REST).read_text(encoding="utf-8"))
    return _join(rest, "", tensors)


def _whole(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    return sorted(p for p in directory.glob("step-*") if (p / REST).is_file() and (p / TENSORS).is_file())


def _split(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON, with its tensors moved to `tensors` under their path."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().to("cpu").clone().contiguous()
        return {"__tensor__": path}
    if isinstance(value, Mapping):
        return {"__dict__": [[k, _split(v, f"{path}/{k}", tensors)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return [_split(v, f"{path}/{i}", tensors) for i, v in enumerate(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InputError(
        f"a checkpoint holds numbers, strings and tensors; {path} is a {type(value).__name__}. "
        "Use an optimizer or scheduler whose state_dict() is plain data."
    )


def _join(value: Any, path: str, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if "__tensor__" in value:
            return tensors[value["__tensor__"]]
        return {k: _join(v, path, tensors) for k, v in value["__dict__"]}
    return [_join(v, path, tensors) for v in value] if isinstance(value, list) else value


def _write(folder: Path, content: Mapping[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, raw in content.items():
        (folder / name).write_bytes(raw)
        _sync(folder / name)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingExtraError("checkpoints need safetensors: pip install 'rightreasons[train]'") from error
    return safetensors.torch


def best_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy of a module's weights that later training steps do not change; the count of steps goes on."""
    return {
        name: value.detach().clone() for name, value in state.items() if not name.endswith("_extra_state")
    }
