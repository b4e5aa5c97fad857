"""Naive formulas of the metrics: Python loops over rows, pixels and windows, for maps (H, W) and any other grid.

The published LENS code is known to differ from its formulas; `Defects` switches each difference on, which explains
published numbers. With none of them the loops are the formulas.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from torch import Tensor

Place = tuple[int, ...]


@dataclass(frozen=True)
class Defects:
    """Differences between the published code and the paper, for images (H, W).

    Args:
        row_wrap: windows are added to flat indices, so at the left and right border they continue in the next row.
        zero_dropped: the first pixel is never inside a window, and never a diverse pick.
        second_skipped: the second diverse pick blocks its window but is not kept.
        candidates: only the largest M values are looked at for diverse picks; None for all.
        end_wrap: with `row_wrap`, indices before the first pixel count from the end (the attack's windows).
        argsort: ties fall as numpy's unstable ascending sort leaves them.
        fourth_rows: 7 x 7 windows on images 128 wide hold the rows 4 away in place of those 3 away.
    """

    row_wrap: bool = False
    zero_dropped: bool = False
    second_skipped: bool = False
    candidates: int | None = None
    end_wrap: bool = False
    argsort: bool = False
    fourth_rows: bool = False


NONE = Defects()


def places(grid: Tensor) -> list[Place]:
    return list(product(*map(range, grid.shape)))


def by_order(grid: Tensor, defects: Defects = NONE) -> list[Place]:
    """Places by (-value, index)."""
    if defects.argsort:
        every = places(grid)
        return [every[i] for i in np.argsort(grid.flatten().numpy())[::-1]]
    return sorted(places(grid), key=lambda place: (-float(grid[place]), place))


def topk(grid: Tensor, k: int, defects: Defects = NONE) -> set[Place]:
    return set(by_order(grid, defects)[:k])


def window(place: Place, radius: int, shape: Sequence[int], defects: Defects = NONE) -> set[Place]:
    near, steps = set(), range(-radius, radius + 1)
    rows = [-4, *steps[1:-1], 4] if defects.fourth_rows and radius == 3 and shape[1] == 128 else steps
    for step in product(rows, *[steps] * (len(shape) - 1)):
        other = tuple(x + d for x, d in zip(place, step, strict=True))
        if defects.row_wrap:
            flat = other[0] * shape[1] + other[1]
            size = shape[0] * shape[1]
            if (-size if defects.end_wrap else 0) <= flat < size:
                near.add(divmod(flat % size, shape[1]))
        elif all(0 <= x < size for x, size in zip(other, shape, strict=True)):
            near.add(other)
    return near - {(0,) * len(shape)} if defects.zero_dropped else near


def windows(chosen: set[Place], radius: int, shape: Sequence[int], defects: Defects = NONE) -> set[Place]:
    return {near for place in chosen for near in window(place, radius, shape, defects)}


def diverse(grid: Tensor, k: int, radius: int, defects: Defects = NONE) -> list[Place]:
    """Greedy picks in order, as many as there are up to k."""
    left, picks = by_order(grid, defects)[: defects.candidates], []
    if defects.zero_dropped:
        left = [place for place in left if any(place)]
    wanted = k + defects.second_skipped
    while left and len(picks) < wanted:
        picks.append(left[0])
        blocked = window(left[0], radius, grid.shape, defects) | {left[0]}
        left = [place for place in left if place not in blocked]
    return picks[:1] + picks[2:] if defects.second_skipped else picks


def chosen(grid: Tensor, k: int, diversity: int, defects: Defects = NONE) -> set[Place]:
    return set(diverse(grid, k, diversity, defects)) if diversity else topk(grid, k, defects)


def recall(a: Tensor, b: Tensor, k: int, radius: int, diversity: int = 0, defects: Defects = NONE) -> float:
    near = windows(chosen(a, k, diversity, defects), radius, a.shape, defects)
    return len(near & chosen(b, k, diversity, defects)) / k


def precision(
    a: Tensor, b: Tensor, k: int, radius: int, diversity: int = 0, defects: Defects = NONE
) -> float:
    near = windows(chosen(b, k, diversity, defects), radius, a.shape, defects)
    return len(chosen(a, k, diversity, defects) & near) / k


def uniform_chance(a: Tensor, k: int, radius: int) -> float:
    return len(windows(topk(a, k), radius, a.shape)) / a.numel()


def unrelated_chance(a: Tensor, b: Tensor, k: int, radius: int, row: int) -> float:
    others = [other for other in range(len(b)) if other != row]
    return sum(recall(a[row], b[other], k, radius) for other in others) / len(others)


def window_mean(grid: Tensor, radius: int, border: str) -> list[float]:
    means = []
    for place in places(grid):
        near = window(place, radius, grid.shape)
        count = len(near) if border == "clip" else (2 * radius + 1) ** grid.ndim
        means.append(sum(float(grid[other]) for other in sorted(near)) / count)
    return means


def ranks(values: Sequence[float]) -> list[float]:
    return [sum(v < u for v in values) + (sum(v == u for v in values) + 1) / 2 for u in values]


def correlation(x: Sequence[float], y: Sequence[float]) -> float:
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    both = sum((u - mean_x) * (v - mean_y) for u, v in zip(x, y, strict=True))
    return both / math.sqrt(sum((u - mean_x) ** 2 for u in x) * sum((v - mean_y) ** 2 for v in y))


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    return correlation(ranks(x), ranks(y))


def kendall(x: Sequence[float], y: Sequence[float]) -> float:
    """tau-b over all pairs."""
    pairs = [(i, j) for i in range(len(x)) for j in range(i)]

    def sign(v: float) -> int:
        return (v > 0) - (v < 0)

    agree = sum(sign(x[i] - x[j]) * sign(y[i] - y[j]) for i, j in pairs)
    untied_x, untied_y = (sum(v[i] != v[j] for i, j in pairs) for v in (x, y))
    return agree / math.sqrt(untied_x * untied_y)


def cosine(a: Tensor, b: Tensor) -> float:
    x, y = a.flatten().tolist(), b.flatten().tolist()
    dot = sum(u * v for u, v in zip(x, y, strict=True))
    return dot / math.sqrt(sum(u * u for u in x)) / math.sqrt(sum(v * v for v in y))


def sign_agreement(a: Tensor, b: Tensor) -> float:
    pairs = [(u, v) for u, v in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True) if u or v]
    return sum(u * v > 0 for u, v in pairs) / len(pairs)


def centre(grid: Tensor) -> list[float]:
    total = sum(abs(float(grid[place])) for place in places(grid))
    return [
        sum(abs(float(grid[place])) * place[axis] for place in places(grid)) / total
        for axis in range(grid.ndim)
    ]


def shift(a: Tensor, b: Tensor) -> float:
    return math.dist(centre(a), centre(b))


def ssim(a: Tensor, b: Tensor, radius: int = 5, sigma: float = 1.5) -> float:
    """The published formula with explicit weights at every position whose window lies inside."""
    x, y = ((grid - grid.min()) / (grid.max() - grid.min()) for grid in (a, b))
    offsets = list(product(range(-radius, radius + 1), repeat=a.ndim))
    weights = [math.exp(-sum(d * d for d in offset) / (2 * sigma**2)) for offset in offsets]
    weights = [weight / sum(weights) for weight in weights]
    values = []
    for place in product(*(range(radius, size - radius) for size in a.shape)):
        near = [tuple(p + d for p, d in zip(place, offset, strict=True)) for offset in offsets]
        u, v = [float(x[other]) for other in near], [float(y[other]) for other in near]
        mu, mv = (sum(w * t for w, t in zip(weights, side, strict=True)) for side in (u, v))
        vu = sum(w * (s - mu) ** 2 for w, s in zip(weights, u, strict=True))
        vv = sum(w * (t - mv) ** 2 for w, t in zip(weights, v, strict=True))
        uv = sum(w * (s - mu) * (t - mv) for w, s, t in zip(weights, u, v, strict=True))
        c1, c2 = 0.01**2, 0.03**2
        values.append((2 * mu * mv + c1) * (2 * uv + c2) / ((mu**2 + mv**2 + c1) * (vu + vv + c2)))
    return sum(values) / len(values)
