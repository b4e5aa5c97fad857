"""DNA around splice sites."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rightreasons.core._errors import DataError
from rightreasons.data.readers._options import extra

RDA = "DNA.rda"
_LETTERS = "ACGT"
_LENGTH = 60
_CLASSES = ("ei", "ie", "n")
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"RDX")  # R data start like this: gzip, bzip2, xz, or not packed


def read_splice(path: Path) -> dict[str, Any]:
    """Fields of the data set: (3186, 4, 60) zeros and ones, one channel per nucleotide; copies share a cluster.

    The file has three bits per position: 100 is A, 010 C, 001 G and 000 T.
    """
    rdata = extra("rdata", "rdata")
    if not path.read_bytes().startswith(_PACKED):
        raise DataError(f"{path} is no R data. Delete it to have it fetched again.")
    try:
        frame = rdata.read_rda(path, default_encoding="ascii")["DNA"]
        labels = frame["Class"].astype(str)
        bits = frame.drop(columns="Class").astype(str).astype(np.int64).to_numpy()
        bits = bits.reshape(-1, _LENGTH, 3)
    except (OSError, EOFError, KeyError, ValueError, NotImplementedError) as error:
        raise DataError(
            f"{path} cannot be read as R data: {error}. Delete it to have it fetched again."
        ) from error
    if set(labels) - set(_CLASSES) or not np.isin(bits, (0, 1)).all() or bits.sum(2).max() > 1:
        raise DataError(
            f"{path} must hold {_LENGTH} x 3 bits per row, at most one of three set, and {_CLASSES}."
        )
    base_NL = np.where(bits.any(2), bits.argmax(2), 3)
    return {
        "x": torch.from_numpy(np.eye(4, dtype=np.float32)[base_NL].transpose(0, 2, 1).copy()),
        "y": torch.tensor([_CLASSES.index(label) for label in labels]),
        "classes": _CLASSES,
        "bounds": (0.0, 1.0),
        "clusters": tuple("".join(_LETTERS[base] for base in row) for row in base_NL),
        "ids": tuple(f"row {i}" for i in range(1, len(labels) + 1)),
    }
