"""Training with a learned prior on 20,000 features: time of an epoch, and peak memory.

    python benchmarks/learned_prior.py        prints the tables and writes benchmarks/results/learned_prior.json

2,000 rows of 20,000 features, 10 meta-features, one hidden layer of 128, batches of 64, Adam, one draw of expected
gradients with training rows as references; a graph of 100,000 edges beside it. Epochs of the arms take turns;
processor time of one thread, so that other work on the machine hardly counts. Memory is the peak resident set of a
fresh process in its second epoch, with Python, torch, 160 MB of data, network and optimizer in it; a dense p x p
matrix alone would have 1,600 MB. About 3 minutes of one core.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from engines import machine, resident
from torch import nn

import rightreasons as rr
from rightreasons import priors, tasks, training

FEATURES, ROWS, META, HIDDEN, BATCH, EDGES, ROUNDS = 20_000, 2_000, 10, 128, 64, 100_000, 3
RESULTS = Path(__file__).parent / "results" / "learned_prior.json"


def meta_features() -> priors.MetaFeatures:
    names = [f"g{i}" for i in range(FEATURES)]
    numbers = torch.randn(META, FEATURES, generator=torch.Generator().manual_seed(0))
    return priors.MetaFeatures.from_table(
        {f"m{i}": row.numpy() for i, row in enumerate(numbers)}, names, names=names
    )


def graph() -> priors.FeatureGraph:
    ends = torch.randint(FEATURES, (2, EDGES), generator=torch.Generator().manual_seed(0))
    ends = torch.unique(ends[:, ends[0] < ends[1]], dim=1)
    return priors.FeatureGraph(ends, torch.ones(ends.shape[1]), FEATURES)


ARMS: dict[str, tuple[Callable[[], priors.Prior] | None, float]] = {
    "plain": (None, 1.0),
    "L1": (priors.L1, 1.0),
    "learned, of each row": (lambda: priors.LearnedPrior(meta_features(), "mlp"), 1.0),
    "learned, a quarter of the rows": (lambda: priors.LearnedPrior(meta_features(), "mlp"), 0.25),
    "learned, of the batch mean": (lambda: priors.LearnedPrior(meta_features(), "mlp", level="global"), 1.0),
    "graph": (lambda: priors.GraphLaplacian(graph()), 1.0),
}


def epoch_of(arm: str) -> Callable[[], None]:
    """One epoch of training, every time it is called."""
    torch.manual_seed(0)
    x = torch.randn(ROWS, FEATURES)
    y = x[:, :10].sum(1)
    model = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1), nn.Flatten(0))
    make, rows = ARMS[arm]
    terms = [] if make is None else [training.Penalty(rr.ExpectedGradients(x), make(), 1.0, rows=rows)]
    objective = training.Objective(model, tasks.Regression(), terms)
    optimizer = torch.optim.Adam(objective.parameter_groups(), lr=1e-3)
    return partial(training.fit, objective, (x, y), epochs=1, batch_size=BATCH, optimizer=optimizer)


def times() -> dict[str, dict[str, float]]:
    """Seconds of an epoch, and epochs without a prior it takes; median over rounds."""
    arms = {name: epoch_of(name) for name in ARMS}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for i in range(ROUNDS + 1):
        for name, run in arms.items():
            started = time.process_time()
            run()
            if i:
                seconds[name].append(time.process_time() - started)
    return {
        name: {
            "seconds": round(statistics.median(taken), 2),
            "plain_epochs": round(
                statistics.median(t / p for t, p in zip(taken, seconds["plain"], strict=True)), 2
            ),
        }
        for name, taken in seconds.items()
    }


def memory() -> dict[str, int]:
    """Peak megabytes of a process in its second epoch."""
    peaks = {}
    for name in ARMS:
        command = [sys.executable, __file__, "--peak", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[name] = round(float(done.stdout))
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peak", choices=list(ARMS), help=argparse.SUPPRESS)
    arm = parser.parse_args().peak
    torch.set_num_threads(1)
    if arm:
        run = epoch_of(arm)
        run()
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        run()
        print(resident("VmHWM"))
        return
    found = {
        "machine": machine(),
        "setting": {
            "features": FEATURES,
            "rows": ROWS,
            "meta_features": META,
            "batch": BATCH,
            "edges": EDGES,
        },
        "time": times(),
        "memory_megabytes": memory(),
        "dense_matrix_megabytes": FEATURES**2 * 4 // 10**6,
    }
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
