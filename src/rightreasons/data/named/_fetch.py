"""Find the files of a named data set in a folder, or download them."""

import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from rightreasons.core._errors import DataError

_TIMEOUT = 30.0  # seconds without an answer
_BLOCK = 1 << 20  # bytes


@dataclass(frozen=True)
class RemoteFile:
    """A file as published: its name here, where it is, and what its bytes hash to.

    Args:
        name: file name in the data folder.
        url: where to download it.
        digest: `algorithm:hexadecimal`, the algorithm one of hashlib's.
    """

    name: str
    url: str
    digest: str


def data_folder() -> Path:
    """Folder of downloaded data: $RIGHTREASONS_DATA, or ~/.cache/rightreasons."""
    chosen = os.environ.get("RIGHTREASONS_DATA", "")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "rightreasons"


def find_files(names: Iterable[str], folders: Sequence[Path]) -> dict[str, Path] | None:
    """All files in the first folder that has them all, as named or without `.gz`; None if none has."""
    wanted = tuple(names)
    for folder in folders:
        found = {}
        for name in wanted:
            for candidate in (folder / name, folder / name.removesuffix(".gz")):
                if candidate.is_file():
                    found[name] = candidate
                    break
        if wanted and len(found) == len(wanted):
            return found
    return None


def download(files: Sequence[RemoteFile], folder: Path) -> dict[str, Path]:
    """Download the files that are not in the folder; one appears there only whole and with the right hash.

    Cost: one request per missing file, memory of one block of 1 MiB.

    Raises: DataError, with the reason, if a file cannot be fetched, stored, or is not the published one.
    """
    found: dict[str, Path] = {}
    for file in files:
        present = find_files([file.name], [folder])
        try:
            found[file.name] = present[file.name] if present else _download_one(file, folder)
        except (OSError, HTTPException) as error:
            raise DataError(f"{file.url} could not be downloaded to {folder}: {error}.") from error
    return found


def _download_one(file: RemoteFile, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    algorithm, _, expected = file.digest.partition(":")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{file.name}.")
    try:
        with (
            os.fdopen(descriptor, "wb") as out,
            urllib.request.urlopen(file.url, timeout=_TIMEOUT) as response,
        ):
            while block := response.read(_BLOCK):
                digest.update(block)
                out.write(block)
        if digest.hexdigest() != expected:
            raise DataError(
                f"{file.url} is not the file it should be: its {algorithm} must be {expected}, got "
                f"{digest.hexdigest()}. It was cut short, or changed where it is published. Try again, or "
                f"put a copy you trust at {folder / file.name}."
            )
        os.replace(temporary, folder / file.name)
        return folder / file.name
    finally:
        Path(temporary).unlink(missing_ok=True)
