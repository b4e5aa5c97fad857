"""Chunk sizes that fit into memory, and recovery when memory runs out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from rightreasons.core._errors import InputError
from rightreasons.core.model._function import rows_at_once

T = TypeVar("T")

SHARE = 0.5
"""Of the free memory that a forward and backward pass may plan with; the rest is for everybody else."""
COPIES = 3
"""Of what a forward pass keeps for its backward pass: itself, gradients on their way, and work space."""


def fitting(model: nn.Module, x: Tensor, share: float = SHARE) -> int:
    """Model rows of a forward and backward pass that fit into free memory, at most what is quick anyway.

    What one row keeps for the backward pass is counted, not guessed.

    Args:
        model: in eval mode.
        x: at least one row of its input.
        share: of the free memory.
    """
    quick, free = rows_at_once(x), free_bytes(x.device)
    if free is None:
        return quick
    needed = COPIES * max(1, kept_bytes(model, x[:1]))
    return max(1, min(quick, int(share * free) // needed))


def kept_bytes(model: nn.Module, x: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass, parameters aside."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # or a freed tensor's place would be taken for another one

    def pack(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own:
            kept[place] = tensor.untyped_storage().nbytes()
            alive.append(tensor)
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        row = x.detach()
        model(row.clone().requires_grad_() if row.is_floating_point() else row)
    return sum(kept.values())


def free_bytes(device: torch.device) -> int | None:
    """Memory that is free on a device; on the CPU, what the system and its limits leave. None if it cannot be told."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    found = [_available(Path("/proc/meminfo")), _under_limit(Path("/sys/fs/cgroup"))]
    known = [each for each in found if each is not None]
    return min(known) if known else None


def _available(meminfo: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _under_limit(cgroup: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int((cgroup / "memory.max").read_text()) - int((cgroup / "memory.current").read_text())
    return None


def backing_off(call: Callable[[int], T], chunk: int) -> tuple[T, int]:
    """`call(chunk)`, with half the chunk each time that memory runs out, and the chunk that worked.

    Raises: what `call` raises, and its running out of memory with a chunk of one row.
    """
    while True:
        try:
            return call(chunk), chunk
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error) or chunk == 1:
                raise
        chunk //= 2  # outside the handler: the error holds what filled the memory
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@contextmanager
def within_memory(what: str, remedy: str) -> Iterator[None]:
    """Have running out of memory inside said in one line; also as a decorator.

    Raises: InputError instead of what Python or torch raise.

    >>> with within_memory("the run", "Take fewer rows."):
    ...     raise MemoryError
    Traceback (most recent call last):
    rightreasons.core._errors.InputError: the run needs more memory than there is. Take fewer rows.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise InputError(f"{what} needs more memory than there is. {remedy}") from error


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    said = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        words in said for words in ("out of memory", "can't allocate memory", "cannot allocate memory")
    )
