"""What the experiments of this folder share: choosing a trial, comparing arms, and expected.json."""

import argparse
import json
import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rightreasons import stats

Row = dict[str, Any]


def best(trials: Iterable[tuple[float, int, Any]]) -> tuple[int, Any]:
    """Number and scores of the trial with the best validation score, the first of equals."""
    _, trial, scores = max(trials, key=lambda each: (each[0], -each[1]))
    return trial, scores


def compared(a: Sequence[float], b: Sequence[float], n_train: int, n_test: int) -> list[float | None]:
    """Difference of two arms on the same splits, its interval, and its p-value."""
    found = stats.paired_difference(a, b, n_train, n_test)
    return [found.difference, found.low, found.high, found.p]


def against(
    scores: Mapping[str, Sequence[float]], reference: str, n_train: int, n_test: int
) -> dict[str, Any]:
    """Every other arm against one, p-values adjusted by Holm's rule."""
    others = [name for name in scores if name != reference]
    found = {name: compared(scores[name], scores[reference], n_train, n_test) for name in others}
    for name, p in zip(others, stats.holm([found[name][3] for name in others]), strict=True):
        found[name][3] = p
    return found


def rounded(value: Any) -> Any:
    """Three significant digits."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.3g}") if isinstance(value, float) else value


def differences(found: Row, expected: Row, score: str, tolerance: float) -> list[str]:
    """Mean scores of arms further apart than the tolerance."""
    return [
        f"{part} {name}: {found[part]['arms'][name][score]}, expected {row[score]}"
        for part, table in expected.items()
        for name, row in table["arms"].items()
        if abs(found[part]["arms"][name][score] - row[score]) > tolerance
    ]


def done(
    one: Callable[[Any], Any], jobs: Sequence[Any], workers: int, kept: Path | None = None
) -> dict[Any, Any]:
    """Results of all jobs in their order; each is added to `kept` when it is ready, and taken from there if it was."""
    lines = kept.read_text().splitlines() if kept is not None and kept.exists() else []
    found = {_key(job): result for job, result in map(json.loads, lines)}
    left = [job for job in jobs if _key(job) not in found]
    torch.set_num_threads(1)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for job, result in zip(left, pool.imap(one, left), strict=True):
            found[_key(job)] = result
            if kept is not None:
                with kept.open("a") as file:
                    file.write(json.dumps([job, result]) + "\n")
    return {job: found[_key(job)] for job in jobs}


def _key(job: Any) -> str:
    return json.dumps(job)


def main(
    about: str | None,
    file: str,
    one: Callable[[Any], Any],
    jobs: Sequence[Any],
    table: Callable[[dict[Any, Any]], Row],
    score: str,
    tolerance: float,
) -> None:
    """Run all jobs, print the table, and compare it with expected.json beside `file` or write that anew."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--write", action="store_true", help="write expected.json")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--resume", type=Path, help="keep each finished job in this file, and take from it what is there"
    )
    options = parser.parse_args()
    result = rounded(table(done(one, jobs, options.workers, options.resume)))
    print(json.dumps(result, indent=1))
    expected = Path(file).parent / "expected.json"
    if options.write:
        expected.write_text(json.dumps(result, indent=1) + "\n")
        return
    wrong = differences(result, json.loads(expected.read_text()), score, tolerance)
    if wrong:
        raise SystemExit("\n".join(wrong))
