import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rightreasons.core._errors import DataError, InputError, RecipeError
from rightreasons.recipes import parse
from rightreasons.runs import Progress, RunDirectory, plan, run
from rightreasons.runs.execution import _runner
from rightreasons.runs.setup._build import resolve
from tests.runs.cases import IMAGES, TABLE, images

ROOT = Path(__file__).resolve().parents[3]


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if "second" not in k and k != "plain_steps"}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def stamps(directory: RunDirectory) -> dict[str, int]:
    return {
        str(p.relative_to(directory.path)): p.stat().st_mtime_ns
        for folder in ("fits", "examined", "maps")
        for p in (directory.path / folder).iterdir()
    }


def test_a_run_directory_holds_what_it_says(image_run: RunDirectory) -> None:
    metrics = image_run.metrics()
    assert [arm["name"] for arm in metrics["arms"]] == ["Plain", "Smooth <b>", "Decay"]
    assert metrics["headline"] == "accuracy"
    assert metrics["rows"] == {"train": 60, "validation": 40, "test": 60}
    assert {c["outcome"] for c in metrics["comparisons"]} == {"test", "gaussian", "salt_and_pepper"}
    assert all(c["p"] is None and c["verdict"] == "cannot tell" for c in metrics["comparisons"])
    assert {arm["steps"] for arm in metrics["arms"]} == {2 * 2 * 2 * 2}  # trials x splits x epochs x batches
    assert len(image_run.history()) == 12 * 2
    resolved = image_run.recipe().resolved or {}
    assert resolved["fits"] == 12
    assert resolved["versions"]["torch"]


def test_noise_of_level_zero_is_the_clean_test(image_run: RunDirectory) -> None:
    for arm in image_run.metrics()["arms"]:
        assert arm["noise"]["gaussian"][0]["scores"] == arm["test"]["accuracy"]


def test_only_chosen_weights_are_kept(image_run: RunDirectory) -> None:
    kept = {p.stem for p in (image_run.path / "fits").glob("*.safetensors")}
    assert kept == {c["id"] for arm in image_run.metrics()["arms"] for c in arm["chosen"]}
    assert load_file(str(next((image_run.path / "fits").glob("*.safetensors"))))


def test_columns_are_named_and_one_hot_parts_added_up(table_run: RunDirectory) -> None:
    metrics = table_run.metrics()
    assert metrics["headline"] == "auc"
    assert len(metrics["features"]) == 45
    key = metrics["arms"][0]["chosen"][0]["key"]
    arrays = table_run.maps(key)
    assert arrays["maps"].shape == (10, 45)
    np.testing.assert_allclose(arrays["importance"], np.abs(arrays["maps"]).mean(0), rtol=1e-5)
    assert len(json.loads(table_run.preprocessing_file.read_text())) == 2


def test_running_again_repeats_nothing(image_run: RunDirectory) -> None:
    before, metrics = stamps(image_run), image_run.metrics()
    heard: list[Progress] = []
    run(images(), image_run.path, workers=0, listen=heard.append)
    assert stamps(image_run) == before
    assert image_run.metrics() == metrics
    assert all(p.last is None and p.found == p.total for p in heard)


def test_a_resolved_recipe_finds_the_finished_fits(image_run: RunDirectory) -> None:
    before = stamps(image_run)
    run(image_run.recipe(), image_run.path, workers=0)
    assert stamps(image_run) == before


