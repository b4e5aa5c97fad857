"""Checkpoints in safetensors and JSON, written atomically."""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor

from rightreasons.core._errors import DataError, InputError, MissingExtraError
from rightreasons.core.files._disk import TEMPORARY, sync

_LOG = logging.getLogger("rightreasons")

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
    partial = directory / f"{TEMPORARY}{step:09d}-{os.getpid()}"
    raw, plain = _safetensors().torch.save(tensors), json.dumps(rest)
    content = {TENSORS: raw, REST: f'{{"sha256": "{_digest(raw, plain)}", "state": {plain}}}'.encode()}
    try:
        _write(partial, content)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(partial, final)
        sync(directory)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise DataError(f"the checkpoint {final} cannot be written: {error.strerror or error}.") from error
    for old in [*directory.glob("step-*"), *directory.glob(f"{TEMPORARY}*")]:
        if old != final:
            shutil.rmtree(old, ignore_errors=True)
    return final


def load_checkpoint(directory: Path) -> dict[str, Any] | None:
    """The newest whole checkpoint below `directory`, or None; one that is damaged is left out, and that is said."""
    for folder in sorted(directory.glob("step-*"), reverse=True):
        try:
            return _read(folder)
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            RecursionError,
            _safetensors().SafetensorError,
        ) as error:
            why = " ".join(str(error).split())
            _LOG.warning("The checkpoint %s is damaged, so training goes on without it: %s.", folder, why)
    return None


def _read(folder: Path) -> dict[str, Any]:
    raw, found = (folder / TENSORS).read_bytes(), json.loads((folder / REST).read_text(encoding="utf-8"))
    if "__dict__" in found:  # of a version that kept no digest
        rest = found
    elif found["sha256"] == _digest(raw, json.dumps(found["state"])):
        rest = found["state"]
    else:
        raise ValueError("it is not what was written")
    return _join(rest, "", _safetensors().torch.load(raw))


def _digest(raw: bytes, plain: str) -> str:
    total = sha256(raw)
    total.update(plain.encode())
    return total.hexdigest()


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
        sync(folder / name)


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingExtraError("checkpoints need safetensors: pip install 'rightreasons[train]'") from error
    return safetensors


def best_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy of a module's weights that later training steps do not change; the count of steps goes on."""
    return {
        name: value.detach().clone() for name, value in state.items() if not name.endswith("_extra_state")
    }
