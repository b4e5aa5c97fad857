"""Gradients of scores; the only module that calls `torch.autograd.grad`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rightreasons.core._errors import DifferentiabilityError
from rightreasons.core.model._kernels import toward


def score_gradients(
    scores: Tensor, points: Sequence[Tensor], *, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """d scores_b / d points_b for every row b, in one backward pass.

    Rows do not interact, so the gradient of the sum holds every row's own gradient. A point that the scores do not
    depend on has gradient zero, as long as another one does. Where a score is NaN so is the gradient: a ReLU, for one,
    would pass a finite number back from it.

    Raises:
        DifferentiabilityError: the scores depend on none of the points.
    """
    if not scores.requires_grad:
        raise DifferentiabilityError(
            "the model's output carries no gradient: something in it cuts the graph "
            "(detach, argmax, rounding, .numpy(), torch.no_grad). Explain a differentiable output instead."
        )
    with toward(points):
        grads = torch.autograd.grad(scores.sum(), points, create_graph=create_graph, allow_unused=True)
    if all(grad is None for grad in grads):
        raise DifferentiabilityError(
            "the explained output does not depend on what is explained: no gradient reaches it. "
            "Is the layer or input used on the way to this output, and nothing detached in between?"
        )
    found = (torch.zeros_like(p) if grad is None else grad for grad, p in zip(grads, points, strict=True))
    lost = scores.detach().isnan()
    if scores.dim() != 1 or not bool(lost.any()):
        return tuple(found)
    return tuple(nan_rows(grad, lost) for grad in found)


def nan_rows(maps: Tensor, lost: Tensor) -> Tensor:
    """`maps` whose lost rows say nothing."""
    return maps.masked_fill(lost.reshape(-1, *(1,) * (maps.dim() - 1)), torch.nan)


def vector_jacobian(
    values: Sequence[Tensor], tensors: Sequence[Tensor], cotangents: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """Contraction of d values / d tensors with `cotangents`; None where there is no dependence."""
    pairs = [(v, c) for v, c in zip(values, cotangents, strict=True) if v.requires_grad]
    if not pairs or not tensors:
        return tuple(None for _ in tensors)
    return torch.autograd.grad([v for v, _ in pairs], tensors, [c for _, c in pairs], allow_unused=True)


def loss_gradients(
    loss: Tensor, tensors: Sequence[Tensor], *, retain_graph: bool = False
) -> tuple[Tensor | None, ...]:
    """d loss / d tensors, without touching any `.grad`; None where there is no dependence."""
    if not loss.requires_grad or not tensors:
        return tuple(None for _ in tensors)
    return torch.autograd.grad(loss, tensors, retain_graph=retain_graph, allow_unused=True)


def norm_of(grads: Sequence[Tensor | None]) -> float:
    """Euclidean norm of all gradients together; absent ones count as zero."""
    squares = [grad.detach().double().square().sum() for grad in grads if grad is not None]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
