"""A store of maps that was killed, damaged, or is written to by two: gone on with, repaired, or refused in one line."""

import errno
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zarr

from rightreasons import runs
from rightreasons.core._errors import DataError, InputError
from rightreasons.core.files._disk import only_writer
from rightreasons.runs import MapStore
from rightreasons.runs.inference import _export_maps as _tabulate
from tests.runs.inference.test_explain import ROWS, arrays, folder, job
from tests.runs.test_damage import WAYS

__all__ = ["folder"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("array", ["maps/c/3/0", "outputs/c/3/0", "gap/c/3", "digest/c/3/0"])
def test_a_damaged_piece_is_explained_anew_and_nothing_else(
    folder: Path, caplog: pytest.LogCaptureFixture, array: str, way: str
) -> None:
    path = runs.explain(job(), folder / "maps.zarr")
    expected, file = arrays(path), path / array
    content = WAYS[way](file.read_bytes(), (path / array.replace("3", "2")).read_bytes())
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(DataError, match="is damaged in rows 24 to 31: .*Explain again as before") as caught:
        MapStore(path).read(3)
    assert len(str(caught.value).splitlines()) == 1
    seen: list[runs.Streamed] = []
    with caplog.at_level(logging.WARNING):
        runs.explain(job(), path, progress=seen.append)
    assert [each.done for each in seen] == [ROWS - 8, ROWS]
    assert "1 damaged pieces are explained anew" in caplog.text
    found = arrays(path)
    assert found.keys() == expected.keys()
    assert all((found[name] == values).all() for name, values in expected.items())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["zarr.json", "maps/zarr.json"])
