"""Naive formulas: one row, one point and one `autograd.grad` at a time, float64. Slow, and right by inspection."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Score = Callable[[Tensor, int], Tensor]
"""(row, its number in the batch) -> a number."""


def gradient_at(score: Score, point: Tensor, b: int) -> Tensor:
    point = point.detach().clone().requires_grad_()
    return torch.autograd.grad(score(point, b), point)[0]


def gradient(score: Score, x: Tensor) -> Tensor:
    return torch.stack([gradient_at(score, row, b) for b, row in enumerate(x)])


def input_times_gradient(score: Score, x: Tensor) -> Tensor:
    return torch.stack([row * gradient_at(score, row, b) for b, row in enumerate(x)])


def smoothgrad(
    score: Score, x: Tensor, noise: Tensor, sigma: float, *, relative: bool
) -> tuple[Tensor, Tensor]:
    """Mean and mean square of the gradients at x + sigma * e for every e of `noise`."""
    mean, square = torch.zeros_like(x), torch.zeros_like(x)
    for b, row in enumerate(x):
        scale = sigma * (row.max() - row.min()) if relative else sigma
        for e in noise:
            g = gradient_at(score, row + scale * e, b)
            mean[b] += g / len(noise)
            square[b] += g**2 / len(noise)
    return mean, square


def diffusion(height: int, width: int) -> Tensor:
    """The Laplacian on a grid of places, one neighbour at a time; nothing crosses the border."""
    matrix = torch.zeros(height * width, height * width, dtype=torch.float64)
    for i in range(height):
        for j in range(width):
            for p, q in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if 0 <= p < height and 0 <= q < width:
                    matrix[i * width + j, p * width + q] += 1
                    matrix[i * width + j, i * width + j] -= 1
    return matrix


def blur_integrated_gradients(
    score: Score, x: Tensor, sigmas: Sequence[float], weights: Sequence[float]
) -> Tensor:
    """Sum over points of weight * gradient * (- d x_s / d s), the derivative by autograd of a matrix exponential."""
    spread = diffusion(*x.shape[2:])
    maps = torch.zeros_like(x)
    for b, row in enumerate(x):
        for sigma, weight in zip(sigmas, weights, strict=True):

            def at(s: Tensor, row: Tensor = row) -> Tensor:
                return (row.flatten(1) @ torch.matrix_exp(s**2 / 2 * spread).T).reshape(row.shape)

            s = torch.tensor(sigma, dtype=torch.float64)
            moves = torch.autograd.functional.jacobian(at, s)
            maps[b] -= weight * gradient_at(score, at(s), b) * moves
    return maps


def grad_cam(tail: Score, features: Tensor, *, relu: bool) -> Tensor:
    """`tail`: from one row of feature maps (K, h, w) to the score. Returns (B, 1, h, w)."""
    maps = torch.zeros(len(features), 1, *features.shape[2:], dtype=features.dtype)
    for b, row in enumerate(features):
        g = gradient_at(tail, row, b)
        for k in range(len(row)):
            maps[b, 0] += g[k].mean() * row[k]
    return maps.clamp(min=0) if relu else maps


def xgrad_cam(tail: Score, features: Tensor) -> Tensor:
    """By the paper's formula, place by place, weight 0 where a feature map sums to 0; without the last ReLU."""
    maps = torch.zeros(len(features), 1, *features.shape[2:], dtype=features.dtype)
    for b, row in enumerate(features):
        g = gradient_at(tail, row, b)
        for k in range(len(row)):
            total, weight = float(row[k].sum()), 0.0
            for slope, value in zip(g[k].reshape(-1).tolist(), row[k].reshape(-1).tolist(), strict=True):
                weight += slope * value / total if total != 0 else 0.0
            maps[b, 0] += weight * row[k]
    return maps


