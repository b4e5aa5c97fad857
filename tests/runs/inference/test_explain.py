"""Maps of a whole source: every row once, the same however the work was cut, killed or shared."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import zarr
from PIL import Image
from torch import Tensor

import rightreasons as rr
from rightreasons import data, runs
from rightreasons.core._errors import DataError, InputError, RightReasonsError
from rightreasons.core.model import _memory
from rightreasons.recipes import read as read_recipe
from rightreasons.runs import Job
from rightreasons.runs.inference import _stream
from rightreasons.runs.inference._explain import Work
from tests.runs.cases import finished
from tests.runs.inference.test_load import PEOPLE, people

ROWS = 50
NETWORK = """
import time, torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))

class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = build()
    def forward(self, x):
        time.sleep(0.01)
        return self.inner(x)

def picture():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 2))

def one():
    return nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))

def spatial():
    return nn.Unflatten(1, (2, 2))

def broken():
    raise ValueError("no weights here")

def number():
    return 3

def needy(width):
    return build()
"""
GRADIENT = {"name": "integrated_gradients", "steps": 8}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "streamed_networks.py").write_text(NETWORK)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(ROWS, 4)).astype("f4"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("streamed_networks", None)


def job(model: str = "build", **more: Any) -> Job:
    return Job(f"streamed_networks:{model}", "x.npy", **{"method": GRADIENT, "rows": 8, **more})


def arrays(path: Path | str) -> dict[str, np.ndarray]:
    group: Any = zarr.open_group(path, mode="r")
    return {name: np.asarray(array[:]) for name, array in group.arrays()}


def test_maps_are_those_of_the_method_in_memory(folder: Path) -> None:
    done = runs.explain(job(), folder / "maps.zarr")
    found, work = arrays(done), Work(job())
    x = torch.from_numpy(np.load("x.npy"))
    expected = rr.IntegratedGradients(steps=8).explain(work.model, x, work.model(x).argmax(1))
    assert expected.gap is not None
    assert found["maps"] == pytest.approx(expected.maps.numpy(), abs=1e-6)  # pyright: ignore[reportAttributeAccessIssue]
    assert found["gap"] == pytest.approx(expected.gap.numpy(), abs=1e-6)
    assert found["outputs"] == pytest.approx(expected.outputs.detach().numpy(), abs=1e-6)
    assert (found["target"] == found["outputs"].argmax(1)).all()
    assert found["done"].tolist() == [1] * 7


def test_what_was_asked_is_written_beside(folder: Path) -> None:
    group: Any = zarr.open_group(runs.explain(job(seed=3), folder / "maps.zarr"), mode="r")
    about = json.loads(json.dumps(dict(group.attrs)))
    assert about["job"]["method"] == "IntegratedGradients(steps=8)"
    assert (about["job"]["seed"], about["job"]["piece"]) == (3, 8)
    assert about["job"]["weights"].startswith("sha256:")
    assert about["versions"]["torch"] == torch.__version__
    assert about["features"] == ["x0", "x1", "x2", "x3"]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_result_does_not_depend_on_the_chunk(folder: Path, chunk: int) -> None:
    for name, how in (("a", "auto"), ("b", chunk)):
        runs.explain(job(method="smooth_grad", chunk=how), folder / f"{name}.zarr")
    assert arrays("b.zarr")["maps"] == pytest.approx(arrays("a.zarr")["maps"], abs=1e-6)


def test_the_seed_decides_the_draws_and_pieces_have_their_own(folder: Path) -> None:
    np.save("x.npy", np.tile(np.arange(4, dtype="f4"), (16, 1)))
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(ord(name))  # nothing to do with it
        runs.explain(job(method="smooth_grad", seed=seed), folder / f"{name}.zarr")
    a, b, c = (arrays(f"{name}.zarr")["maps"] for name in "abc")
    assert (a == b).all()
    assert not np.allclose(a, c)
    assert not np.allclose(a[:8], a[8:])


@pytest.mark.slow
def test_two_processes_write_what_one_does(folder: Path) -> None:
    seen: list[runs.Streamed] = []
    runs.explain(job(method="smooth_grad"), folder / "one.zarr")
    runs.explain(job(method="smooth_grad"), folder / "two.zarr", devices=2, progress=seen.append)
    one, two = arrays("one.zarr"), arrays("two.zarr")
    assert set(one) == set(two)
    assert two["done"].tolist() == [1] * 7
    for name in one:
        assert two[name] == pytest.approx(one[name], abs=1e-6)
    assert (seen[0].done, seen[-1].done, seen[-1].total) == (8, ROWS, ROWS)


@pytest.mark.slow
def test_after_a_kill_no_piece_is_lost_or_repeated(folder: Path) -> None:
    code = (
        "from rightreasons import runs; from tests.runs.inference.test_explain import job\n"
        "runs.explain(job('Slow'), 'killed.zarr')"
    )
    root = Path(__file__).parents[3]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}",
        "RIGHTREASONS_TYPECHECK": "0",
    }
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    store = folder / "killed.zarr"
    deadline = time.monotonic() + 120
    while not (store / "done" / "c" / "2").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = arrays(store)["done"]
    assert 0 < before.sum() < len(before)
    seen: list[runs.Streamed] = []
    runs.explain(job("Slow"), store, progress=seen.append)
    assert seen[0].found == seen[0].done == 8 * before.sum()
    after = arrays(store)
    assert after["done"].tolist() == [1] * 7
    runs.explain(job("Slow"), folder / "whole.zarr")
    assert (after["maps"] == arrays("whole.zarr")["maps"]).all()


def test_a_half_written_piece_is_written_again(folder: Path) -> None:
    path = runs.explain(job(), folder / "maps.zarr")
    expected = arrays(path)["maps"]
    (path / "done" / "c" / "3").unlink()
    (path / "maps" / "c" / "3" / "0").write_bytes(b"cut sh")
    runs.explain(job(), path)
    assert (arrays(path)["maps"] == expected).all()


def test_a_finished_job_is_not_done_again(folder: Path) -> None:
    path = runs.explain(job(), folder / "maps.zarr")
    seen: list[runs.Streamed] = []
    runs.explain(job(), path, progress=seen.append)
    assert [each.done for each in seen] == [ROWS]
    assert arrays(path)["done"].max() == 1


def test_what_is_explained_must_be_an_output(folder: Path) -> None:
    for wrong in (3, -1):
        with pytest.raises(
            InputError, match=rf"explained={wrong} is no output of a network with 3: .* 0 to 2"
        ):
            runs.explain(job(explained=wrong), folder / "maps.zarr")
    with pytest.raises(InputError, match="explained='ill' is no output"):
        runs.explain(job(explained="ill"), folder / "maps.zarr")
    with pytest.raises(InputError, match="explained=1 is no output of a network with 1"):
        runs.explain(job("one", explained=1), folder / "maps.zarr")
    assert not (folder / "maps.zarr").exists()


def test_the_same_by_another_name_is_gone_on_with(folder: Path) -> None:
    path = runs.explain(job(), folder / "maps.zarr")
    runs.explain(replace(job(), source=str(folder / "x.npy")), path)
    assert arrays(path)["done"].max() == 1


@pytest.mark.parametrize("other", [{"seed": 1}, {"method": "gradient"}, {"rows": 9}, {"explained": 1}])
def test_maps_of_another_job_are_not_gone_on_with(folder: Path, other: dict[str, Any]) -> None:
    path = runs.explain(job(), folder / "maps.zarr")
    with pytest.raises(DataError, match="holds maps of another job"):
        runs.explain(job(**other), path)


def test_changed_data_or_weights_are_another_job(folder: Path) -> None:
    path = runs.explain(job(), folder / "maps.zarr")
    np.save("x.npy", np.zeros((ROWS, 4), dtype="f4"))
    with pytest.raises(DataError, match="source is was"):
        runs.explain(job(), path)
    with pytest.raises(DataError, match="weights was"):
        runs.explain(job("Slow"), path)


def test_running_out_of_memory_halves_the_chunk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    original = rr.Gradient.explain

    def little(self: Any, model: Any, x: Tensor, *args: Any, chunk: int, **more: Any) -> Any:
        rows.append(chunk)
        if chunk > 3:
            raise RuntimeError("CUDA out of memory")
        return original(self, model, x, *args, chunk=chunk, **more)

    monkeypatch.setattr(rr.Gradient, "explain", little)
    monkeypatch.setattr(_memory, "free_bytes", lambda device: None)
    runs.explain(job(method="gradient", rows=25), folder / "maps.zarr")
    assert rows == [512, 256, 128, 64, 32, 16, 8, 4, 2, 2]  # the second piece begins where the first got to


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table and a finished run on it."""
    home = tmp_path_factory.mktemp("people")
    (home / "people.csv").write_text(people())
    (home / "recipe.yaml").write_text(PEOPLE)
    finished(home / "runs", read_recipe(home / "recipe.yaml"))
    return home


