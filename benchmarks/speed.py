"""How long a map takes, and how much memory: ours, captum's and shap's, side by side in one run.

    python benchmarks/speed.py               prints the table and writes benchmarks/results/speed.json (extra `bench`)
    python benchmarks/speed.py --profile CNN       where the time of our arms goes

The same network, rows, references and number of gradient evaluations for each row; each library as a user calls it,
with its own defaults for what a forward pass holds. Expected gradients: ours with `Independent()` draws for each row,
which is what the other two do, and as it comes (shared draws, interpolated: more exact at the same evaluations).
Integrated gradients: ours and captum's; shap has none. shap explains the highest output, which is the target of all.

Arms take turns; a ratio is the median over rounds of (arm / faster of captum and shap in the same round). Processor
time of one thread, which hardly grows when others use the machine. Memory is the peak resident set of a process that
makes one explanation after another of a single evaluation, above the one it had before. About three minutes.
"""

import argparse
import cProfile
import json
import pstats
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from engines import machine, resident
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.models import CNN, MLP, ResNet

REFERENCES = 50
RESULTS = Path(__file__).parent / "results" / "speed.json"


@dataclass(frozen=True)
class Setting:
    """A network, how many rows are explained, with how many evaluations each, and how often it is timed."""

    network: Callable[[], nn.Module]
    shape: tuple[int, ...]
    rows: int
    evaluations: int
    rounds: int

    def inputs(self) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
        """Network in eval mode, rows, references, and the highest output of each row."""
        torch.manual_seed(0)
        model = self.network().eval()
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(self.rows, *self.shape, generator=generator)
        references = torch.randn(REFERENCES, *self.shape, generator=generator)
        with torch.no_grad():
            return model, x, references, model(x).argmax(1)


SETTINGS = {
    "MLP": Setting(lambda: MLP(30, outputs=2), (30,), 64, 200, 15),
    "CNN": Setting(lambda: CNN((3, 32, 32), channels=(16, 32), kernel=3), (3, 32, 32), 16, 100, 9),
    "ResNet": Setting(lambda: ResNet(channels=(16, 32, 64), blocks=2), (3, 32, 32), 8, 50, 9),
}


def ours(setting: Setting, method: str) -> Callable[[int], Any]:
    """A call of ours, given the evaluations."""
    model, x, references, y = setting.inputs()
    makers: dict[str, Callable[[int], rr.Attribution]] = {
        "independent": lambda n: rr.ExpectedGradients(
            references, samples=n, draws="per_row", estimator=rr.Independent()
        ),
        "default": lambda n: rr.ExpectedGradients(references, samples=n),
        "integrated": lambda n: rr.IntegratedGradients(steps=n),
    }
    return lambda n: makers[method](n)(model, x, y)


def captum(setting: Setting, method: str) -> Callable[[int], Any]:
    """A call of captum's."""
    from captum.attr import GradientShap, IntegratedGradients

    model, x, references, y = setting.inputs()
    if method == "integrated":
        return lambda n: IntegratedGradients(model).attribute(x, target=y, n_steps=n)
    return lambda n: GradientShap(model).attribute(x, references, n_samples=n, stdevs=0.0, target=y)


def shap(setting: Setting) -> Callable[[int], Any]:
    """A call of shap's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap as library

    model, x, references, _ = setting.inputs()
    explainer = library.GradientExplainer(model, references)
    return lambda n: explainer.shap_values(x, nsamples=n, ranked_outputs=1)


ARMS: dict[str, Callable[[Setting], Callable[[int], Any]]] = {
    "ours, independent draws": lambda s: ours(s, "independent"),
    "ours, as it comes": lambda s: ours(s, "default"),
    "captum GradientShap": lambda s: captum(s, "expected"),
    "shap GradientExplainer": shap,
    "ours, integrated": lambda s: ours(s, "integrated"),
    "captum IntegratedGradients": lambda s: captum(s, "integrated"),
}
PEERS = ("captum GradientShap", "shap GradientExplainer")


def times(setting: Setting) -> dict[str, list[float]]:
    """Seconds of every round, by arm."""
    calls = {name: make(setting) for name, make in ARMS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_number in range(setting.rounds + 1):
        for name, call in calls.items():
            start = time.process_time()
            call(setting.evaluations)
            if round_number:
                seconds[name].append(time.process_time() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], arm: str, *peers: str) -> float:
    """Median over rounds of the arm's time in times of its fastest peer."""
    rounds = zip(seconds[arm], *(seconds[peer] for peer in peers), strict=True)
    return statistics.median(own / min(others) for own, *others in rounds)


def judged(name: str, seconds: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """What was promised, and whether it held; what is only told has no limit."""
    independent, ahead = "ours, independent draws", "ours, as it comes"
    found: dict[str, tuple[float, float | None]] = {
        "expected gradients / faster of captum and shap": (ratio(seconds, independent, *PEERS), 1.05),
        "integrated gradients / captum": (
            ratio(seconds, "ours, integrated", "captum IntegratedGradients"),
            1.05,
        ),
        "as it comes / faster of captum and shap": (ratio(seconds, ahead, *PEERS), None),
        "expected gradients / shap": (
            ratio(seconds, independent, "shap GradientExplainer"),
            0.2 if name == "MLP" else None,
        ),
    }
    return {
        name: {"measured": round(got, 3)} | ({} if limit is None else {"at_most": limit, "met": got <= limit})
        for name, (got, limit) in found.items()
    }


def peak(setting: Setting, arm: str) -> float:
    """Megabytes one explanation takes above a first one of two evaluations; to be run in a process of its own."""
    call = ARMS[arm](setting)
    call(2)
    before = resident("VmRSS")
    call(setting.evaluations)
    return resident("VmHWM") - before


def memory(name: str) -> dict[str, int]:
    """Peak extra megabytes by arm, each in a fresh process."""
    table = {}
    for arm in ARMS:
        command = [sys.executable, __file__, "--peak", name, arm]
        printed = subprocess.run(command, check=True, capture_output=True, text=True)
        table[arm] = round(float(printed.stdout.splitlines()[-1]))
    return table


def measured(name: str) -> dict[str, Any]:
    """All figures of one network."""
    setting = SETTINGS[name]
    seconds = times(setting)
    return {
        "rows": setting.rows,
        "evaluations": setting.evaluations,
        "milliseconds": {arm: round(1e3 * statistics.median(taken), 1) for arm, taken in seconds.items()},
        "memory_megabytes": memory(name),
        "targets": judged(name, seconds),
    }


def profile(name: str) -> None:
    """Print where the time of our arms goes."""
    for arm in [arm for arm in ARMS if arm.startswith("ours")]:
        call = ARMS[arm](SETTINGS[name])
        call(SETTINGS[name].evaluations)
        profiler = cProfile.Profile()
        profiler.enable()
        call(SETTINGS[name].evaluations)
        profiler.disable()
        print(f"== {arm}")
        pstats.Stats(profiler).sort_stats("tottime").print_stats(18)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of a map.")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--profile", choices=list(SETTINGS))
    parser.add_argument("--only", choices=list(SETTINGS), help="one network, nothing written")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.peak:
        print(peak(SETTINGS[asked.peak[0]], asked.peak[1]))
    elif asked.profile:
        profile(asked.profile)
    else:
        names = [asked.only] if asked.only else list(SETTINGS)
        results = {"machine": machine(), "networks": {name: measured(name) for name in names}}
        print(json.dumps(results, indent=2))
        if not asked.only:
            RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
