"""What a penalty costs: time in plain training steps, and memory against the number of draws.

    python benchmarks/engines.py               prints the tables and writes benchmarks/results/engines.json
    python benchmarks/engines.py --busy        counts CPU seconds of one thread: for a machine that others use too;
                                               writes benchmarks/results/engines-busy.json

Six 3x3 convolutions (32, 32, 64, 64, 128, 128 channels, a max-pooling after every second), 64 images of 3x32x32,
expected gradients with one draw from the other rows, squared maps, SGD. Arms take turns; a ratio is the median over
rounds of (arm / plain step of the same round). About 4 minutes of two idle cores.

The arithmetic limit, in forward passes of the convolutions. A plain step is forward 1 + gradient of the input 1 +
gradient of the weights 1 = 3. A penalty adds forward 1 + gradient of the input 1, and in backward the gradients of
that gradient by the cotangent 1 and by the weights 1 = 4: 1 + 4/3 = 2.33 plain steps, 1.33 with a quarter of the
rows. (A piecewise linear network; a smooth one has 2 more, 3.0 and 1.5.) Recompute repeats forward and gradient of
the input: 1 + 6/3 = 3.0, and 1.5.

Memory is the peak resident set of a process that makes one step, above the one it had with model and data in place.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rightreasons as rr
from rightreasons import priors, training
from rightreasons.core.model import _kernels

BATCH = 64
ROUNDS = 9
DRAWS = (1, 4, 16, 64)
TARGETS = {"DoubleBackprop": 3.9, "DoubleBackprop, quarter": 2.0, "Recompute 64 draws / 4 draws": 1.2}
RESULTS = Path(__file__).parent / "results" / "engines.json"
ENGINES = {
    "DoubleBackprop": training.DoubleBackprop(),
    "Recompute": training.Recompute(),
    "Recompute(16)": training.Recompute(chunk=16),
}


def network() -> nn.Sequential:
    """The six convolutions."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    before = 3
    for i, channels in enumerate((32, 32, 64, 64, 128, 128)):
        layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
        if i % 2:
            layers.append(nn.MaxPool2d(2))
        before = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


def batch() -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(BATCH, 3, 32, 32, generator=generator)
    return images, torch.randint(0, 10, (BATCH,), generator=generator)


def step(engine: str | None, rows: float = 1.0, draws: int = 1, layout: Any = None) -> Callable[[], None]:
    """One training step, with `engine` None a plain one."""
    model, (x, y) = network(), batch()
    if layout is not None:
        model, x = model.to(memory_format=layout), x.to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    penalty = training.Penalty(rr.ExpectedGradients("batch", samples=draws), priors.L2(), 0.1, rows=rows)
    objective = training.Objective(model, F.cross_entropy, [penalty], engine=ENGINES[engine or "Recompute"])

    def run() -> None:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y) if engine is None else objective(x, y).total
        loss.backward()
        optimizer.step()

    return run


def with_torch_kernels(run: Callable[[], None]) -> Callable[[], None]:
    """The same step on PyTorch's own double backward."""

    def plain_kernels() -> None:
        with mock.patch.dict(_kernels._REPLACED, clear=True):
            run()

    return plain_kernels


def times(layout: Any, clock: Callable[[], float] = time.perf_counter) -> dict[str, dict[str, float]]:
    """Median milliseconds and median ratio to the plain step, by arm."""
    arms = {"plain step": step(None, layout=layout)}
    for engine in ("DoubleBackprop", "Recompute"):
        arms[engine] = step(engine, layout=layout)
        arms[f"{engine}, quarter"] = step(engine, rows=0.25, layout=layout)
    arms["DoubleBackprop, torch's kernels"] = with_torch_kernels(step("DoubleBackprop", layout=layout))
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for i in range(ROUNDS + 2):
        for name, run in arms.items():
            start = clock()
            run()
            if i >= 2:
                seconds[name].append(clock() - start)
    plain = seconds["plain step"]
    return {
        name: {
            "milliseconds": round(1e3 * statistics.median(taken), 1),
            "plain_steps": round(statistics.median(t / p for t, p in zip(taken, plain, strict=True)), 2),
        }
        for name, taken in seconds.items()
    }


def resident(field: str) -> float:
    """Megabytes resident now (VmRSS) or at most (VmHWM); where there is no /proc, at most in both cases."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count what the parent process held before this one was started
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines[field].split()[0]) / 2**10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def peak(engine: str, draws: int) -> float:
    """Megabytes one step takes above what the process had; to be run in a process of its own."""
    run = step(None if engine == "plain step" else engine, draws=draws)
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def memory(threads: int) -> dict[str, dict[str, int]]:
    """Peak extra megabytes by engine and number of draws, each in a fresh process."""
    table: dict[str, dict[str, int]] = {}
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    for engine in ("plain step", *ENGINES):
        for draws in DRAWS if engine != "plain step" else (1,):
            command = [sys.executable, __file__, "--peak", engine, "--draws", str(draws)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            table.setdefault(engine, {})[str(draws)] = round(float(printed.stdout))
    return table


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": [round(load, 1) for load in os.getloadavg()],
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def show(results: dict[str, Any]) -> None:
    """Print the tables, and which targets were met."""
    print("machine", json.dumps(results["machine"]))
    for layout, arms in results["time"].items():
        print(f"\n{layout:34}{'ms':>9}{'plain steps':>13}")
        for name, figures in arms.items():
            print(f"  {name:32}{figures['milliseconds']:9.1f}{figures['plain_steps']:13.2f}")
    print(f"\n{'peak extra MB':34}" + "".join(f"{f'k={k}':>9}" for k in DRAWS))
    for name, row in results["memory_megabytes"].items():
        print(f"  {name:32}" + "".join(f"{row.get(str(k), ''):>9}" for k in DRAWS))
    print()
    for name, got in results["targets"].items():
        print(
            f"  {name:32}{got['measured']:9.2f}  target {got['at_most']}  {'met' if got['met'] else 'MISSED'}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of a penalty.")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--draws", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--busy", action="store_true", help="CPU seconds of one thread instead of wall time")
    asked = parser.parse_args()
    if asked.peak:
        print(peak(asked.peak, asked.draws))
        return
    if asked.busy:
        torch.set_num_threads(1)
    clock = time.process_time if asked.busy else time.perf_counter
    results: dict[str, Any] = {"machine": machine(), "clock": "CPU" if asked.busy else "wall"}
    layouts = {"contiguous": None, "channels_last": torch.channels_last}
    results["time"] = {name: times(layout, clock) for name, layout in layouts.items()}
    results["memory_megabytes"] = memory(torch.get_num_threads())
    measured = {name: results["time"]["contiguous"].get(name, {}).get("plain_steps") for name in TARGETS}
    row = results["memory_megabytes"]["Recompute"]
    measured["Recompute 64 draws / 4 draws"] = round(row["64"] / row["4"], 2)
    results["targets"] = {
        name: {"measured": got, "at_most": TARGETS[name], "met": got <= TARGETS[name]}
        for name, got in measured.items()
    }
    RESULTS.parent.mkdir(exist_ok=True)
    path = RESULTS.with_stem("engines-busy") if asked.busy else RESULTS
    path.write_text(json.dumps(results, indent=2) + "\n")
    show(results)


if __name__ == "__main__":
    main()
