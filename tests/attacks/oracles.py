"""Attribution attacks one image at a time, as in the pseudo-code of the published attacks, for anyone to check by eye.

No restarts, no random start, sign steps; softplus written into a copy of the network; maps are |gradient| summed over
channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def gradient_map(model: nn.Module, x: Tensor, y: int, *, create_graph: bool = False) -> Tensor:
    """sum_c |d f_y / d x_c| of one image (C, H, W)."""
    leaf = x if create_graph else x.detach().requires_grad_()
    score = model(leaf[None])[0, y]
    (grad,) = torch.autograd.grad(score, leaf, create_graph=create_graph)
    return grad.abs().sum(0)


def top(a: Tensor, k: int) -> set[int]:
    """The k largest by (-value, index)."""
    values = a.flatten().tolist()
    return set(sorted(range(len(values)), key=lambda i: (-values[i], i))[:k])


def window(positions: set[int], radius: int, width: int, height: int) -> set[int]:
    near = set()
    for p in positions:
        for i in range(p // width - radius, p // width + radius + 1):
            for j in range(p % width - radius, p % width + radius + 1):
                if 0 <= i < height and 0 <= j < width:
                    near.add(i * width + j)
    return near


def centre(a: Tensor) -> Tensor:
    rows, columns = torch.meshgrid(
        torch.arange(a.shape[0], dtype=a.dtype), torch.arange(a.shape[1], dtype=a.dtype), indexing="ij"
    )
    return torch.stack([(a * rows).sum(), (a * columns).sum()]) / a.sum()


class SoftReLU(nn.Module):
    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        return F.softplus(x, self.beta, 50.0)


def softened(model: nn.Sequential, beta: float) -> nn.Sequential:
    """The same weights with softplus in place of every ReLU."""
    return nn.Sequential(*(SoftReLU(beta) if isinstance(layer, nn.ReLU) else layer for layer in model))


def top_k_attack(
    model: nn.Sequential,
    x0: Tensor,
    y: int,
    *,
    k: int,
    radius: int,
    beta: float,
    eps: float,
    step: float,
    steps: int,
) -> tuple[Tensor, float]:
    """The best iterate of one image and its |N_w(S) and T| / k; the input and 1 if none is better."""
    soft, clean = softened(model, beta), gradient_map(model, x0, y)
    height, width = clean.shape
    near = window(top(clean, k), radius, width, height)
    chosen = torch.zeros(height * width, dtype=clean.dtype)
    chosen[sorted(near)] = 1
    best_x, best = x0, len(near & top(clean, k)) / k
    x = x0
    for _ in range(steps):
        leaf = x.detach().requires_grad_()
        a = gradient_map(soft, leaf, y, create_graph=True)
        ((a / a.sum()).flatten() * chosen).sum().backward()
        assert leaf.grad is not None
        x = x - step * leaf.grad.sign()
        x = torch.minimum(torch.maximum(x, x0 - eps), x0 + eps).clamp(0, 1)
        if int(model(x[None]).argmax()) == y:
            value = len(near & top(gradient_map(model, x, y), k)) / k
            if value < best:
                best_x, best = x, value
    return best_x, best
