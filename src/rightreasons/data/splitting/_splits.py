"""Random and stratified splits, repeated."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError
from rightreasons.data._dataset import SURVIVAL, DataSet
from rightreasons.data._misspelt import misspelt
from rightreasons.data.splitting._grouped import grouped


class Split(NamedTuple):
    """Rows to train on, to choose by and to judge by: three disjoint, shuffled index tensors."""

    train: Int64[Tensor, " n"]
    validation: Int64[Tensor, " v"]
    test: Int64[Tensor, " t"]


Size = int | float | None
_PARTS = Split._fields


@checked
def splits(
    data: DataSet | Shaped[Tensor, "N *L"],
    count: int,
    train: Size,
    validation: Size,
    test: Size = None,
    seed: int = 0,
    stratify: bool = True,
) -> Iterator[Split]:
    """Repeated random splits of the rows; split i depends on (seed, i) only, so more splits extend fewer.

    Stratified parts have each class in proportion to the rows left, rounded by the largest remainder; survival
    data are stratified by event. Rows beyond the three sizes are not used. Rows of one of the data's `clusters` are
    never divided between parts, which then have the sizes asked for up to one cluster. Cost: O(N) per split.

    Args:
        data: a data set, or the labels; integer labels are classes, other labels are not stratified.
        count: number of splits.
        train: a number of rows, a fraction of all rows (rounded down), or None for all rows left over.
        validation: as `train`; 0 for none.
        test: as `train`; by default all rows left over.
        seed: any integer >= 0.
        stratify: keep class proportions.

    Raises:
        DataError: sizes that are not sizes or add up to more than there is, or a part that would miss a class
            (any class when stratified; all but one otherwise), or labels that are all of one class.

    Example:
        >>> y = torch.tensor([0, 0, 0, 1, 1, 1])
        >>> tuple(len(part) for part in next(splits(y, count=1, train=2, validation=2)))
        (2, 2, 2)
    """
    y = _classes(data)
    sizes = _sizes(y.shape[0], (train, validation, test))
    labels = y.cpu().numpy() if _is_class(y) else None
    if count < 1 or seed < 0:
        raise DataError(f"count must be at least 1 and seed at least 0, got count={count}, seed={seed}.")
    if labels is not None and len(np.unique(labels)) == 1:
        raise DataError(
            f"All {len(labels)} labels are class {labels[0]}: there is nothing to tell apart. Check how the "
            "label was read, or make it floating if it is not a class: y.float()."
        )
    strata = labels if stratify and labels is not None else np.zeros(y.shape[0], dtype=np.int64)
    clusters = data.clusters if isinstance(data, DataSet) else ()
    numbers = np.unique(np.array(clusters), return_inverse=True)[1] if clusters else None
    names = data.classes if isinstance(data, DataSet) else ()
    return _generate(labels, strata, numbers, count, sizes, seed, stratify, names)


def drawn(data: DataSet, count: int, seed: int) -> Int64[Tensor, " n"]:
    """Positions of `count` rows in random order, classes in proportion and each at least once where there is room.

    Survival data are drawn by event, labels that are no classes by chance alone; all rows where there are no more.
    Cost: O(N).

    >>> data = DataSet("d", torch.zeros(6, 1), torch.tensor([0, 0, 0, 0, 1, 1]), classes=("no", "yes"))
    >>> data.y[drawn(data, 3, seed=0)].sort().values
    tensor([0, 0, 1])
    """
    rng = np.random.default_rng(seed)
    labels, count = _classes(data), min(count, len(data))
    strata = np.zeros(len(data), dtype=np.int64) if not _is_class(labels) else labels.cpu().numpy()
    pools = [rng.permutation(np.flatnonzero(strata == value)) for value in np.unique(strata)]
    shares = _shares(np.array([len(pool) for pool in pools], dtype=np.int64), count, rng)
    while count >= len(pools) and (shares == 0).any():
        shares[shares.argmax()] -= 1
        shares[shares.argmin()] += 1
    parts = [pool[:share] for pool, share in zip(pools, shares, strict=True)]
    return torch.from_numpy(rng.permutation(np.concatenate(parts)))


def _is_class(y: Tensor) -> bool:
    return y.ndim == 1 and not (y.is_floating_point() or y.is_complex())


def _classes(data: DataSet | Tensor) -> Tensor:
    """The labels; of survival data whether there was an event."""
    if not isinstance(data, DataSet):
        return data
    return data.y[:, 1].long() if data.labels == SURVIVAL and data.labelled else data.y


def _generate(
    labels: np.ndarray | None,
    strata: np.ndarray,
    clusters: np.ndarray | None,
    count: int,
    sizes: tuple[int, ...],
    seed: int,
    stratify: bool,
    names: Sequence[str],
) -> Iterator[Split]:
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        parts = _one(strata, sizes, rng) if clusters is None else grouped(strata, clusters, sizes, rng)
        if labels is not None:
            for name, part in zip(_PARTS, parts, strict=True):
                _require_classes(name, labels[part], labels, stratify, names)
        yield Split(*(torch.from_numpy(part) for part in parts))


def _one(strata: np.ndarray, sizes: tuple[int, ...], rng: np.random.Generator) -> list[np.ndarray]:
    """Shuffle each stratum once, then hand out its next rows to each part in turn."""
    pools = [rng.permutation(np.flatnonzero(strata == value)) for value in np.unique(strata)]
    parts = []
    for size in sizes:
        shares = _shares(np.array([len(pool) for pool in pools]), size, rng)
        part = np.concatenate([pool[:share] for pool, share in zip(pools, shares, strict=True)])
        pools = [pool[share:] for pool, share in zip(pools, shares, strict=True)]
        parts.append(rng.permutation(part))
    return parts


def _shares(left: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """`size` divided in proportion to `left`: the whole parts, then one more for the largest remainders."""
    exact = left * size  # over left.sum(): kept as integers, so that equal remainders are equal
    shares, remainder = exact // max(left.sum(), 1), exact % max(left.sum(), 1)
    order = np.lexsort((rng.random(len(left)), -remainder))
    shares[order[: size - shares.sum()]] += 1
    return shares


def _sizes(rows: int, asked: tuple[Size, ...]) -> tuple[int, ...]:
    sizes: list[int | None] = []
    for name, size in zip(_PARTS, asked, strict=True):
        fraction = isinstance(size, float) and 0 < size < 1
        whole = isinstance(size, int) and not isinstance(size, bool) and size >= (1 if name == "train" else 0)
        if size is not None and not fraction and not whole:
            least = 1 if name == "train" else 0
            raise DataError(
                f"{name} must be a number of rows (at least {least}), a fraction between 0 and 1, or None "
                f"for the rows left over, got {size!r}."
            )
        sizes.append(int(size * rows + 1e-9) if isinstance(size, float) else size)
    known = sum(size for size in sizes if size is not None)
    if sizes.count(None) > 1 or known > rows or (None in sizes and known == rows) or sizes[0] == 0:
        raise DataError(
            f"train={asked[0]}, validation={asked[1]}, test={asked[2]} cannot be taken from {rows} rows: at "
            "most one may be None, and each needs at least one row that no other has. Ask for fewer rows."
        )
    return tuple(rows - known if size is None else size for size in sizes)


def _require_classes(
    name: str, part: np.ndarray, labels: np.ndarray, every: bool, names: Sequence[str]
) -> None:
    present, wanted = np.unique(part), np.unique(labels)
    enough = len(wanted) if every else 2
    if len(part) and len(present) < enough:
        absent = [int(label) for label in wanted if label not in present]
        named = [names[label] for label in absent] if names else absent
        known = {name: int((labels == i).sum()) for i, name in enumerate(names)}
        doubts = [f" Is {a!r} a misspelt {b!r}?" for a, b in misspelt(known).items() if a in named]
        raise DataError(
            f"The {name} part of {len(part)} rows has no row of class {[*named]}, of which there are "
            f"{[int((labels == label).sum()) for label in absent]} in all: it can neither teach nor judge "
            f"it. Ask for more {name} rows, {'merge rare classes' if every else 'stratify=True'}, or drop "
            f"those rows.{''.join(doubts)}"
        )