class TestRuns:
    @pytest.fixture
    def run(self, home: Path, tmp_path: Path) -> str:
        shutil.copytree(home, tmp_path, dirs_exist_ok=True)
        return str(tmp_path / "runs" / "people")

    def test_rows_are_named_and_categories_added_up(self, run: str, tmp_path: Path) -> None:
        source = str(tmp_path / "people.csv")
        path = runs.explain(Job(run, source, "integrated_gradients", rows=30), tmp_path / "maps.zarr")
        found, trained = arrays(path), rr.load(run)
        rows = trained.read(source)
        maps = trained.method("integrated_gradients")(trained.model, rows.x)
        assert isinstance(maps, Tensor)
        names, expected = data.sum_groups(maps, rows.groups)
        assert found["ids"].tolist() == list(rows.ids)
        assert found["maps"] == pytest.approx(expected.numpy(), abs=1e-6)
        assert zarr.open_group(path, mode="r").attrs["features"] == list(names) == ["age", "drink"]

    def test_the_recipes_own_method_and_its_references(self, run: str, tmp_path: Path) -> None:
        path = runs.explain(Job(run, str(tmp_path / "people.csv"), rows=64), tmp_path / "maps.zarr")
        assert "ExpectedGradients" in zarr.open_group(path, mode="r").attrs["job"]["method"]  # pyright: ignore[reportOperatorIssue, reportArgumentType, reportIndexIssue, reportCallIssue]
        assert np.isfinite(arrays(path)["maps"]).all()

    @pytest.mark.parametrize("ending", ["csv", "parquet"])
    def test_maps_of_tables_are_tables(self, run: str, tmp_path: Path, ending: str) -> None:
        source = str(tmp_path / "people.csv")
        ask = Job(run, source, "integrated_gradients", rows=30)
        runs.explain(ask, tmp_path / "maps.zarr")
        path = runs.explain(ask, tmp_path / f"maps.{ending}")
        frame = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
        expected = arrays(tmp_path / "maps.zarr")
        assert list(frame.columns) == ["row", "gap", "age", "drink"]
        assert list(frame["row"]) == expected["ids"].tolist()
        assert frame[["age", "drink"]].to_numpy() == pytest.approx(expected["maps"], rel=1e-6)
        assert sorted(each.name for each in tmp_path.glob(".*")) == []
        with pytest.raises(InputError, match="is there already"):
            runs.explain(ask, path)

    def test_data_by_name_and_options_of_reading(self, run: str, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="reading has no option 'separator' here"):
            runs.explain(
                Job(run, str(tmp_path / "people.csv"), reading={"separator": ";"}), tmp_path / "m.zarr"
            )
        with pytest.raises(DataError, match="no file"):
            runs.explain(Job(run, "absent.csv"), tmp_path / "m.zarr")
        renamed = (tmp_path / "people.csv").read_text().replace("who", "name", 1)
        (tmp_path / "new.csv").write_text(renamed)
        path = runs.explain(
            Job(run, str(tmp_path / "new.csv"), "gradient", reading={"id": "name"}), tmp_path / "m.zarr"
        )
        assert arrays(path)["ids"][0] == "p0"

    def test_an_id_in_two_pieces_is_refused_before_any_work(self, run: str, tmp_path: Path) -> None:
        text = (tmp_path / "people.csv").read_text().replace("p90,", "p3,")
        (tmp_path / "new.csv").write_text(text)
        with pytest.raises(DataError, match="an id must name one row, but rows 4 and 91 have the same"):
            runs.explain(Job(run, str(tmp_path / "new.csv"), "gradient", rows=30), tmp_path / "maps.zarr")
        assert not (tmp_path / "maps.zarr").exists()

    def test_inch_marks_and_formulas_come_back_from_the_table(self, run: str, tmp_path: Path) -> None:
        ids = ["=1+1", '5" pipe', "@who", "-7", "'=x", "plain"]
        columns = {"who": ids, "age": range(20, 26), "drink": ["beer"] * 6}
        runs.write_table(columns, tmp_path / "new.csv")
        path = runs.explain(Job(run, str(tmp_path / "new.csv"), "gradient", rows=2), tmp_path / "maps.csv")
        cells = [line.split(",")[0] for line in path.read_text().splitlines()[1:]]
        assert cells == ["'=1+1", '"5"" pipe"', "'@who", "-7", "''=x", "plain"]
        assert list(data.read(path, id="row").ids) == ids


