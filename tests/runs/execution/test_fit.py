"""How a recipe trains its fits: every key does what it says, and what cannot run is said before training."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rightreasons import tasks, training
from rightreasons.core._errors import DataError, RecipeError
from rightreasons.core.files._disk import append
from rightreasons.recipes import Recipe, parse, to_yaml
from rightreasons.runs import RunDirectory, plan, run
from rightreasons.runs.execution import _fit as fits
from rightreasons.runs.execution._dry_run import rehearse
from rightreasons.runs.execution._fit import is_flat
from rightreasons.runs.setup import _build as material
from rightreasons.runs.setup import _datasets as rows
from rightreasons.runs.setup._terms import terms_of
from tests.runs.cases import IMAGES, TABLE

ONE = (
    IMAGES.split("arms:")[0]
    + "arms:\n  - {name: Smooth, terms: [{prior: total_variation}], weights: [0.01]}\n"
)


def told(how: str, text: str = ONE) -> Recipe:
    """The recipe, trained in this way."""
    there = next(line for line in text.splitlines() if line.startswith("training:"))
    recipe = parse(text.replace(there, f"training: {{epochs: 3, batch_size: 25, {how}}}"))
    assert parse(to_yaml(recipe)) == recipe
    return recipe


def trained(recipe: Recipe, folder: Path, number: int = 0) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights and result of one fit."""
    recipe = material.resolve(recipe)
    fit, to = plan(recipe)[number], RunDirectory(folder)
    fits.train(recipe, fit, to)
    result = to.object_in(to.result_file(fit.id))
    assert result["status"] == "ok", result
    return load_file(to.model_file(fit.id)), result


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Distance relative to the weights."""
    flat = [torch.cat([value.double().flatten() for value in each.values()]) for each in (one, other)]
    return float((flat[0] - flat[1]).norm() / flat[0].norm())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return trained(told("seed: 0"), tmp_path_factory.mktemp("plain"))[0]


@pytest.mark.parametrize(
    "how",
    [
        "optimizer: {name: rmsprop, lr: 1e-3, momentum: 0.9}",
        "schedule: cosine",
        "schedule: {name: one_cycle, warm_up: 0.2}",
        "schedule: {name: steps, at: [0.1], factor: 0.01}",
        "schedule: {name: constant, warm_up: 0.5}",
        "accumulate: 2",
        "drop_last: true",
        "clip: 0.01",
        "augment: shift",
        "augment: [{name: shift, pixels: 1}, {name: flip, axis: vertical}]",
        "seed: 1",
    ],
)
def test_what_changes_training_changes_the_weights(
    how: str, plain: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    found, result = trained(told(how), tmp_path)
    assert apart(found, plain) > 1e-4
    assert result["steps"] == (6 if "accumulate" in how or "drop_last" in how else 9)


@pytest.mark.parametrize(
    ("how", "tolerance"),
    [
        ("engine: {name: recompute, chunk: 16}", 1e-4),  # the same sums in another order, in single precision
        ("precision: 64-true", 1e-4),  # rounding of single precision
        ("checkpoint_every: 2", 0.0),
        ("schedule: constant", 0.0),
        ("schedule: {name: plateau, patience: 5}", 0.0),  # three epochs are too few
        ("patience: 3", 0.0),
    ],
)
def test_what_is_the_same_training_ends_with_the_same_weights(
    how: str, tolerance: float, plain: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    found, _ = trained(told(how), tmp_path)
    assert apart(found, plain) <= tolerance
    assert {value.dtype for value in found.values()} == {torch.float32}


def test_bfloat16_trains_and_differs_by_its_rounding(plain: dict[str, torch.Tensor], tmp_path: Path) -> None:
    found, _ = trained(told("precision: bf16-mixed"), tmp_path)
    assert 0 < apart(found, plain) < 0.1


def test_patience_stops_early(tmp_path: Path) -> None:
    _, result = trained(told("patience: 1, optimizer: {name: sgd, lr: 1e-12}"), tmp_path)
    assert len(result["history"]) == 2


def test_how_to_train_decides_the_name_of_a_fit_and_when_to_save_does_not() -> None:
    names = {how: plan(told(how))[0].id for how in ("seed: 0", "checkpoint_every: 1", "clip: 1", "seed: 1")}
    assert names["seed: 0"] == names["checkpoint_every: 1"]
    assert len(set(names.values())) == 3


def test_a_seed_of_training_leaves_the_splits_alone() -> None:
    one, other = (rows.parts(told(f"seed: {seed}"), 0) for seed in (0, 1))
    assert one.train.ids == other.train.ids
    assert plan(told("seed: 0"))[0].seed != plan(told("seed: 1"))[0].seed


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", 0.2),
        (
            "{name: ramp, last: 10, first: 2, start: 0.5, shape: cosine}",
            training.Ramp(0.2, 10, 0.1, 2, "cosine"),
        ),
        ("{name: auto, at: 3}", training.Auto(0.2, 3)),
    ],
)
def test_weights_of_terms_may_change_over_a_fit(schedule: str, expected: object) -> None:
    recipe = parse(TABLE.replace("{prior: gini}", f"{{prior: gini, factor: 2, schedule: {schedule}}}"))
    assert terms_of(recipe, recipe.arms[1], 0.1, split=0).terms[0].weight == expected


def test_a_ramp_and_a_measured_weight_train(tmp_path: Path) -> None:
    for schedule, seen in (
        ("{name: ramp, last: 8}", [0.1 * 2 / 8, 0.1 * 5 / 8, 0.1]),
        ("{name: auto, at: 3}", None),
    ):
        text = ONE.replace("total_variation", f"total_variation, schedule: {schedule}").replace("0.01", "0.1")
        _, result = trained(told("clip: 5", text), tmp_path / schedule[7:11])
        weights = [record.get("weight/total_variation_0") for record in result["history"]]
        if seen:
            assert weights == pytest.approx(seen)
        else:
            assert weights[0] is None
            assert weights[1] == weights[2] > 0


BALANCED = TABLE.replace("name: tiny-table\n", "name: tiny-table\ntask: {name: binary, weights: balanced}\n")


def test_balanced_classes_are_those_of_the_training_rows_of_each_split() -> None:
    recipe = material.resolve(parse(BALANCED.replace("splits: 2", "splits: 2, stratify: false")))
    found = []
    for split in (0, 1):
        y = rows.parts(recipe, split).train.y
        task = material.task_of(recipe, rows.parts(recipe, split).train)
        assert isinstance(task, tasks.Binary)
        assert task.weights == pytest.approx((60 / (2 * int((y == 0).sum())), 60 / (2 * int((y == 1).sum()))))
        found.append(task.weights)
    assert found[0] != found[1]
    assert material.task_of(recipe) == tasks.Binary()


def test_balanced_classes_train(tmp_path: Path) -> None:
    plain, _ = trained(parse(TABLE), tmp_path / "plain")
    weighed, _ = trained(parse(BALANCED), tmp_path / "weighed")
    assert apart(plain, weighed) > 1e-4


WRONG = {
    "shift of a table": (TABLE, "augment: shift", r"arm 'Plain': Shift.* changes images.*rows of \(52,\)"),
    "plateau": (ONE, "schedule: {name: plateau, factor: 2}", "arm 'Smooth': Factor should be < 1.0"),
    "rate": (ONE, "optimizer: {name: sgd, lr: -1}", "arm 'Smooth': Invalid learning rate: -1"),
    "warm-up": (ONE, "schedule: {name: cosine, warm_up: 2}", "arm 'Smooth': warm_up is a share of the steps"),
    "moments": (ONE, "schedule: {name: steps, at: [2]}", "arm 'Smooth': at are shares of the steps"),
    "chance": (ONE, "augment: {name: flip, chance: 2}", "arm 'Smooth': chance is a probability"),
    "chunk": (ONE, "engine: {name: recompute, chunk: 0}", "arm 'Smooth': chunk is the most model rows"),
    "no batch": (ONE, "drop_last: true, batch_size: 100", "arm 'Smooth': drop_last=True leaves no batch: 60 rows"),
    "coupled": (
        TABLE.replace("gini", "{name: gini, level: global}"), "accumulate: 2, batch_size: 20",
        "arm 'Sparse': gini_0 depends on the batch as a whole, so accumulate: 2",
    ),
}  # fmt: skip


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("case", WRONG)
def test_training_that_cannot_run_is_said_before_it_begins(case: str, tmp_path: Path) -> None:
    text, how, message = WRONG[case]
    how = how if "batch_size" not in how else how.replace("batch_size", "clip: 1, batch_size")
    there = next(line for line in text.splitlines() if line.startswith("training:"))
    recipe = parse(text.replace(there, f"training: {{epochs: 2, {how}}}"))
    with pytest.raises(RecipeError, match=message) as caught:
        run(recipe, tmp_path / "run", workers=0)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("there", "instead", "message"),
    [
        (
            "{prior: gini}",
            "{prior: gini, schedule: {name: ramp, last: 0}}",
            "arm 'Sparse': a ramp needs first < last",
        ),
        (
            "{prior: gini}",
            "{prior: gini, schedule: {name: auto, at: -1}}",
            "arm 'Sparse': at is a step number",
        ),
    ],
)
def test_terms_that_cannot_be_weighed(there: str, instead: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        rehearse(material.resolve(parse(TABLE.replace(there, instead))))


def test_balance_needs_a_0_and_a_1_of_every_label_on_every_split(tmp_path: Path) -> None:
    y = np.zeros((40, 2), dtype=np.int64)
    y[::2, 0] = y[3, 1] = 1  # one row for the second label
    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32), y=y)
    text = f"""
    name: rare
    data: {{path: {tmp_path}/rows.npz, target: y, splits: 6, train: 20, validation: 10, test: 10}}
    task: {{name: multilabel, labels: 2, positive_weights: balanced}}
    model: {{name: mlp, hidden: [4]}}
    training: {{epochs: 1}}
    arms: [{{name: Plain}}]
    """
    with pytest.raises(
        RecipeError, match="rare: balanced weights need both a 0 and a 1 of every label.*number 1"
    ):
        rehearse(material.resolve(parse(text)))


def test_curves_are_written_for_every_epoch(tmp_path: Path) -> None:
    text = ONE.replace("total_variation", "total_variation, schedule: {name: auto, at: 3}")
    recipe = material.resolve(told("clip: 5", text + "loggers: [csv, tensorboard]\n"))
    _, result = trained(recipe, tmp_path)
    (path,) = tmp_path.glob("logs/*.csv")
    table = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["epoch"] for row in table] == ["0", "1", "2"]
    assert [float(row["loss"]) for row in table] == [record["loss"] for record in result["history"]]
    assert [row["weight/total_variation_0"] == "" for row in table] == [
        True,
        False,
        False,
    ]  # begins at step 3
    (events,) = tmp_path.glob(f"logs/tensorboard/{result['id']}/events*")
    found = scalars(events)
    assert [value for _, value in found["validation/accuracy"]] == pytest.approx(
        [record["validation"]["accuracy"] for record in result["history"]]
    )
    assert [step for step, _ in found["loss"]] == [0, 1, 2]


def scalars(events: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    found: dict[str, list[tuple[int, float]]] = {}
    for event in EventFileLoader(str(events)).Load():
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, float(value.tensor.float_val[0])))
    return found


class Killed(BaseException):
    pass


@pytest.mark.parametrize("checkpoints", ["checkpoint_every: 2", "clip: 100"])
def test_curves_of_a_fit_that_goes_on_have_no_row_twice(
    checkpoints: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = material.resolve(told(checkpoints, ONE + "loggers: [csv, tensorboard]\n"))
    once = trained(recipe, tmp_path / "once")[0]
    judged = training._run.Run.judge

    def killed(self: Any, record: dict[str, Any], parts: Any) -> None:
        if record["epoch"] == 2:
            raise Killed
        judged(self, record, parts)

    monkeypatch.setattr(training._run.Run, "judge", killed)
    with pytest.raises(Killed):
        trained(recipe, tmp_path / "twice")
    monkeypatch.undo()
    twice, result = trained(recipe, tmp_path / "twice")
    assert all(torch.equal(once[name], twice[name]) for name in once)
    (path,) = (tmp_path / "twice" / "logs").glob("*.csv")
    assert [row["epoch"] for row in csv.DictReader(path.read_text().splitlines())] == ["0", "1", "2"]
    (events,) = (tmp_path / "twice" / "logs" / "tensorboard" / result["id"]).iterdir()
    assert [step for step, _ in scalars(events)["loss"]] == [0, 1, 2]
    assert not (tmp_path / "twice" / "checkpoints" / result["id"]).exists()


FROZEN = """
name: tuned
data: {name: digits, train: 60, validation: 40, test: 60, splits: 1}
model: {name: cnn, channels: [4, 8], batch_norm: true}
training: {epochs: 3, batch_size: 20}
explain: {rows: 12, attribution: {name: expected_gradients, samples: 8}}
arms: [{name: Smooth, terms: [{prior: total_variation}], weights: [0.01]}]
"""


def test_fine_tuning_leaves_frozen_parts_as_they_were_bit_by_bit(tmp_path: Path) -> None:
    first, _ = trained(parse(FROZEN), tmp_path / "first")
    save_file(first, tmp_path / "weights.safetensors")
    blocks = sorted({name.split(".")[0] for name in first})
    text = (
        FROZEN
        + f"pretrained: {{weights: weights.safetensors, freeze: ['{blocks[0]}']}}\nfolder: {tmp_path}\n"
    )
    second, _ = trained(parse(text), tmp_path / "second")
    frozen = {name for name in first if name.startswith(blocks[0])}
    assert any("running_mean" in name for name in frozen)
    for name in first:
        assert torch.equal(first[name], second[name]) == (name in frozen), name


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk, a file grows no further than this."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_line_that_does_not_fit_on_the_disk_is_not_half_there(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text("epoch\n0\n")
    with pytest.raises(DataError, match="nowhere/curves.csv cannot be written"):
        append(tmp_path / "nowhere" / "curves.csv", "1\n")
    with files_of_at_most(10), pytest.raises(DataError, match="curves.csv cannot be written"):
        append(path, "1234567890\n")
    assert path.read_text() == "epoch\n0\n"


def test_events_that_do_not_fit_on_the_disk_are_one_error(tmp_path: Path) -> None:
    recipe = told("clip: 5", ONE + "loggers: [tensorboard]\n")
    with (
        files_of_at_most(300),
        pytest.raises(DataError, match="tensorboard/.* cannot be written"),
    ):
        trained(recipe, tmp_path)


def test_a_fit_that_says_the_same_of_every_row_is_flat() -> None:
    y = torch.tensor([0, 1, 2, 1])
    near = torch.tensor([[1.0, 2.0, 3.0]]) + torch.arange(4)[:, None]  # all logits of a row raised alike
    assert is_flat(near, y, tasks.MultiClass(3))
    assert not is_flat(near + torch.eye(4)[:, :3], y, tasks.MultiClass(3))
    assert not is_flat(torch.tensor([-3.0, -3.2, -3.0, -3.2]), y, tasks.Binary())  # though all are one class
    prices = torch.tensor([1e6, 2e6, 3e6])
    assert is_flat(torch.tensor([2e6, 2.001e6, 2e6]), prices, tasks.Regression())
    assert not is_flat(prices, prices, tasks.Regression())
    assert not is_flat(1e-6 * prices, 1e-6 * prices, tasks.Regression())
