"""Commands killed at random moments: the same command must go on to the identical result.

    python benchmarks/kills.py              prints the counts and writes benchmarks/results/kills.json
    python benchmarks/kills.py explain      only prints those of one command

`train`, `explain` and `attack` are each ended by SIGINT, SIGTERM and SIGKILL, at 20 random moments of their run each
(drawn with a seed, uniform over the time of the whole command), then called again until they end by themselves. Counted
are: exit codes other than 130, 143 and -9 of commands that were ended; results that differ, bit by bit and times
aside, from those of a run nobody disturbed; files left over. So that a moment of writing is hit often, what is trained
is small and checkpoints come every few steps. `train` is measured in one process, and in fewer kills with two worker
processes, where the signal goes to the first process or, as Ctrl-C does, to all. About 20 minutes of two cores.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from rightreasons import runs
from rightreasons.cli import main as command

MOMENTS, OF_WORKERS = 20, 2
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
RESULTS = Path(__file__).parent / "results" / "kills.json"
RECIPE = """
name: killed
data: {name: digits, train: 200, validation: 40, test: 60, splits: 1}
model: {name: mlp, hidden: [64]}
training: {epochs: 5, batch_size: 25, checkpoint_every: 2}
explain: {rows: 12, attribution: {name: expected_gradients, samples: 8}}
loggers: [csv]
arms:
  - {name: Plain}
  - {name: Smooth, terms: [{prior: total_variation, rows: 0.5}], weights: [0.001, 0.01]}
"""
NETWORK = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 10))
"""

Check = Callable[[Path], Any]


def started(words: list[str], workers: int | None) -> int:
    """A copy of this process that runs the command, so that nothing need be imported again; its number."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (1, 2):
        os.dup2(os.open("out.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    code = 1
    try:
        code = called(words, workers)
    finally:
        os._exit(code)


def called(words: list[str], workers: int | None) -> int:
    """The command in this process, without worker processes unless there should be some."""
    whole = runs.run
    if workers is None:
        runs.run = lambda *given, workers, **more: whole(*given, workers=0, **more)
    try:
        return command(words)
    finally:
        runs.run = whole


def ended(child: int) -> int:
    """Exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def of_run(folder: Path) -> Any:
    """All results of a run, times aside."""
    run = runs.RunDirectory(folder / "run")
    metrics = run.metrics()
    chosen = [each for arm in metrics["arms"] for each in arm["chosen"]]
    weights = [sorted(load_file(run.model_file(each["id"])).items()) for each in chosen]
    arrays = [run.maps(each["key"]) | run.predictions(each["key"]) for each in chosen]
    return _without_times([metrics, run.history(), weights, arrays])


def of_maps(folder: Path) -> Any:
    """All arrays of a store."""
    store = runs.MapStore(folder / "maps.zarr")
    return [store.read(piece) for piece in range(store.group["done"].shape[0])] + [
        store.group["done"][:].tolist()
    ]


def of_attack(folder: Path) -> Any:
    """The table."""
    return [(folder / "attack" / name).read_text() for name in ("table.csv", "table.txt")]


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if "second" not in k and k != "plain_steps"}
    return [_without_times(v) for v in value] if isinstance(value, list) else value


def same(one: Any, other: Any) -> bool:
    """Bit by bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)


def measured(
    words: list[str], made: str, check: Check, moments: int, workers: int | None = None
) -> dict[str, Any]:
    """Counts for one command."""
    folder, draw, counts = Path.cwd(), random.Random(0), Counter[str]()
    called(words, workers)  # what it imports and remembers, the copies have
    shutil.rmtree(folder / made)
    begun = time.monotonic()
    if code := ended(started(words, workers)):
        raise SystemExit(f"{words} ended with {code}: {Path('out.txt').read_text()[-2000:]}")
    seconds, expected = time.monotonic() - begun, check(folder)
    for number in range(moments * len(SIGNALS)):
        kind, code = list(SIGNALS.items())[number % len(SIGNALS)]
        shutil.rmtree(folder / made)
        child = started(words, workers)
        time.sleep(draw.uniform(0, seconds))
        to_all = workers is not None and number // len(SIGNALS) % 2 == 1
        (os.killpg if to_all else os.kill)(child, kind)
        got = ended(child)
        counts["kills"] += 1
        counts["ended before"] += got == 0
        counts["other exit codes"] += got not in (0, code)
        counts["left half-written"] += any((folder / made).rglob(".writing-*"))
        time.sleep(1.0 if workers is not None else 0)  # workers notice that the first process is gone
        counts["does not go on"] += ended(started(words, workers)) != 0
        counts["results that differ"] += not same(check(folder), expected)
        left = [each for each in folder.rglob(".*") if each.name.startswith((".writing-", ".making-"))]
        counts["files left over"] += bool(left)
        print(f"{words[0]} {kind.name} {got} {dict(counts)}", file=sys.stderr)
    return {"seconds": round(seconds, 1), **counts}


TRAIN = ["train", "r.yaml", "-o", "run", "--no-report"]
EXPLAIN = [
    "explain",
    "killed_network:build",
    "x.npy",
    "-o",
    "maps.zarr",
    "--rows",
    "64",
    "--method",
    "smooth_grad",
]
ATTACK = ["attack", "trained", "--eps", "0.1", "--rows", "8", "--steps", "20", "-o", "attack"]


def of_command(name: str) -> dict[str, Any]:
    """Counts of one of the commands, in an empty folder."""
    Path("r.yaml").write_text(RECIPE, encoding="utf-8")
    Path("killed_network.py").write_text(NETWORK, encoding="utf-8")
    np.save("x.npy", np.random.default_rng(0).normal(size=(4000, 64)).astype("f4"))
    if name == "train":
        return measured(TRAIN, "run", of_run, MOMENTS)
    if name == "train, two workers":
        return measured([*TRAIN, "-w", "2"], "run", of_run, OF_WORKERS, 2)
    if name == "explain":
        return measured(EXPLAIN, "maps.zarr", of_maps, MOMENTS)
    called(TRAIN, None)
    Path("run").rename("trained")
    return measured(ATTACK, "attack", of_attack, MOMENTS)


def main() -> None:
    """Measure what is named, or all; print, write."""
    torch.set_num_threads(1)
    found = {}
    for name in sys.argv[1:] or ("train", "train, two workers", "explain", "attack"):
        with tempfile.TemporaryDirectory() as place:
            os.chdir(place)
            found[name] = of_command(name)
    print(json.dumps(found, indent=2))
    if len(sys.argv) == 1:
        RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
