"""Atomic writes, digests and file locks."""

import errno
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import file_digest, sha256
from pathlib import Path

import torch
from torch import Tensor

from rightreasons.core._errors import DataError
from rightreasons.core._sparse_rows import SparseRows

TEMPORARY = ".writing-"
"""How the name of a file or folder begins that is not finished; what a killed process leaves of them is worthless."""


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
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
        sync(path.parent)


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


def sync(path: Path) -> None:
    """Have the system put a file or folder onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of(path: Path, files: Iterable[Path] | None = None) -> str:
    """A hash of a file's bytes, or of the names and bytes of all files in a folder: `sha256:...`.

    Cost: everything is read once.

    Args:
        path: of the file or folder.
        files: those in the folder that count; None: all.

    Raises: DataError if it cannot be read.
    """
    if not path.exists():
        raise DataError(f"{path} cannot be read: there is no such file.")
    total = sha256()
    try:
        for file in sorted(path.rglob("*") if files is None else files) if path.is_dir() else [path]:
            if file.is_file():
                with file.open("rb") as opened:
                    own = file_digest(opened, "sha256").hexdigest()
                total.update(f"{file.relative_to(path).as_posix()} {own}\n".encode())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    return f"sha256:{total.hexdigest()}"


def digest_of_tensors(values: Mapping[str, Tensor]) -> str:
    """A hash of the names, shapes, types and numbers of tensors: `sha256:...`.

    >>> digest_of_tensors({"a": torch.zeros(2)}) == digest_of_tensors({"a": torch.zeros(2, 1)})
    False
    """
    total = sha256()
    for name, value in sorted(values.items()):
        total.update(f"{name} {tuple(value.shape)} {value.dtype} ".encode())
        for part in value.parts if isinstance(value, SparseRows) else (value,):
            total.update(part.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return f"sha256:{total.hexdigest()}"


@contextmanager
def only_writer(lock: Path, place: Path) -> Iterator[None]:
    """Hold a lock file as long as this process writes to `place`; the system releases it if the process dies.

    Where the file system has no locks, nothing is locked.

    Args:
        lock: the file, which holds the number of the process that has it.
        place: what the error names.

    Raises: DataError, one line, if another process or thread holds it, or the file cannot be made.
    """
    if sys.platform == "win32":
        yield
        return
    with writing(place):
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(lock, place)
    try:
        with writing(place):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(lock: Path, place: Path) -> int:
    """The open lock file, held by this process."""
    import fcntl

    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            raise DataError(
                f"{place} is being written by another process{f' ({holder})' if holder else ''}. Wait until it has "
                "ended, or write to another place."
            ) from None
        except OSError:  # a file system without locks
            return descriptor
        if _is_still(descriptor, lock):
            return descriptor
        os.close(descriptor)  # whoever held it has just removed it


def _is_still(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
