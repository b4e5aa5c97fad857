"""Naive float64 formulas of every prior: explicit loops over rows, features and pixels."""

import cmath
import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from rightreasons.priors import FourierSmoothness


def mean_magnitude(maps: Tensor) -> Tensor:
    """phibar_i = mean over rows of |phi_bi|."""
    flat = maps.flatten(1)
    return torch.tensor(
        [sum(abs(float(flat[b, i])) for b in range(len(flat))) / len(flat) for i in range(flat.shape[1])],
        dtype=torch.float64,
    )


def gini(values: Tensor) -> Tensor:
    """0.5 * mean_ij |v_i - v_j| / mean_i v_i, the published code's O(p^2) form; differentiable."""
    return 0.5 * (values[:, None] - values[None, :]).abs().mean() / values.mean()


def gini_global(maps: Tensor, guidance: Tensor | None) -> float:
    return -float(gini(mean_magnitude(maps)))


def gini_sample(maps: Tensor, guidance: Tensor | None) -> float:
    return -sum(float(gini(row.flatten().abs())) for row in maps) / len(maps)


def variation(maps: Tensor, normalise: str | None, dims: int, channels: str) -> float:
    total = 0.0
    for row in maps:
        space = row.shape[row.ndim - dims :]
        images = row.reshape(-1, *space)
        if channels == "sum":
            images = images.sum(0)[None]
        for image in images / divisor(images, normalise):
            for place in product(*map(range, space)):
                for d in range(dims):
                    neighbour = tuple(x + (axis == d) for axis, x in enumerate(place))
                    if neighbour[d] < space[d]:
                        total += abs(float(image[neighbour]) - float(image[place]))
    return total / len(maps)


def divisor(images: Tensor, normalise: str | None) -> float:
    values = [float(v) for v in images.flatten()]
    if normalise is None:
        return 1.0
    if normalise == "l1":
        return sum(abs(v) for v in values)
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
    return deviation if normalise == "std" else max(deviation, 1 / math.sqrt(len(values)))


def quadratic(row: Tensor, adjacency: Tensor) -> float:
    """phi' (D - W) phi with the Laplacian written out."""
    laplacian = torch.diag(adjacency.sum(1)) - adjacency
    return float(row @ laplacian @ row)


def graph_global(maps: Tensor, adjacency: Tensor) -> float:
    return quadratic(mean_magnitude(maps), adjacency)


def graph_sample(maps: Tensor, adjacency: Tensor) -> float:
    return sum(quadratic(row.flatten(), adjacency) for row in maps) / len(maps)


def rayleigh_global(maps: Tensor, adjacency: Tensor) -> float:
    phibar = mean_magnitude(maps)
    return quadratic(phibar, adjacency) / float(phibar @ phibar)


def rayleigh_sample(maps: Tensor, adjacency: Tensor) -> float:
    rows = maps.flatten(1)
    return sum(quadratic(row, adjacency) / float(row @ row) for row in rows) / len(rows)


def l1(maps: Tensor, guidance: Tensor | None) -> float:
    values = [abs(float(v)) for v in maps.flatten()]
    return sum(values) / len(values)


def l2_sample(maps: Tensor, guidance: Tensor | None) -> float:
    return sum(float(v) ** 2 for v in maps.flatten()) / len(maps)


def l2_global(maps: Tensor, guidance: Tensor | None) -> float:
    return sum(float(v) ** 2 for v in mean_magnitude(maps))


def masked(maps: Tensor, mask: Tensor) -> float:
    """mask (B, *F)."""
    pairs = zip(maps.flatten(), mask.double().expand_as(maps).flatten(), strict=True)
    return sum((float(a) * float(phi)) ** 2 for phi, a in pairs) / len(maps)


def alignment(maps: Tensor, human: Tensor, signed: bool) -> float:
    """Human maps (B, *F) of the maps' own shape."""
    total = 0.0
    for phi, h in zip(maps.flatten(1), human.double().flatten(1), strict=True):
        if h.isnan().all() or not h.any():
            continue
        u = [float(v) if signed else abs(float(v)) for v in phi]
        v = [float(x) for x in h]
        dot = sum(x * y for x, y in zip(u, v, strict=True))
        total += 1 - dot / math.sqrt(sum(x * x for x in u)) / math.sqrt(sum(y * y for y in v))
    return total / len(maps)


def alignment_of_images(maps: Tensor, human: Tensor) -> float:
    """Human maps (B, 1, H, W) against |phi| summed over channels."""
    return alignment(maps.abs().sum(1, keepdim=True), human, signed=False)


def fourier(maps: Tensor, prior: FourierSmoothness) -> float:
    """Smoothed position by position, transformed frequency by frequency."""
    total = 0.0
    for row in maps.reshape(len(maps), -1, maps.shape[-1]):
        length = row.shape[1]
        sizes = [sum(abs(float(v)) for v in row[:, x]) for x in range(length)]
        sigma = prior.smoothing
        kernel = (
            {j: math.exp(-0.5 * (j / sigma) ** 2) for j in range(-sigma, sigma + 1)} if sigma else {0: 1.0}
        )
        smooth = [
            sum(w * sizes[x + j] for j, w in kernel.items() if 0 <= x + j < length) / sum(kernel.values())
            for x in range(length)
        ]
        spectrum = [
            abs(sum(a * cmath.exp(-2j * math.pi * k * x / length) for x, a in enumerate(smooth)))
            for k in range(length // 2 + 1)
        ]
        low = 0.0
        for k in range(1, len(spectrum)):
            if k <= prior.limit:
                low += spectrum[k]
            elif prior.softness is not None:
                low += spectrum[k] / (1 + (k - prior.limit) ** prior.softness)
        total += 1 - low / sum(spectrum[0 if prior.constant == "penalised" else 1 :])
    return total / len(maps)


def group_gini(maps: Tensor, groups: Sequence[Sequence[int]], level: str) -> float:
    sums = torch.tensor(
        [[abs(sum(float(row.flatten()[i]) for i in group)) for group in groups] for row in maps],
        dtype=torch.float64,
    )
    return gini_sample(sums, None) if level == "sample" else gini_global(sums, None)


def group_lasso(maps: Tensor, groups: Sequence[Sequence[int]], level: str) -> float:
    rows = list(maps.flatten(1)) if level == "sample" else [mean_magnitude(maps)]
    total = 0.0
    for row in rows:
        for group in groups:
            total += math.sqrt(len(group)) * math.sqrt(sum(float(row[i]) ** 2 for i in group))
    return total / len(rows)


def wrong_sign(maps: Tensor, signs: Tensor) -> float:
    """signs (B, *F), 1 where shared."""
    pairs = zip(maps.flatten(), signs.double().expand_as(maps).flatten(), strict=True)
    return sum(max(0.0, -float(s) * float(phi)) for phi, s in pairs) / len(maps)


def learned(maps: Tensor, importance: Tensor, signed: bool, distance: str, level: str) -> float:
    """g(m_j) of each feature against every row's attribution, or against its mean."""
    rows = [[float(v) if signed else abs(float(v)) for v in row.flatten()] for row in maps]
    if level == "global":
        rows = [[sum(column) / len(rows) for column in zip(*rows, strict=True)]]
    gaps = [phi - float(g) for row in rows for phi, g in zip(row, importance, strict=True)]
    return sum(abs(gap) if distance == "l1" else gap**2 for gap in gaps) / len(gaps)