def test_a_new_rule_trains_again_only_the_weights_it_lacks(tmp_path: Path) -> None:
    recipe = parse(TABLE.replace("weights: [0.1]", "weights: [0.1, 1000]"))
    first = run(recipe, tmp_path, workers=0)
    taken = {c["id"] for c in first.metrics()["arms"][1]["chosen"]}
    results = {p: p.read_text() for p in (tmp_path / "fits").glob("*.json")}
    other = parse(
        TABLE.replace("weights: [0.1]", "weights: [0.1, 1000]") + "\nselect: {largest_within: 1.0}\n"
    )
    second = run(other, tmp_path, workers=0)
    chosen = second.metrics()["arms"][1]["chosen"]
    assert {c["weight"] for c in chosen} == {1000.0}
    assert {c["id"] for c in chosen} != taken
    for path, text in results.items():
        assert without_times(json.loads(path.read_text())) == without_times(json.loads(text))


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_workers(image_run: RunDirectory, tmp_path: Path) -> None:
    other = run(images(), tmp_path, workers=2)
    assert without_times(other.metrics()) == without_times(image_run.metrics())
    for arm in other.metrics()["arms"]:
        for chosen in arm["chosen"]:
            for name, value in other.maps(chosen["key"]).items():
                np.testing.assert_array_equal(value, image_run.maps(chosen["key"])[name])


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, True], ids=["the process", "its whole group"])
def test_a_killed_run_goes_on_and_repeats_no_finished_fit(
    image_run: RunDirectory, tmp_path: Path, whole_group: bool
) -> None:
    (tmp_path / "r.yaml").write_text(IMAGES.replace("splits: 2", "splits: 4"))
    workers = "2" if whole_group else "1"
    command = [
        sys.executable,
        "-m",
        "rightreasons",
        "train",
        "r.yaml",
        "-o",
        "run",
        "--no-report",
        "-w",
        workers,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    killed = RunDirectory(tmp_path / "run")
    deadline = time.monotonic() + 240
    while len(list(tmp_path.glob("run/fits/*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    if not whole_group:
        time.sleep(2)  # workers notice that their parent is gone
    done = {p: p.stat().st_mtime_ns for p in tmp_path.glob("run/fits/*.json")}
    assert 3 <= len(done) < 24
    assert not killed.metrics_file.exists()
    heard: list[Progress] = []
    again = run(parse((tmp_path / "r.yaml").read_text()), killed.path, workers=0, listen=heard.append)
    assert {p: p.stat().st_mtime_ns for p in done} == done
    trained = [each.last for each in heard if each.stage == "train" and each.last is not None]
    assert len(trained) == 24 - len(done)
    assert not {f"{fit.id}.json" for fit in trained} & {p.name for p in done}
    whole = again.metrics()["arms"][0]["test"]["accuracy"]
    assert whole[:2] == image_run.metrics()["arms"][0]["test"]["accuracy"]


@pytest.mark.parametrize(
    ("there", "instead", "message"),
    [
        ("rows: 0.5", "rows: 0.5, draws: 2", r"arm 'Smooth <b>': .*no bilinear form"),
        ("prior: total_variation", "prior: {name: total_variation, dims: 5}", r"arm 'Smooth <b>': .*dims=5"),
        ("train: 60", "train: 6000", r"tiny: .*cannot be taken from 1797 rows"),
        ("{name: mlp, hidden: [16]}", "{name: cnn, channels: [2, 2, 2, 2]}", r"tiny: .*do not fit images"),
        ("samples: 8}", "samples: 8, at: nowhere}", r"explain: .*nowhere"),
    ],
)
def test_what_cannot_run_is_said_before_anything_is_trained(
    tmp_path: Path, there: str, instead: str, message: str
) -> None:
    changed = IMAGES.replace(there, instead, 1)
    assert changed != IMAGES
    with pytest.raises(RecipeError, match=message) as caught:
        run(parse(changed), tmp_path / "run", workers=0)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_an_arm_that_always_fails_is_not_left_out(tmp_path: Path) -> None:
    text = TABLE.replace("epochs: 3", "epochs: 3, optimizer: {name: sgd, lr: 1.0e+30}")
    with pytest.raises(
        DataError,
        match="every trial of arm 'Plain' failed on split 0.*The first failure: the loss is not finite",
    ):
        run(parse(text), tmp_path, workers=0)
    results = [json.loads(p.read_text()) for p in tmp_path.glob("fits/*.json")]
    assert {r["status"] for r in results} == {"failed"}
    assert len(results) == len(plan(parse(text)))


def test_one_split_gives_scores_and_no_interval(tmp_path: Path) -> None:
    done = run(parse(TABLE.replace("splits: 2", "splits: 1")), tmp_path, workers=0)
    (comparison,) = done.metrics()["comparisons"]
    assert (comparison["low"], comparison["high"], comparison["p"]) == (None, None, None)


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(DataError, match="cannot be written"):
        run(images(), tmp_path / "run", workers=0)


def test_results_of_other_data_are_not_replaced(image_run: RunDirectory) -> None:
    recipe = image_run.recipe()
    other = recipe.model_copy(update={"data": recipe.data.model_copy(update={"name": "mnist"}), "files": {}})
    before = stamps(image_run)
    with pytest.raises(
        DataError, match="holds the results of digits, and this recipe is about mnist.*another name"
    ):
        run(other, image_run.path, workers=0)
    assert stamps(image_run) == before


def test_two_arms_that_are_the_same_share_their_fits(tmp_path: Path) -> None:
    text = TABLE.replace("  - {name: Plain}", "  - {name: Plain}\n  - {name: plain}")
    done = run(parse(text), tmp_path, workers=0)
    first, second, _ = done.metrics()["arms"]
    assert first["test"] == second["test"]


LONG = """
name: long
data: {name: digits, train: 200, validation: 100, test: 40, splits: 1}
model: {name: mlp, hidden: [64], dropout: 0.2}
training: {epochs: 60, batch_size: 25, schedule: cosine, augment: shift, checkpoint_every: 20}
explain: {rows: 5, attribution: {name: expected_gradients, samples: 4}}
loggers: [csv]
arms: [{name: Smooth, terms: [{prior: total_variation}], weights: [0.01]}]
"""


@pytest.mark.slow
def test_a_fit_killed_in_the_middle_goes_on_to_the_same_weights_bit_by_bit(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(LONG)
    command = [sys.executable, "-m", "rightreasons", "train", "r.yaml", "-o", "run", "--no-report", "-w", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("run/checkpoints/*/step-0000000[4-9]*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(2)  # the worker notices that its parent is gone
    killed = RunDirectory(tmp_path / "run")
    (fit,) = plan(resolve(parse(LONG)))
    assert not killed.result_file(fit.id).exists()
    (curves,) = tmp_path.glob("run/logs/*.csv")
    seconds = [float(row["seconds"]) for row in csv.DictReader(curves.read_text().splitlines())]
    again = run(parse(LONG), killed.path, workers=0)
    whole = run(parse(LONG), tmp_path / "whole", workers=0)
    expected, found = (load_file(each.model_file(fit.id)) for each in (whole, again))
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    history = [record["seconds"] for record in again.history()]
    assert len(history) == 60
    assert history[:4] == seconds[:4]  # these epochs were not repeated
    assert not list(tmp_path.glob("run/checkpoints/*"))


def test_a_run_without_memory_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        torch.empty(2**60)

    monkeypatch.setattr(_runner, "rehearse", fails)
    with pytest.raises(InputError, match="this run needs more memory than there is. Take a smaller network"):
        run(parse(TABLE), tmp_path, workers=0)
