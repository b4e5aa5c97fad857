"""Read untrusted files: damage and absurd sizes raise `DataError` in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from rightreasons.core._errors import DataError, RightReasonsError
from rightreasons.core.model._memory import free_bytes, out_of_memory


@contextmanager
def reading(
    path: Path, kind: str, advice: str = "", error: type[RightReasonsError] = DataError
) -> Iterator[None]:
    """Read a file of this kind inside; nothing but an error of this package comes out.

    Libraries for files raise whatever the bytes led them to (zlib.error, EOFError, BadZipFile, KeyError, ...), so there
    is no list of what to catch.

    Args:
        path: of the file.
        kind: what it should be, such as "a NumPy file".
        advice: a sentence on what to do.
        error: what is raised.

    Raises: `error`, one line, for a file that cannot be read, is a pipe or a device, or needs too much memory.

    >>> with reading(Path("x.bin"), "a table"):
    ...     {}["missing"]
    Traceback (most recent call last):
    rightreasons.core._errors.DataError: x.bin cannot be read as a table: KeyError: 'missing'.
    """
    try:
        require_file(path)
        yield
    except RightReasonsError:
        raise
    except Exception as found:
        if out_of_memory(found):
            raise error(
                f"{path} needs more memory than there is. Use a machine with more, or a part of it."
            ) from found
        said = " ".join(str(getattr(found, "strerror", None) or found).split()).rstrip(".")
        terse = isinstance(found, LookupError | AttributeError | TypeError | ArithmeticError) or not said
        what = f"{type(found).__name__}: {said}".removesuffix(": ") if terse else said
        raise error(f"{path} cannot be read as {kind}: {what}. {advice}".rstrip()) from found


def require_file(path: Path) -> None:
    """Refuse what reading may wait for without end.

    Raises: OSError for a pipe, which nobody may ever write to, a device or a folder.
    """
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is a folder, a pipe or a device, and a file is needed")


def require_room(size: int, path: Path, what: str) -> None:
    """Refuse to make what does not fit into memory, before anything is allocated.

    Args:
        size: in bytes.
        path: of the file that asks for it.
        what: is made, in words.

    Raises: DataError if more is asked for than is free.

    >>> require_room(10**18, Path("x.npy"), "an array (10**9, 10**9)")
    Traceback (most recent call last):
    rightreasons.core._errors.DataError: x.npy holds an array (10**9, 10**9), which needs 1,000,000,000.0 GB of...
    """
    free = free_bytes(torch.device("cpu"))
    if size > (2**47 if free is None else free):
        left = "" if free is None else f"; {free / 1e9:,.1f} GB are free"
        raise DataError(
            f"{path} holds {what}, which needs {size / 1e9:,.1f} GB of memory{left}. The file is damaged, or meant for "
            "a larger machine: take a part of it."
        )