class TestOwnNetworks:
    def test_pictures_keep_their_names(self, folder: Path) -> None:
        for i in range(3):
            file = folder / "pictures" / ("cat", "dog")[i % 2] / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 4, 3), 40 * i, dtype=np.uint8)).save(file)
        ask = Job("streamed_networks:picture", "pictures", "gradient", rows=2, reading={"size": [2, 2]})
        found = arrays(runs.explain(ask, "maps.zarr"))
        assert found["maps"].shape == (3, 3, 2, 2)
        assert found["ids"].tolist() == ["cat/0.png", "cat/2.png", "dog/1.png"]
        with pytest.raises(InputError, match="have no columns, so they are no table"):
            runs.explain(ask, "maps.csv")

    def test_labels_and_numbers_choose_the_output(self, folder: Path) -> None:
        np.save("y.npy", np.arange(ROWS) % 3)
        labelled = job(explained="label", reading={"target": "y.npy", "label": "class"})
        assert (arrays(runs.explain(labelled, "label.zarr"))["target"] == np.arange(ROWS) % 3).all()
        assert (arrays(runs.explain(job(explained=2), "two.zarr"))["target"] == 2).all()
        with pytest.raises(DataError, match="has no labels to explain"):
            runs.explain(job(explained="label"), "none.zarr")

    def test_one_output_has_no_target(self, folder: Path) -> None:
        assert "target" not in arrays(runs.explain(job("one"), "maps.zarr"))

    def test_references_come_from_a_file(self, folder: Path) -> None:
        method = {"name": "expected_gradients", "samples": 8}
        with pytest.raises(
            InputError, match=r"expected_gradients needs rows to compare with: references=FILE"
        ):
            runs.explain(job(method=method), "maps.zarr")
        found = arrays(runs.explain(job(method=method, references="x.npy"), "maps.zarr"))
        mean = found["outputs"].mean(0)
        expected = np.take_along_axis(found["outputs"] - mean, found["target"][:, None], 1)[:, 0]
        assert found["maps"].sum(1) == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize(
        ("references", "said"),
        [
            (
                "d,c,b,a\n4,3,2,1\n8,7,6,5",
                "columns in another order: 'a' in one stands where 'd' stands in the other",
            ),
            (
                "a,b,c\n1,2,3\n5,6,7",
                "columns of other names: 'd' in one stands where nothing stands in the other",
            ),
            ("a,b,c,e\n1,2,3,4\n5,6,7,8", "columns of other names: 'd' in one stands where 'e'"),
            ("a,b,c,d\n1,2,3,y\n5,6,7,z", "of 'd'"),
        ],
    )
    def test_columns_of_data_and_references_must_stand_alike(
        self, folder: Path, references: str, said: str
    ) -> None:
        fourth = ("x", "y") if "y" in references else (4, 8)
        Path("x.csv").write_text("a,b,c,d\n" + f"1,2,3,{fourth[0]}\n" + f"5,6,7,{fourth[1]}\n")
        Path("references.csv").write_text(references + "\n")
        method = {"name": "expected_gradients", "samples": 8}
        asked = replace(job(method=method, references="references.csv"), source="x.csv")
        with pytest.raises(DataError, match=said):
            runs.explain(asked, "maps.zarr")
        alike = replace(asked, references="x.csv")
        assert len(arrays(runs.explain(alike, "maps.zarr"))["maps"]) == 2

    @pytest.mark.parametrize(
        ("ask", "said"),
        [
            ({"model": "number"}, "must return an nn.Module; got int"),
            (
                {"model": "needy"},
                "called without arguments, but missing a required argument: 'width'. Name a",
            ),
            (
                {"model": "picture"},
                r"picture failed on rows of shape \(4,\) \(torch.float32\) of x.npy: mat1",
            ),
            ({"model": "spatial"}, r"outputs of shape \(2, 2\): make it return"),
            ({"reading": {"sizes": [2, 2]}}, "reading has no option 'sizes' here. Did you mean 'size'"),
            ({"method": "gradients"}, "there is no attribution 'gradients'. Did you mean"),
            ({"method": {"name": "gradient", "step": 1}}, "has no field 'step'"),
            ({"rows": 0}, "rows must be at least 1; got 0"),
            ({"chunk": 0}, "chunk must be at least 1; got 0"),
        ],
    )
    def test_what_cannot_be_done(self, folder: Path, ask: dict[str, Any], said: str) -> None:
        with pytest.raises(RightReasonsError, match=said):
            runs.explain(job(**ask), "maps.zarr")
        assert not (folder / "maps.zarr").exists()

    @pytest.mark.parametrize(
        ("source", "said"),
        [("absent.npy", "absent.npy"), ("mnits", "no data set 'mnits'. Did you mean 'mnist'")],
    )
    def test_a_missing_file_is_no_misspelt_data_set(self, folder: Path, source: str, said: str) -> None:
        with pytest.raises(DataError, match=said) as caught:
            runs.explain(replace(job(), source=source), "maps.zarr")
        assert ("no data set" in str(caught.value)) == (source == "mnits")

    def test_places_maps_can_go_to(self, folder: Path) -> None:
        with pytest.raises(InputError, match=r"one of \.zarr, \.csv, \.parquet; got 'maps.npy'"):
            runs.explain(job(), "maps.npy")
        (folder / "maps.zarr").mkdir()
        with pytest.raises(DataError, match="no store of maps"):
            runs.explain(job(), "maps.zarr")
        with pytest.raises(InputError, match="devices is how many processes"):
            runs.explain(job(), "other.zarr", devices=0)