def grad_cam_plus_plus(tail: Score, features: Tensor) -> Tensor:
    """By the paper's formula, place by place; without its factor exp(score), and without the last ReLU."""
    maps = torch.zeros(len(features), 1, *features.shape[2:], dtype=features.dtype)
    for b, row in enumerate(features):
        g = gradient_at(tail, row, b)
        for k in range(len(row)):
            total, weight = float(row[k].clamp(min=0).sum()), 0.0
            for slope in g[k].reshape(-1).tolist():
                if slope > 0:
                    weight += slope**2 / (2 * slope**2 + total * slope**3) * slope
            maps[b, 0] += weight * row[k]
    return maps


def through_relus(layers: Sequence[nn.Module], x: Tensor, y: Tensor, rule: str) -> Tensor:
    """Backpropagation by hand, layer by layer, with `rule` "gradient", "guided" or "deconvnet" at every nn.ReLU."""
    maps = torch.zeros_like(x)
    for b in range(len(x)):
        activations = [x[b : b + 1].detach()]
        for layer in layers:
            activations.append(layer(activations[-1].clone()).detach())
        back = torch.zeros_like(activations[-1])
        back[0, y[b]] = 1
        for layer, z in zip(reversed(layers), reversed(activations[:-1]), strict=True):
            if isinstance(layer, nn.ReLU):
                open_ = (z > 0).to(z)
                back = {
                    "gradient": back * open_,
                    "guided": back.clamp(min=0) * open_,
                    "deconvnet": back.clamp(min=0),
                }[rule]
            else:
                jacobian = torch.autograd.functional.jacobian(layer, z).reshape(back.numel(), z.numel())
                back = (jacobian.T @ back.reshape(-1)).reshape(z.shape)
        maps[b] = back[0]
    return maps


def deeplift(layers: Sequence[nn.Module], x: Tensor, baselines: Tensor, y: Tensor) -> Tensor:
    """Rescale by hand: Jacobians of linear layers, slopes of the others, max-pooling window by window."""
    maps = torch.zeros_like(x)
    for b in range(len(x)):
        here, there = [x[b : b + 1].detach()], [baselines[b : b + 1].detach()]
        for layer in layers:
            here.append(layer(here[-1].clone()).detach())
            there.append(layer(there[-1].clone()).detach())
        back = torch.zeros_like(here[-1])
        back[0, y[b]] = 1
        for i in reversed(range(len(layers))):
            layer, z, r, out, base = layers[i], here[i], there[i], here[i + 1], there[i + 1]
            if isinstance(layer, nn.MaxPool2d):
                back = _rescaled_pooling(layer, z, r, back)
            elif isinstance(layer, (nn.Linear, nn.Conv2d, nn.Flatten, nn.BatchNorm2d, nn.AvgPool2d)):
                jacobian = torch.autograd.functional.jacobian(layer, z).reshape(back.numel(), z.numel())
                back = (jacobian.T @ back.reshape(-1)).reshape(z.shape)
            else:
                back = back * (out - base) / (z - r)
        maps[b] = (back * (x[b : b + 1] - baselines[b : b + 1]))[0]
    return maps


def _rescaled_pooling(pool: nn.MaxPool2d, z: Tensor, r: Tensor, back: Tensor) -> Tensor:
    size, stride, pad = int(pool.kernel_size), int(pool.stride), int(pool.padding)
    _, channels, height, width = z.shape
    change = torch.zeros_like(z)
    for c in range(channels):
        for i in range(back.shape[2]):
            for j in range(back.shape[3]):
                window = [
                    (p, q)
                    for p in range(i * stride - pad, i * stride - pad + size)
                    for q in range(j * stride - pad, j * stride - pad + size)
                    if 0 <= p < height and 0 <= q < width
                ]
                at_x = max(window, key=lambda place: float(z[0, c, place[0], place[1]]))
                at_r = max(window, key=lambda place: float(r[0, c, place[0], place[1]]))
                most, base = float(z[0, c, at_x[0], at_x[1]]), float(r[0, c, at_r[0], at_r[1]])
                change[0, c, at_x[0], at_x[1]] += back[0, c, i, j] * (max(most, base) - base)
                change[0, c, at_r[0], at_r[1]] += back[0, c, i, j] * (most - max(most, base))
    return change / (z - r)


