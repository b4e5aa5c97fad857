"""Memory of `rightreasons explain` against the number of rows.

    python benchmarks/streaming.py        prints the table and writes benchmarks/results/streaming.json

Images of 3 x 32 x 32 as an .npy file, through a network of one's own, and a table of 60 numbers as a CSV file
through a run; gradients. Peak resident set of the command, in a process of its own: it must
be the same for ten times the rows. About one minute.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from engines import machine

ROWS = 3000
RESULTS = Path(__file__).parent / "results" / "streaming.json"
NETWORK = """
import torch
from torch import nn

def images():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
"""
RECIPE = """
name: patients
data: {path: train.csv, target: ill, train: 600, validation: 200, splits: 1}
model: {name: mlp, hidden: [32]}
training: {epochs: 2}
explain: {rows: 10, attribution: gradient}
arms: [{name: Plain}]
"""
MEASURED = """
import sys
from pathlib import Path
from rightreasons.cli import main
code = main(sys.argv[1:])
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) / 1024, file=sys.stderr)
sys.exit(code)
"""


def write_table(path: Path, rows: int) -> None:
    values = np.random.default_rng(0).normal(size=(rows, 60))
    head = ",".join([*(f"v{i}" for i in range(60)), "ill"])
    lines = (",".join([*(f"{v:.6g}" for v in row), "yes" if row[0] > 0 else "no"]) for row in values)
    path.write_text("\n".join([head, *lines]) + "\n")


def command(folder: Path, *words: str) -> float:
    """Run it; its peak in megabytes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stderr.splitlines()[-1])


def main() -> None:
    found: dict[str, Any] = {"machine": machine(), "rows": ROWS, "peak_megabytes": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "networks.py").write_text(NETWORK)
        (folder / "recipe.yaml").write_text(RECIPE)
        write_table(folder / "train.csv", 1000)
        command(folder, "train", "recipe.yaml", "--no-report")
        for times in (1, 10):
            rows = ROWS * times
            images = np.random.default_rng(0).random((rows, 3, 32, 32), dtype=np.float32)
            np.save(folder / f"{times}.npy", images)
            del images
            write_table(folder / f"{times}.csv", rows)
            for source, model in (("npy", "networks:images"), ("csv", "runs/patients")):
                words = ("explain", model, f"{times}.{source}", "--method", "gradient", "-o")
                peak = command(folder, *words, f"{times}-{source}.zarr")
                found["peak_megabytes"].setdefault(source, {})[str(rows)] = round(peak)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
