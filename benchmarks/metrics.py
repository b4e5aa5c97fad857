"""How fast the LENS metrics are: against a loop over pixels, and against the least a batched version has to do.

The loop is the algorithm of the published script, written anew and right at the borders: a Python list that grows by a
window for each of the k pixels, `np.unique` and `np.intersect1d`; for diverse sets a list of M candidates and
`np.setdiff1d` for each pick. It is timed on a few pairs and scaled to the batch.

recall       LENS recall: one call of `lens_recall` against one loop
evaluation   intersection, recall and precision from one pair of sets, as the script computes them
diverse      the diverse set of one batch of maps
floor        one `torch.topk` and one `max_pool2d` of the mask: the least a batched recall does

Times are processor time of one thread, which hardly grows when others use the machine. Every value is compared with
the loop's.

    python benchmarks/metrics.py        writes benchmarks/results/metrics.json, about two minutes on one core
"""

import json
import platform
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from rightreasons.metrics import dilate, diverse_topk, lens, lens_recall, topk_mask

ROWS, SIDE, K = 64, 224, 1000
WINDOWS = (1, 2, 3)
CANDIDATES = {1: 6000, 2: 15000, 3: 25000}  # the published lists
LOOP_ROWS = 4
WORK = ("recall", "evaluation", "diverse")
REPEATS, LOOP_REPEATS = 7, 2
RESULTS = Path(__file__).parent / "results" / "metrics.json"


def white(generator: torch.Generator) -> Tensor:
    return torch.rand((ROWS, SIDE, SIDE), generator=generator)


def smooth(generator: torch.Generator) -> Tensor:
    """White noise under a box filter of 7 pixels, twice: hills as in attribution maps."""
    maps = torch.rand((ROWS, 1, SIDE, SIDE), generator=generator)
    for _ in range(2):
        maps = avg_pool2d(maps, 7, 1, 3)
    return maps[:, 0]


KINDS = {"white noise": white, "smooth": smooth}


def of_kind(rows: list[dict[str, str | float]], kind: str) -> list[dict[str, str | float]]:
    return [row for row in rows if row["maps"] == kind]


def seconds(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """The fastest of some runs: what others do on the machine only ever adds time."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def window_pixels(pixels: Iterable[int], window: int) -> np.ndarray:
    near: list[int] = []
    for pixel in pixels:
        row, column = divmod(int(pixel), SIDE)
        rows = range(max(row - window, 0), min(row + window + 1, SIDE))
        columns = range(max(column - window, 0), min(column + window + 1, SIDE))
        near = near + [r * SIDE + c for r in rows for c in columns]  # a new list for each pixel, as published
    return np.unique(near)


def loop_topk(grid: np.ndarray) -> np.ndarray:
    return np.argsort(-grid, kind="stable")[:K]


def loop_diverse(grid: np.ndarray, window: int) -> np.ndarray:
    left, picks = np.argsort(-grid, kind="stable")[: CANDIDATES[window]], []
    while len(picks) < K:
        picks.append(left[0])
        left = np.setdiff1d(left, window_pixels(left[:1], window), assume_unique=True)  # keeps the order
    return np.array(picks)


def loop_recall(a: np.ndarray, b: np.ndarray, window: int) -> float:
    return len(np.intersect1d(window_pixels(loop_topk(a), window), loop_topk(b))) / K


def loop_evaluation(a: np.ndarray, b: np.ndarray, window: int) -> list[float]:
    """Intersection, recall and precision of one pair."""
    around, counted = loop_topk(a), loop_topk(b)
    pairs = (
        (around, counted),
        (window_pixels(around, window), counted),
        (around, window_pixels(counted, window)),
    )
    return [len(np.intersect1d(one, other)) / K for one, other in pairs]


def evaluation(a: Tensor, b: Tensor, window: int) -> Tensor:
    """The same of a batch, (B, 3)."""
    around, counted = topk_mask(a, K), topk_mask(b, K)
    pairs = ((around, counted), (dilate(around, window), counted), (around, dilate(counted, window)))
    return torch.stack([(one & other).flatten(1).sum(1, dtype=torch.int32) / K for one, other in pairs], 1)


def compare(kind: str, a: Tensor, b: Tensor, window: int) -> dict[str, str | float]:
    """One row of the table: times in seconds for the whole batch."""
    pairs = list(zip(*(maps[:LOOP_ROWS].flatten(1).numpy() for maps in (a, b)), strict=True))
    mask = (a >= a.flatten(1).topk(K).values[:, -1, None, None]).float()
    row: dict[str, str | float] = {"maps": kind, "window": window}
    row["floor"] = seconds(lambda: torch.topk(a.flatten(1), K)) + seconds(
        lambda: max_pool2d(mask, 2 * window + 1, 1, window)
    )
    row["recall, unrelated"] = seconds(lambda: lens(a, b, K, window))
    work = {
        "recall": (
            lambda: torch.tensor([loop_recall(x, y, window) for x, y in pairs]),
            lambda rows: lens_recall(a[:rows], b[:rows], K, window),
        ),
        "evaluation": (
            lambda: torch.tensor([loop_evaluation(x, y, window) for x, y in pairs]),
            lambda rows: evaluation(a[:rows], b[:rows], window),
        ),
        "diverse": (
            lambda: torch.tensor(np.array([np.sort(loop_diverse(x, window)) for x, _ in pairs])),
            lambda rows: diverse_topk(a[:rows], K, window).mask.flatten(1).nonzero()[:, 1].reshape(rows, K),
        ),
    }
    for name, (loop, batched) in work.items():
        torch.testing.assert_close(batched(LOOP_ROWS), loop())
        row[f"{name}, loop"] = seconds(loop, LOOP_REPEATS) * ROWS / LOOP_ROWS
        row[name] = seconds(partial(batched, ROWS))
    return row


def ratios(rows: list[dict[str, str | float]]) -> dict[str, float]:
    def total(name: str) -> float:
        return sum(float(row[name]) for row in rows)

    return {f"loop / {name}": total(f"{name}, loop") / total(name) for name in WORK} | {
        f"{name} / floor": total(name) / total("floor") for name in ("recall", "recall, unrelated")
    }


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for kind, make in KINDS.items():
        generator = torch.Generator().manual_seed(0)
        a, b = make(generator), make(generator)
        rows += [compare(kind, a, b, window) for window in WINDOWS]
    report = {
        "setting": {
            "maps": [ROWS, SIDE, SIDE],
            "k": K,
            "threads": 1,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "processor": platform.machine(),
            "loop timed on pairs": LOOP_ROWS,
            "unit": "seconds of processor time for the batch, fastest of the runs",
        },
        "rows": rows,
        "ratios over windows 1-3": {kind: ratios(of_kind(rows, kind)) for kind in KINDS},
        "ratios of each window": {
            kind: {str(row["window"]): ratios([row]) for row in of_kind(rows, kind)} for kind in KINDS
        },
    }
    rounded = json.loads(json.dumps(report), parse_float=lambda text: float(f"{float(text):.3g}"))
    RESULTS.write_text(json.dumps(rounded, indent=2) + "\n")
    print(json.dumps(rounded["ratios over windows 1-3"], indent=2))


if __name__ == "__main__":
    main()
