"""Digests of the files of a run directory (`SHA256SUMS`).

A line is added before its file appears, in one write at the end of the list, so that processes need not wait for each
other and a kill leaves no file without one. Of a file written again there are then several lines, and any of them will
do, because the kill may have come before the file was replaced; `tidy` keeps the one that is true. A line that was cut
is no line. Files without a line, as in directories of versions that kept no digests, are taken as they are.
"""

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from rightreasons.core._errors import DataError
from rightreasons.core.files._disk import write_atomically, writing

NAME = "SHA256SUMS"
AGAIN = "Run the recipe again: what is damaged or missing is made anew, and nothing else."
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")

Digests = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Manifest:
    """The list of one directory.

    Args:
        folder: the directory.
    """

    folder: Path

    @property
    def file(self) -> Path:
        """The list."""
        return self.folder / NAME

    def write(self, path: Path, content: bytes | str) -> None:
        """Write a file, whole or not at all, with its digest.

        Raises: DataError, one line, if it cannot be written; what was there is still valid.
        """
        raw = content.encode() if isinstance(content, str) else content
        self._add(path, sha256(raw).hexdigest())
        write_atomically(path, raw)

    def note(self, path: Path) -> None:
        """Keep the digest of a file that somebody else wrote."""
        with writing(self.file):
            digest = sha256(path.read_bytes()).hexdigest()
        self._add(path, digest)

    def read(self, path: Path) -> bytes:
        """The content of a file, if it is what was written.

        Raises: DataError, one line, if it is gone or another one.
        """
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} is gone or damaged: {error.strerror or error}. {AGAIN}") from error
        known = self._digests().get(self._name(path))
        if known is not None and sha256(raw).hexdigest() not in known:
            raise DataError(f"{path} is gone or damaged: it is not the file that was written. {AGAIN}")
        return raw

    def whole(self, path: Path) -> bool:
        """Whether a file is there as it was written."""
        if not path.is_file():
            return False
        try:
            self.read(path)
        except DataError:
            return False
        return True

    def lost(self, path: Path) -> bool:
        """Whether a file was written and is damaged or no longer there."""
        return (path.exists() or self._name(path) in self._digests()) and not self.whole(path)

    def tidy(self) -> None:
        """One line for each file that is there; for the end of a run, when nobody else writes."""
        lines = []
        for name, known in sorted(self._digests().items()):
            path = self.folder / name
            if path.is_file():
                true = sha256(path.read_bytes()).hexdigest() if len(known) > 1 else ""
                lines.append(f"{true if true in known else min(known)}  {name}\n")
        write_atomically(self.file, "".join(lines))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _add(self, path: Path, digest: str) -> None:
        line = f"{digest}  {self._name(path)}\n".encode()
        with writing(self.file):
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                size = os.fstat(descriptor).st_size
                cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # by a full disk
                line = b"\n" + line if cut else line
                if os.write(descriptor, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(descriptor)

    def _digests(self) -> Digests:
        try:
            about = self.file.stat()
        except OSError:
            return {}
        return _parsed(self.file, about.st_ino, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4)
def _parsed(file: Path, *stamp: int) -> Digests:
    """The digests of each name; `stamp` tells whether the list has changed."""
    found: dict[str, frozenset[str]] = {}
    for line in file.read_bytes().decode(errors="replace").split("\n"):
        if match := _LINE.fullmatch(line):
            found[match[2]] = found.get(match[2], frozenset()) | {match[1]}
    return found
