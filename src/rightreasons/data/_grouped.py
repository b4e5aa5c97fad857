"""Splits that keep the rows of one cluster together."""

import numpy as np

from rightreasons.core._errors import DataError


def grouped(
    strata: np.ndarray, clusters: np.ndarray, sizes: tuple[int, ...], rng: np.random.Generator
) -> list[np.ndarray]:
    """Rows of each part; clusters are handed out whole, so a part has its size up to one cluster.

    In random order, the largest first where sizes differ, each cluster goes to the part whose count of every stratum
    it brings closest to what was asked: least increase of sum over parts p and strata c of (n_pc - t_pc)^2 / t_p.
    Rows beyond the sizes asked are a last part that is not returned. Cost: O(clusters x parts x strata).

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
    share_C = counts_GC.sum(0) / len(strata)
    held_PC = np.zeros((len(targets_P), counts_GC.shape[1]))
    weight_P = np.where(targets_P > 0, 1 / np.maximum(targets_P, 1), np.inf)
    part_of = np.empty(len(counts_GC), dtype=np.int64)
    shuffled = rng.permutation(len(counts_GC))
    for cluster in shuffled[np.argsort(-counts_GC[shuffled].sum(1), kind="stable")]:
        short_PC = targets_P[:, None] * share_C - held_PC
        rise_P = ((counts_GC[cluster] - 2 * short_PC) * counts_GC[cluster]).sum(1) * weight_P
        rise_P[targets_P <= 0] = np.inf
        part_of[cluster] = rise_P.argmin()
        held_PC[part_of[cluster]] += counts_GC[cluster]
    parts = [rng.permutation(np.flatnonzero(part_of[clusters] == p)) for p in range(len(sizes))]
    for part, size in zip(parts, sizes, strict=True):
        if size and not len(part):
            raise DataError(
                f"{len(counts_GC)} clusters of up to {int(counts_GC.sum(1).max())} rows cannot be split into parts of "
                f"{', '.join(map(str, sizes))} rows without dividing a cluster: one part would be empty. Ask for other "
                "sizes, or collect more clusters."
            )
    return parts
