"""Time and memory of reading and standardising tables of very many columns.

    python benchmarks/wide.py             prints the table and writes benchmarks/results/wide.json
    python benchmarks/wide.py h5ad        measures files of this kind only, and keeps the other rows

Numbers of 60 rows as CSV and .npz, and counts of 2,000 cells, one in twenty not zero, as a compressed .h5ad; the file
is read, `Preprocessing` is fitted on half of the rows and applied to all, and of the .h5ad a network with one hidden
layer of 64 is trained on that half for one epoch, in batches of 100. Processor time, and the peak of what is resident
above what it is after all imports (Linux); the dense matrix is what the network sees, in single precision. Time must
grow as the number of columns does. About two minutes.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from engines import machine

RESULTS = Path(__file__).parent / "results" / "wide.json"
CASES = (("csv", 60, 10_000), ("csv", 60, 100_000), ("npz", 60, 10_000), ("npz", 60, 100_000),
         ("h5ad", 2_000, 6_000), ("h5ad", 2_000, 60_000))  # fmt: skip
MEASURED = """
import sys, time
import h5py, pandas, torch
from rightreasons import data, models, tasks, training
torch.set_num_threads(1)
epoch = sys.argv[1].endswith("h5ad")
if epoch:
    training.fit(training.Objective(models.MLP(2), tasks.Binary()), (torch.ones(2, 2), torch.arange(2)), epochs=1)
def peak():  # in kB, of this process alone: ru_maxrss begins with that of the parent
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
open("/proc/self/clear_refs", "w").write("5")  # the peak is what is resident now
before = peak()
started = time.process_time()
rows = data.read(sys.argv[1], target="y")
read = time.process_time() - started
fitted = data.Preprocessing.fit(rows.rows(torch.arange(len(rows) // 2)))
seen = fitted(rows)
assert seen.x.dtype == torch.float32 and seen.x.shape == rows.x.shape
scaled = time.process_time()
if epoch:
    half = seen.rows(torch.arange(len(rows) // 2))
    network = models.MLP(seen.x.shape[1], (64,))
    training.fit(training.Objective(network, tasks.Binary()), (half.x, half.y), epochs=1, batch_size=100)
print(read, scaled - started - read, time.process_time() - scaled, (peak() - before) / 1024, seen.x.nbytes / 2**20)
"""


def write(path: Path, rows: int, columns: int) -> None:
    rng, names = np.random.default_rng(0), [f"g{i}" for i in range(columns)]
    y = np.arange(rows) % 2
    if path.suffix == ".h5ad":
        write_cells(path, rng, names, y)
        return
    x = rng.normal(size=(rows, columns)).round(3)
    if path.suffix == ".npz":
        np.savez(path, x=x, y=y, columns=names)
        return
    with path.open("w") as file:
        print(*names, "y", sep=",", file=file)
        for values, label in zip(x.tolist(), y, strict=True):
            print(*values, "ab"[label], sep=",", file=file)


def write_cells(path: Path, rng: np.random.Generator, names: list[str], y: np.ndarray) -> None:
    rows, each = len(y), len(names) // 20
    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        x = file.create_group("X")
        x.attrs["encoding-type"], x.attrs["shape"] = "csr_matrix", (rows, len(names))
        x["data"] = rng.integers(1, 9, rows * each).astype(np.float32)
        x["indices"] = np.concatenate(
            [rng.choice(len(names), each, replace=False).astype(np.int32) for _ in y]
        )
        x["indptr"] = np.arange(rows + 1) * each
        for part, index in (("obs", [f"c{i}" for i in range(rows)]), ("var", names)):
            table = file.create_group(part)
            table.attrs["_index"] = "_index"
            table.create_dataset("_index", data=index, dtype=text)
        file["obs"]["y"] = y


def main() -> None:
    asked = sys.argv[1:] or [kind for kind, *_ in CASES]
    known = json.loads(RESULTS.read_text())["results"] if sys.argv[1:] else []
    results = [each for each in known if each["file"] not in asked]
    print(
        f"{'file':<6}{'rows':>7}{'columns':>9}{'read':>9}{'scaled':>9}{'epoch':>9}{'peak':>10}{'dense':>10}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for kind, rows, columns in (case for case in CASES if case[0] in asked):
            path = Path(folder) / f"t{columns}.{kind}"
            write(path, rows, columns)
            done = subprocess.run(
                [sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True
            )
            read, scaled, epoch, peak, dense = map(float, done.stdout.split())
            results.append(
                {"file": kind, "rows": rows, "columns": columns, "read_seconds": round(read, 2),
                 "scaled_seconds": round(scaled, 2)}
                | ({"epoch_seconds": round(epoch, 2)} if kind == "h5ad" else {})
                | {"peak_mb": round(peak), "dense_mb": round(dense)}
            )  # fmt: skip
            print(
                f"{kind:<6}{rows:>7,}{columns:>9,}{read:>7.1f} s{scaled:>7.1f} s{epoch:>7.1f} s{peak:>7.0f} MB"
                f"{dense:>7.0f} MB"
            )
    RESULTS.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