def lrp_layer(x: Tensor, weight: Tensor, bias: Tensor, relevance: Tensor, rule: tuple[Any, ...]) -> Tensor:
    """One dense layer, `weight` (out, in): R_j = sum_k part of term j in output k, by `rule` (name, *numbers)."""
    name, numbers = rule[0], [float(n) for n in rule[1:]]
    handed = torch.zeros_like(x)
    for k in range(len(weight)):
        terms, b, r = x * weight[k], float(bias[k]), float(relevance[k])
        z = float(terms.sum()) + b
        if name == "epsilon":
            handed += terms / (z + (numbers[0] if z >= 0 else -numbers[0])) * r
        elif name == "alphabeta":
            alpha, beta = numbers
            up, down = terms.clamp(min=0), terms.clamp(max=0)
            if float(up.sum()) + max(b, 0) > 0:
                handed += alpha * up / (float(up.sum()) + max(b, 0)) * r
            if float(down.sum()) + min(b, 0) < 0:
                handed -= beta * down / (float(down.sum()) + min(b, 0)) * r
        elif name == "gamma" and z != 0:
            side = (lambda t: t.clamp(min=0)) if z > 0 else (lambda t: t.clamp(max=0))
            more = terms + numbers[0] * side(terms)
            handed += more / (float(more.sum()) + b + numbers[0] * float(side(torch.tensor(b)))) * r
        elif name == "zbox":
            low, high = numbers
            boxed = terms - low * weight[k].clamp(min=0) - high * weight[k].clamp(max=0)
            handed += boxed / float(boxed.sum()) * r
        elif name == "flat":
            seen = (weight[k] != 0).to(x)
            handed += seen / float(seen.sum()) * r
    return handed


def lrp(blocks: Sequence[nn.Module], x: Tensor, y: Tensor, rules: Sequence[tuple[Any, ...]]) -> Tensor:
    """`rules[i]` for `blocks[i]`: one for an affine block, ("pass",) for activations, ("winner",) for max-pooling."""
    maps = torch.zeros_like(x)
    for b in range(len(x)):
        inputs = [x[b : b + 1].detach()]
        for block in blocks:
            inputs.append(block(inputs[-1].clone()).detach())
        relevance = torch.zeros_like(inputs[-1])
        relevance[0, y[b]] = inputs[-1][0, y[b]]
        for block, z, rule in zip(reversed(blocks), reversed(inputs[:-1]), reversed(rules), strict=True):
            if rule[0] == "pass":
                continue
            jacobian = torch.autograd.functional.jacobian(block, z).reshape(relevance.numel(), z.numel())
            if rule[0] == "winner":
                relevance = (jacobian.T @ relevance.reshape(-1)).reshape(z.shape)
            else:
                bias = block(torch.zeros_like(z)).detach().reshape(-1)
                handed = lrp_layer(z.reshape(-1), jacobian, bias, relevance.reshape(-1), rule)
                relevance = handed.reshape(z.shape)
        maps[b] = relevance[0]
    return maps


def nodes_and_weights(rule: str, n: int) -> list[tuple[float, float]]:
    if rule == "Left":
        return [(j / n, 1 / n) for j in range(n)]
    if rule == "Right":
        return [((j + 1) / n, 1 / n) for j in range(n)]
    if rule == "Midpoint":
        return [((j + 0.5) / n, 1 / n) for j in range(n)]
    if rule == "Trapezoid":
        return [(j / (n - 1), (0.5 if j in (0, n - 1) else 1.0) / (n - 1)) for j in range(n)]
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return [((float(t) + 1) / 2, float(w) / 2) for t, w in zip(nodes, weights, strict=True)]


def integrated_gradients(score: Score, x: Tensor, baselines: Tensor, rule: str, steps: int) -> Tensor:
    maps = torch.zeros_like(x)
    for b, (row, base) in enumerate(zip(x, baselines, strict=True)):
        for a, w in nodes_and_weights(rule, steps):
            maps[b] += w * gradient_at(score, base + a * (row - base), b) * (row - base)
    return maps