class TestProcesses:
    """What parent and workers tell each other, in one process."""

    def told(self, said: Any, worker: Any = None) -> list[int]:
        pieces: list[int] = []
        ours, theirs = multiprocessing.Pipe(duplex=False)
        if said is not None:
            theirs.send(said)
        theirs.close()
        _stream._heard(ours, {ours: worker}, pieces.append)
        return pieces

    def test_pieces_are_counted_and_errors_raised_again(self) -> None:
        assert self.told(3) == [3]
        with pytest.raises(DataError, match="row 7"):
            self.told(DataError("row 7 is broken"))
        with pytest.raises(RuntimeError, match="one of the processes failed:\nTraceback"):
            self.told("Traceback ...")

    @pytest.mark.parametrize("code", [-9, 1])
    def test_a_process_that_dies_is_told(self, code: int) -> None:
        with pytest.raises(InputError, match=f"ended with code {code}, killed or out of memory"):
            self.told(None, SimpleNamespace(join=lambda: None, exitcode=code))
        assert self.told(None, SimpleNamespace(join=lambda: None, exitcode=0)) == []

    def test_workers_do_every_other_piece(self, folder: Path) -> None:
        store, _ = _stream._opened(job(), folder / "maps.zarr", False, 1)
        threads = torch.get_num_threads()
        ours, theirs = multiprocessing.Pipe(duplex=False)
        _stream._worker(job(), store.path, 1, 2, threads, theirs)
        assert [ours.recv() for _ in range(3)] == [1, 3, 5]
        assert not ours.poll()
        assert store.pending() == [2, 4, 6]

    def test_workers_tell_what_went_wrong(self, folder: Path) -> None:
        store, _ = _stream._opened(job(), folder / "maps.zarr", False, 1)
        for model, kind in (("number", InputError), ("broken", str)):
            ours, theirs = multiprocessing.Pipe(duplex=False)
            _stream._worker(job(model), store.path, 0, 1, torch.get_num_threads(), theirs)
            assert isinstance(ours.recv(), kind)

    def test_workers_end_when_nobody_listens(self, folder: Path) -> None:
        store, _ = _stream._opened(job(), folder / "maps.zarr", False, 1)
        ours, theirs = multiprocessing.Pipe(duplex=False)
        ours.close()
        _stream._worker(job(), store.path, 1, 2, torch.get_num_threads(), theirs)
        assert store.pending() == [2, 3, 4, 5, 6]
