"""Fits trained by two processes: the weights of one process but for rounding, and no process is waited for in vain."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rightreasons.cli import main
from rightreasons.core._errors import DataError, RecipeError
from rightreasons.recipes import parse
from rightreasons.runs import RunDirectory, plan, run
from rightreasons.runs.execution import _fit as fits
from rightreasons.runs.setup import _build as material

# 25 rows in batches of 10: shares of 5 and 5, then of 3 and 2. Drawn references, a prior that couples the batch,
# augmentation and weighed classes all have to be those of one process.
RECIPE = """
name: together
data: {name: digits, train: 25, validation: 40, test: 40, splits: 1, stratify: false}
task: {name: multiclass, classes: 10, weights: [1, 2, 1, 1, 3, 1, 1, 1, 1, 0.5]}
model: {name: mlp, hidden: [16]}
training: {epochs: 3, batch_size: 10, augment: shift, schedule: cosine, checkpoint_every: 2}
explain: {rows: 5, attribution: {name: expected_gradients, samples: 4}}
loggers: [csv]
arms:
  - {name: Smooth, terms: [{prior: total_variation}], weights: [0.01]}
  - {name: Sparse, terms: [{prior: {name: gini, level: global}}], weights: [0.1]}
"""


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    two = tmp_path / "two"
    command = ["train", str(tmp_path / "r.yaml"), "-o", str(two), "--no-report", "-w", "2", "--devices", "2"]
    assert main(command) == 0
    recipe, one = material.resolve(parse(RECIPE)), RunDirectory(tmp_path / "one")
    for fit in plan(recipe):
        fits.train(recipe, fit, one)
        expected, found = (load_file(each.model_file(fit.id)) for each in (one, RunDirectory(two)))
        for name, value in expected.items():
            # Sums of single precision in another order, over nine steps of Adam.
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6)
        assert len((two / "logs" / f"{fit.id}.csv").read_text().splitlines()) == 1 + 3
        assert not (two / "checkpoints" / fit.id).exists()


OWN = """
import os

import torch
from rightreasons import InputError


class Net(torch.nn.Linear):
    def forward(self, x):
        if self.training and os.environ.get("LOCAL_RANK") == "1":
            {what}
        return super().forward(x.flatten(1))


def make(shape, outputs):
    return Net(64, outputs)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("os._exit(3)", "cannot be trained by 2 processes: a process died.*Use --devices 1"),
        ("raise InputError('one rank alone')", "every trial of arm 'Plain' failed.*one rank alone"),
    ],
)
def test_a_process_that_fails_alone_is_noticed(what: str, message: str, tmp_path: Path) -> None:
    (tmp_path / f"{tmp_path.name}.py").write_text(OWN.format(what=what))
    text = (
        RECIPE.split("arms:")[0].replace("{name: mlp, hidden: [16]}", f"'{tmp_path.name}:make'")
        + "arms: [{name: Plain}]\n"
    )
    recipe = parse(text).model_copy(update={"code": str(tmp_path)})
    with pytest.raises(DataError, match=message):
        run(recipe, tmp_path / "run", workers=1, devices=2)


def test_batches_too_small_for_all_processes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="25 rows in batches of 10 leave one of 5 for 6 processes"):
        run(parse(RECIPE), tmp_path / "run", workers=1, devices=6)
    assert not (tmp_path / "run").exists()