def guided_integrated_gradients(
    score: Score,
    x: Tensor,
    baselines: Tensor,
    steps: int,
    fraction: float,
    max_distance: float,
    *,
    both_ends: bool = True,
) -> Tensor:
    """One row, one feature, one group of features at a time; the published sum is that without `both_ends`."""
    maps = torch.zeros_like(x)
    for b, (row, base) in enumerate(zip(x, baselines, strict=True)):
        end, start = row.reshape(-1).tolist(), base.reshape(-1).tolist()
        z, size = list(start), len(end)
        whole = sum(abs(e - s) for e, s in zip(end, start, strict=True))
        for t in range(1, steps + 1):
            g = gradient_at(score, torch.tensor(z, dtype=x.dtype).reshape(row.shape), b).reshape(-1).tolist()
            low, high = (
                [s + share * (e - s) for e, s in zip(end, start, strict=True)]
                for share in (max(t / steps - max_distance, 0), min(t / steps + max_distance, 1))
            )
            old = list(z)
            for i in range(size):  # who lags too far behind the straight line catches up
                if abs(end[i] - z[i]) > abs(end[i] - low[i]):
                    z[i] = low[i]
            while True:
                left = sum(abs(e - v) for e, v in zip(end, z, strict=True))
                needed = left - whole * (1 - t / steps)
                free = [i for i in range(size) if abs(high[i] - z[i]) > 1e-12]
                if needed < 1e-12 * whole or not free:
                    break
                ranked = sorted([abs(g[i]) for i in free] + [float("inf")] * (size - len(free)))
                limit = ranked[int(fraction * (size - 1))]
                group = [i for i in free if abs(g[i]) <= limit]
                reach = sum(abs(high[i] - z[i]) for i in group)
                for i in group:
                    z[i] += min(needed / reach, 1.0) * (high[i] - z[i])
            ahead = (
                gradient_at(score, torch.tensor(z, dtype=x.dtype).reshape(row.shape), b).reshape(-1).tolist()
            )
            g = [(one + other) / 2 for one, other in zip(g, ahead, strict=True)] if both_ends else g
            for i in range(size):
                maps[b].view(-1)[i] += g[i] * (z[i] - old[i])
    return maps


def expected_gradients(
    score: Score, x: Tensor, references: Tensor, indices: Sequence[Sequence[int]], alphas: Tensor
) -> Tensor:
    """`indices[b][n]`: which reference draw n of row b uses."""
    maps = torch.zeros_like(x)
    for b, row in enumerate(x):
        for n, r in enumerate(indices[b]):
            u = row - references[r]
            maps[b] += u * gradient_at(score, references[r] + float(alphas[b][n]) * u, b) / len(indices[b])
    return maps


def exact_expected_gradients(score: Score, x: Tensor, references: Tensor, steps: int = 40) -> Tensor:
    """Every reference, the integral by Gauss-Legendre."""
    each = [integrated_gradients(score, x, r.expand_as(x), "GaussLegendre", steps) for r in references]
    return torch.stack(each).mean(0)


def score_of_row(z: Tensor, y: int | None, output: str) -> float:
    """The table of `Score` for one row of outputs, computed with Python numbers."""
    values = [float(v) for v in z.reshape(-1)]
    if len(values) == 1:
        p = 1 / (1 + np.exp(-values[0]))
        return {
            "logit": values[0],
            "margin": values[0],
            "probability": p,
            "log_probability": np.log(p),
            "sum_log_probability": np.log(p) + np.log(1 - p),
            "loss": -(np.log(p) if y == 1 else np.log(1 - p)),
        }[output]
    total = sum(np.exp(v) for v in values)
    p_all = [np.exp(v) / total for v in values]
    if output == "sum_log_probability":
        return sum(np.log(p) for p in p_all)
    assert y is not None
    return {
        "logit": values[y],
        "probability": p_all[y],
        "log_probability": np.log(p_all[y]),
        "loss": -np.log(p_all[y]),
        "margin": values[y] - max(v for c, v in enumerate(values) if c != y),
    }[output]
