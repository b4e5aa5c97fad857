"""Files of a run, damaged: noticed when they are read, made anew by the same command, and otherwise left alone."""

import logging
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rightreasons import runs
from rightreasons.core._errors import DataError, RecipeError, RightReasonsError
from rightreasons.core.files._disk import only_writer, write_atomically
from rightreasons.runs import RunDirectory
from tests.runs.cases import images, table
from tests.runs.execution.test_runner import without_times

WAYS: dict[str, Callable[[bytes, bytes], bytes | None]] = {
    "empty": lambda own, other: b"",
    "truncated": lambda own, other: own[: len(own) // 2],
    "one flipped bit": lambda own, other: (
        own[: len(own) // 2] + bytes([own[len(own) // 2] ^ 1]) + own[len(own) // 2 + 1 :]
    ),
    "garbage": lambda own, other: bytes(range(256)) * (1 + len(own) // 256),
    "missing": lambda own, other: None,
    "another's": lambda own, other: other,
}


def first(folder: Path, pattern: str) -> Path:
    return min(folder.glob(pattern))


KINDS: dict[str, Callable[[RunDirectory, Path], object]] = {
    "recipe.yaml": lambda run, file: run.recipe(),
    "preprocessing.json": lambda run, file: runs.load(run.path),
    "metrics.json": lambda run, file: run.metrics(),
    "history.jsonl": lambda run, file: run.history(),
    "fits/*.json": RunDirectory.object_in,
    "fits/*.safetensors": lambda run, file: [
        runs.load(run.path, arm=arm["name"], split=split) for arm in run.metrics()["arms"] for split in (0, 1)
    ],
    "examined/*.json": RunDirectory.object_in,
    "maps/*.npz": lambda run, file: run.maps(file.stem),
    "predictions/*.npz": lambda run, file: run.predictions(file.stem),
}
"""What a run keeps, and who reads it."""


def damage(own: Path, other: Path, way: str) -> None:
    content = WAYS[way](own.read_bytes(), other.read_bytes())
    if content is None:
        own.unlink()
    else:
        own.write_bytes(content)


def contents(run: RunDirectory) -> list[Any]:
    keys = [each["key"] for arm in run.metrics()["arms"] for each in arm["chosen"]]
    arrays = {key: {**run.maps(key), **run.predictions(key)} for key in keys}
    numbers = {key: {name: value.tolist() for name, value in each.items()} for key, each in arrays.items()}
    return without_times([run.metrics(), run.history(), run.recipe().arms, numbers])


@pytest.fixture
def copy(table_run: RunDirectory, tmp_path: Path) -> RunDirectory:
    return RunDirectory(shutil.copytree(table_run.path, tmp_path / "run"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused_in_one_line(
    copy: RunDirectory, image_run: RunDirectory, kind: str, way: str
) -> None:
    read, file = KINDS[kind], first(copy.path, kind)
    read(copy, file)
    damage(file, first(image_run.path, kind), way)
    with pytest.raises((DataError, RecipeError), match=r"is gone or damaged|has no results yet") as caught:
        read(copy, file)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("way", WAYS)
def test_the_same_command_makes_anew_what_is_damaged(
    copy: RunDirectory, image_run: RunDirectory, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(copy)
    damaged = [first(copy.path, kind) for kind in KINDS]
    intact = {
        path: path.stat().st_mtime_ns
        for kind in ("fits/*", "maps/*", "predictions/*")
        for path in copy.path.glob(kind)
        if path not in damaged
    }
    for kind, path in zip(KINDS, damaged, strict=True):
        damage(path, first(image_run.path, kind), way)
    with caplog.at_level(logging.WARNING):
        runs.run(table(), copy.path, workers=0)
    assert contents(copy) == before
    assert all(copy.manifest.whole(path) for path in damaged)
    assert "gone or damaged" in caplog.text
    same_fit = {path for path in intact if path.stem in {each.stem for each in damaged}}
    assert all(path.stat().st_mtime_ns == when for path, when in intact.items() if path not in same_fit)
    assert runs.load(copy.path).model is not None


@pytest.mark.parametrize("way", ["empty", "truncated", "garbage", "missing"])
@pytest.mark.parametrize("kind", ["metrics.json", "preprocessing.json", "fits/*.safetensors", "maps/*.npz"])
def test_a_directory_without_digests_is_read_and_damage_that_shows_is_one_line(
    copy: RunDirectory, image_run: RunDirectory, kind: str, way: str
) -> None:
    read, file = KINDS[kind], first(copy.path, kind)
    copy.manifest.file.unlink()
    read(copy, file)
    damage(file, first(image_run.path, kind), way)
    with pytest.raises(RightReasonsError) as caught:
        read(copy, file)
    assert len(str(caught.value).splitlines()) == 1


def test_every_file_has_its_digest_as_sha256sum_reads_it(copy: RunDirectory) -> None:
    lines = [line.partition("  ") for line in copy.manifest.file.read_text().splitlines()]
    found = {name: digest for digest, _, name in lines}
    assert len(found) == len(lines)
    files = {path.relative_to(copy.path).as_posix(): path for path in copy.path.rglob("*") if path.is_file()}
    assert found == {
        name: sha256(path.read_bytes()).hexdigest() for name, path in files.items() if name != "SHA256SUMS"
    }


def test_the_manifest_itself_may_be_damaged(copy: RunDirectory, image_run: RunDirectory) -> None:
    before = contents(copy)
    for way in WAYS:
        damage(copy.manifest.file, image_run.manifest.file, way)
        runs.run(table(), copy.path, workers=0)
        assert contents(copy) == before


def test_a_file_replaced_or_not_is_valid_whenever_the_kill_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, path = RunDirectory(tmp_path), tmp_path / "fits" / "a.json"
    run.manifest.write(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(DataError, match=r"a\.json cannot be written: No space left"):
            run.manifest.write(path, "new")
    assert run.manifest.read(path) == b"old"
    write_atomically(path, "new")
    assert run.manifest.read(path) == b"new"
    write_atomically(path, "neither")
    assert not run.manifest.whole(path)
    run.manifest.tidy()
    assert not run.manifest.whole(path)
    write_atomically(path, "old")
    run.manifest.write(path, "last")
    run.manifest.tidy()
    assert run.manifest.file.read_text() == f"{sha256(b'last').hexdigest()}  fits/a.json\n"


def test_a_line_that_was_cut_harms_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = RunDirectory(tmp_path).manifest
    manifest.write(tmp_path / "a", "a")
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr("os.write", lambda where, raw: write(where, raw[:30]))
        with pytest.raises(DataError, match="SHA256SUMS cannot be written: No space left"):
            manifest.write(tmp_path / "b", "b")
    manifest.write(tmp_path / "c", "c")
    assert not (tmp_path / "b").exists()
    for name in "ac":
        (tmp_path / name).write_text("x")
        assert manifest.lost(tmp_path / name)
    assert not manifest.lost(tmp_path / "b")


def test_many_writers_lose_no_line(tmp_path: Path) -> None:
    manifest = RunDirectory(tmp_path).manifest
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda i: manifest.write(tmp_path / f"{i}", f"{i}"), range(200)))
    assert len(manifest.file.read_text().splitlines()) == 200
    assert all(manifest.whole(tmp_path / f"{i}") for i in range(200))


def test_a_second_run_in_one_directory_is_refused(image_run: RunDirectory) -> None:
    with (
        only_writer(image_run.lock_file, image_run.path),
        pytest.raises(DataError, match=rf"is being written by another process \({os.getpid()}\)"),
    ):
        runs.run(images(), image_run.path, workers=0)
    runs.run(images(), image_run.path, workers=0)
    assert not image_run.lock_file.exists()


def test_arrays_that_are_none_are_refused(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    (tmp_path / "maps").mkdir()
    np.save(tmp_path / "maps" / "k.npy", np.zeros(3))
    (tmp_path / "maps" / "k.npy").rename(run.maps_file("k"))
    with pytest.raises(DataError, match=r"k\.npz is gone or damaged: it holds no arrays"):
        run.maps("k")