def test_what_a_store_says_of_itself_cannot_be_made_anew(folder: Path, name: str, way: str) -> None:
    path = runs.explain(job(), folder / "maps.zarr")
    other = runs.explain(job(rows=9), folder / "other.zarr")
    file = path / name
    content = WAYS[way](file.read_bytes(), (other / ("zarr.json", "gap/zarr.json")["/" in name]).read_bytes())
    if way == "one flipped bit" and "/" in name:
        content = file.read_bytes().replace(b'"shape"', b'"shapd"')
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(
        DataError, match=r"no store of maps, or damaged: .*Remove it|of another job"
    ) as caught:
        runs.explain(job(), path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_store_without_digests_is_read(folder: Path) -> None:
    path = runs.explain(job(), folder / "maps.zarr")
    expected = arrays(path)["maps"]
    shutil.rmtree(path / "digest")
    about = json.loads((path / "zarr.json").read_text())
    del about["attributes"]["digest"]
    (path / "zarr.json").write_text(json.dumps(about))
    assert (MapStore(path).read(2)["maps"] == expected[16:24]).all()
    runs.explain(job(), path)
    assert (arrays(path)["maps"] == expected).all()


def test_a_source_of_the_same_size_and_time_is_another_one(folder: Path) -> None:
    path, about = runs.explain(job(), folder / "maps.zarr"), os.stat("x.npy")
    x = np.load("x.npy")
    x[ROWS // 2, 1] += 1
    np.save("x.npy", x)
    os.utime("x.npy", ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(DataError, match="holds maps of another job.*source is was"):
        runs.explain(job(), path)


def test_the_same_source_at_another_time_is_the_same(folder: Path) -> None:
    path = runs.explain(job(), folder / "maps.zarr")
    os.utime("x.npy", ns=(0, 0))
    runs.explain(job(), path)


def test_labels_belong_to_the_source(folder: Path) -> None:
    np.save("y.npy", np.arange(ROWS) % 3)
    ask = job(explained="label", reading={"target": "y.npy", "label": "class"})
    path = runs.explain(ask, folder / "maps.zarr")
    np.save("y.npy", (np.arange(ROWS) + 1) % 3)
    with pytest.raises(DataError, match="source is was"):
        runs.explain(ask, path)


def test_references_belong_to_the_job(folder: Path) -> None:
    references = np.random.default_rng(1).normal(size=(400, 4)).astype("f4")
    np.save("r.npy", references)
    ask = job(method={"name": "expected_gradients", "samples": 8}, references="r.npy")
    path = runs.explain(ask, folder / "maps.zarr")
    references[200] += 1  # which a repr leaves out
    np.save("r.npy", references)
    with pytest.raises(DataError, match="references was"):
        runs.explain(ask, path)


def test_two_that_write_to_one_place(folder: Path) -> None:
    for name in ("maps.zarr", "maps.csv"):
        with (
            only_writer(folder / f".{name}.lock", folder / name),
            pytest.raises(DataError, match=rf"{name} is being written by another process \({os.getpid()}\)"),
        ):
            runs.explain(job(), folder / name)
        runs.explain(job(), folder / name)
    assert not list(folder.glob(".*"))


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("place", ["maps.zarr", "maps.csv", "maps.parquet"])
@pytest.mark.parametrize("name", ["os.replace", "numpy.save", "tempfile.mkdtemp"])
def test_a_full_disk_is_one_line_and_the_same_call_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(name, full)
        with pytest.raises(DataError, match="No space left on device") as caught:
            runs.explain(job(), folder / place)
    assert len(str(caught.value).splitlines()) == 1
    assert not (folder / place).exists() or place == "maps.zarr"
    runs.explain(job(), folder / place)
    runs.explain(job(), folder / f"whole{Path(place).suffix}")
    if place != "maps.zarr":
        assert (folder / place).read_bytes() == (folder / f"whole{Path(place).suffix}").read_bytes()


@pytest.mark.parametrize("when", ["before the table is there", "after it is"])
def test_a_kill_while_the_table_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    whole = runs.explain(job(), folder / "whole.csv")
    with monkeypatch.context() as patched:
        if when == "after it is":
            patched.setattr(_tabulate, "shutil", SimpleNamespace(rmtree=killed))
        else:
            patched.setattr(_tabulate, "_csv", killed)
        with pytest.raises(KeyboardInterrupt):
            runs.explain(job(), folder / "maps.csv")
    assert (folder / "maps.csv").exists() == (when == "after it is")
    runs.explain(job(), folder / "maps.csv")
    assert (folder / "maps.csv").read_bytes() == whole.read_bytes()
    assert not list(folder.glob(".*"))


def test_a_table_of_somebody_else_is_not_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    write = MapStore.write

    def once(self: MapStore, piece: int, found: Any) -> None:
        if calls:
            raise KeyboardInterrupt
        calls.append(piece)
        write(self, piece, found)

    with monkeypatch.context() as patched:
        patched.setattr(MapStore, "write", once)
        with pytest.raises(KeyboardInterrupt):
            runs.explain(job(), folder / "maps.csv")
    (folder / "maps.csv").write_text("mine\n")
    with pytest.raises(InputError, match="is there already"):
        runs.explain(job(), folder / "maps.csv")
    assert (folder / "maps.csv").read_text() == "mine\n"


def killed_at(point: int, work: Callable[[], object]) -> int:
    """Exit code of a copy of this process that dies when it renames or synchronises a file for the so-many-th time."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    count = 0
    for name in ("replace", "fsync"):
        original = getattr(os, name)

        def counted(*given: Any, original: Any = original, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == point:
                os._exit(9)
            return original(*given, **more)

        setattr(os, name, counted)
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


def test_a_kill_at_any_moment_of_writing_is_gone_on_from(folder: Path) -> None:
    expected = arrays(runs.explain(job(), folder / "whole.zarr"))
    path, point, codes = folder / "maps.zarr", 1, [9]
    while codes[-1] == 9:
        codes.append(killed_at(point, lambda: runs.explain(job(), path)))
        point += 7
    assert len(codes) > 4
    assert codes[-1] == 0
    found = arrays(path)
    assert found.keys() == expected.keys()
    assert all((found[name] == values).all() for name, values in expected.items() if name != "done")
    assert zarr.open_group(path, mode="r")["done"].shape == (7,)  # pyright: ignore[reportAttributeAccessIssue]
