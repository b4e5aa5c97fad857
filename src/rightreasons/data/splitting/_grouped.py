"""Grouped splits: rows of one group stay together."""

import numpy as np

from rightreasons.core._errors import DataError

_MOST_ORDERS = 20


def grouped(
    strata: np.ndarray, clusters: np.ndarray, sizes: tuple[int, ...], rng: np.random.Generator
) -> list[np.ndarray]:
    """Rows of each part; clusters are handed out whole, so a part has its size up to one cluster.

    In random order, each cluster goes to the part whose count of every stratum it brings closest to what was asked:
    least increase of the misfit, the sum over parts p and strata c of (n_pc - t_pc)^2 / t_p. If that leaves a part
    without a stratum, or further off than one cluster, other orders are tried, up to 20, and at last that of least
    misfit is taken. The order must not depend on the clusters' sizes: the largest first fits better, but then all
    splits are one and the same. Rows beyond the sizes asked are a last part that is not returned.

    Cost: O(clusters x parts x strata) for each order.

    Args:
        strata: a number per row whose shares are kept.
        clusters: a number per row, 0 ... G - 1.
        sizes: rows asked for each part.
        rng: of this split.

    Raises: DataError if a part that was asked for gets no cluster.
    """
    _, level = np.unique(strata, return_inverse=True)
    counts_GC = np.zeros((clusters.max() + 1, level.max() + 1))
    np.add.at(counts_GC, (clusters, level), 1)
    targets_P = np.array([*sizes, len(strata) - sum(sizes)], dtype=float)
    part_of = _acceptable(counts_GC, targets_P, rng)
    parts = [rng.permutation(np.flatnonzero(part_of[clusters] == p)) for p in range(len(sizes))]
    for part, size in zip(parts, sizes, strict=True):
        if size and not len(part):
            raise DataError(
                f"{len(counts_GC)} groups of up to {int(counts_GC.sum(1).max())} rows cannot be split into parts of "
                f"{', '.join(map(str, sizes))} rows without dividing a group: one part would be empty. Ask for other "
                "sizes, or collect more groups."
            )
    return parts


def _acceptable(counts_GC: np.ndarray, targets_P: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The part of each cluster in the first order that fits, or else in that of least misfit."""
    asked = targets_P > 0
    wanted_PC = targets_P[:, None] * counts_GC.sum(0) / counts_GC.sum()
    found: list[tuple[float, np.ndarray]] = []
    for _ in range(_MOST_ORDERS):
        part_of, held_PC = _dealt(counts_GC, targets_P, wanted_PC, rng.permutation(len(counts_GC)))
        off_PC = np.abs(held_PC - wanted_PC)
        if (off_PC <= counts_GC.max(0)).all() and (held_PC[asked] > 0).all():
            return part_of
        found.append((float((np.square(off_PC).sum(1)[asked] / targets_P[asked]).sum()), part_of))
    return min(found, key=lambda each: each[0])[1]


def _dealt(
    counts_GC: np.ndarray, targets_P: np.ndarray, wanted_PC: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The part of each cluster, and what each part holds, when clusters are dealt out in this order."""
    held_PC = np.zeros_like(wanted_PC)
    weight_P = np.where(targets_P > 0, 1 / np.maximum(targets_P, 1), np.inf)
    part_of = np.empty(len(counts_GC), dtype=np.int64)
    for cluster in order:
        rise_P = ((counts_GC[cluster] - 2 * (wanted_PC - held_PC)) * counts_GC[cluster]).sum(1) * weight_P
        rise_P[targets_P <= 0] = np.inf
        part_of[cluster] = rise_P.argmin()
        held_PC[part_of[cluster]] += counts_GC[cluster]
    return part_of, held_PC
