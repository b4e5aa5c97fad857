import os
import struct
import zlib
from pathlib import Path

import pytest
import torch

import rightreasons as rr
from rightreasons.core._errors import DataError, InputError
from rightreasons.core.files import _reading as _foreign
from rightreasons.core.files._reading import reading, require_room


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (zlib.error("Error -3\nwhile decompressing"), "Error -3 while decompressing"),
        (KeyError("x"), "KeyError: 'x'"),
        (EOFError(), "EOFError"),
        (struct.error("unpack requires 4 bytes."), "unpack requires 4 bytes"),
        (RecursionError("too deep"), "too deep"),
    ],
)
def test_whatever_a_library_says_becomes_one_line(found, said):
    with pytest.raises(DataError) as caught, reading(Path("a.bin"), "a table", "Write it again."):
        raise found
    assert str(caught.value) == f"a.bin cannot be read as a table: {said}. Write it again."
    assert caught.value.__cause__ is found


def test_our_own_errors_and_interrupts_pass():
    with pytest.raises(InputError, match="own"), reading(Path("a.bin"), "a table"):
        raise InputError("own")
    with pytest.raises(KeyboardInterrupt), reading(Path("a.bin"), "a table"):
        raise KeyboardInterrupt


def test_no_memory_is_said_as_such():
    with pytest.raises(InputError, match=r"a.bin needs more memory than there is"):
        with reading(Path("a.bin"), "weights", error=InputError):
            raise MemoryError


def test_room_is_asked_for_before_it_is_taken(monkeypatch):
    monkeypatch.setattr(_foreign, "free_bytes", lambda device: 10**9)
    require_room(10**9, Path("a.npy"), "an array")
    with pytest.raises(
        DataError, match="a.npy holds an array, which needs 1.5 GB of memory; 1.0 GB are free"
    ):
        require_room(15 * 10**8, Path("a.npy"), "an array")
    monkeypatch.setattr(_foreign, "free_bytes", lambda device: None)
    require_room(15 * 10**8, Path("a.npy"), "an array")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet", "t.npy", "t.npz", "t.h5ad", "t.png"])
def test_a_pipe_is_refused_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="is a pipe or a device, which may never end|is one image"):
        rr.data.read(tmp_path / name)
    with pytest.raises(InputError, match="is a folder, a pipe or a device"):
        rr.models.load_weights(rr.models.MLP(2, (2,)), tmp_path / name)
    if name == "t.npy":
        with pytest.raises(DataError, match="is a folder, a pipe or a device"):
            rr.data.read_masks(tmp_path / name, rr.data.DataSet("d", torch.zeros(2, 2), torch.zeros(2)))
