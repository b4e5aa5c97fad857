"""What a small fit costs beside its arithmetic: recipes of hundreds of fits take minutes only if that is little.

    python benchmarks/fits.py       prints the table and writes benchmarks/results/fits.json

The network of recipes/nhefs-sparsity.yaml (512-128-32) on 100 rows of NHEFS, 100 epochs of one step, AUC of 100 other
rows after each, one thread. The bare loop is the same training written down in plain torch, with the same epochs
judged and the same best weights kept. A fit of a recipe also prepares the split and writes weights and results to
disk. They take turns; a ratio is the median over rounds, in processor time. Then one command, from a fresh process to
a finished report: 200 fits on worker processes. About 5 minutes of two idle cores.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rightreasons import models, tasks
from rightreasons.recipes import Recipe, parse
from rightreasons.runs import RunDirectory, plan
from rightreasons.runs.execution._fit import train
from rightreasons.runs.setup import _build as material
from rightreasons.runs.setup._datasets import Parts, parts

ROUNDS = 9
FITS = 200
RESULTS = Path(__file__).parent / "results" / "fits.json"
RECIPE = """
name: fits
data: {name: nhefs, splits: SPLITS, train: 100, validation: 100, test: 200}
model: {name: mlp, hidden: [512, 128, 32]}
training: {epochs: 100, optimizer: {name: adam, lr: 1.0e-3}}
explain: {attribution: {name: expected_gradients, samples: 200}, rows: 100}
arms:
  - {name: Unregularised}
  - {name: L1 of weights, terms: [{regulariser: weight_l1}], weights: [100, 300, 1000, 3000, 10000]}
"""
GINI = (
    "  - {name: Gini of attributions, terms: [{prior: gini, attribution: {name: expected_gradients, samples: 4}}], "
    "weights: [0.1, 0.3, 1, 3, 10]}\n"
)


def bare(found: Parts, task: tasks.Task, seed: int) -> None:
    """The training of the plain arm in plain torch."""
    train, validation = found.train, found.validation
    model: nn.Module = models.seeded(
        lambda: models.build("mlp", {}, shape=tuple(train.x.shape[1:]), outputs=1), seed
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    best, kept = -1.0, {}
    for _ in range(100):
        model.train()
        loss = task.loss(model(train.x), train.y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        model.eval()
        with torch.no_grad():
            score = task.metrics(model(validation.x), validation.y)[task.headline]
        if score > best:
            best, kept = score, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(kept)


def ratios(recipe: Recipe) -> dict[str, dict[str, float]]:
    """Median milliseconds of processor time and median ratio to the bare loop, for each way to make a fit."""
    found, fits = parts(recipe, 0), plan(recipe)
    task = material.task_of(recipe, found.train)
    first = {fit.arm: fit for fit in reversed(fits)}
    with tempfile.TemporaryDirectory() as folder:
        to = RunDirectory(Path(folder))
        ways: dict[str, Callable[[], None]] = {"bare loop": lambda: bare(found, task, seed=1)}
        for arm, fit in first.items():
            ways[f"fit: {arm}"] = lambda fit=fit: train(recipe, fit, to)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(ROUNDS + 1):
            for name, way in ways.items():
                started = time.process_time()
                way()
                if turn:
                    taken[name].append(time.process_time() - started)
    base = taken["bare loop"]
    return {
        name: {
            "milliseconds": round(1e3 * statistics.median(each), 1),
            "bare_loops": round(statistics.median(a / b for a, b in zip(each, base, strict=True)), 2),
        }
        for name, each in taken.items()
    }


def command(text: str) -> dict[str, float]:
    """Seconds of `rightreasons train` with and without its fits left to do."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "r.yaml"
        recipe.write_text(text, encoding="utf-8")
        call = [sys.executable, "-m", "rightreasons", "train", str(recipe), "-o", str(Path(folder) / "run")]
        seconds = []
        for _ in range(2):  # the second call finds everything done
            started = time.perf_counter()
            subprocess.run(call, check=True, capture_output=True)
            seconds.append(round(time.perf_counter() - started, 1))
    return {"seconds": seconds[0], "again": seconds[1]}


def main() -> None:
    """Measure, print, write."""
    torch.set_num_threads(1)
    load = [round(each, 1) for each in os.getloadavg()]
    text = RECIPE.replace("SPLITS", str(FITS // 10))
    found: dict[str, Any] = {
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load_before": load,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "fits": ratios(parse(text + GINI)),
        "command": {"fits": FITS, **command(text)},
    }
    print(json.dumps(found, indent=2))
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
