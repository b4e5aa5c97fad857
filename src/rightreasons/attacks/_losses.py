"""Losses that attacks on predictions maximise: one number per row, larger where the label is less likely."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rightreasons.attacks._labels import Labels

Loss: TypeAlias = Literal["cross_entropy", "margin"] | Callable[[Tensor, Tensor], Tensor]


def cross_entropy(outputs: Float[Tensor, "N ..."], labels: Labels) -> Float[Tensor, "N"]:
    """-log p_y, of a softmax over several outputs or a sigmoid of one."""
    if labels.classes == 1:
        logits = outputs.reshape(len(outputs))
        return F.binary_cross_entropy_with_logits(logits, labels.y.to(logits), reduction="none")
    return F.cross_entropy(outputs, labels.y, reduction="none")


def lead(outputs: Float[Tensor, "N ..."], labels: Labels) -> Float[Tensor, "N"]:
    """By how much the best other class leads, max_{c != y} z_c - z_y: positive where the label is lost."""
    if labels.classes == 1:
        logits = outputs.reshape(len(outputs))
        return (1 - 2 * labels.y.to(logits)) * logits
    own = outputs.gather(1, labels.y[:, None])[:, 0]
    return outputs.scatter(1, labels.y[:, None], -torch.inf).amax(1) - own


def margin(outputs: Float[Tensor, "N ..."], labels: Labels) -> Float[Tensor, "N"]:
    """The lead, divided by z_(1) - z_(3) where there are three classes: invariant to the scale of the logits.

    The difference of logits ratio of [croce2020]. Unlike cross-entropy its gradient does not vanish where the model is
    confident.
    """
    if labels.classes < 3:
        return lead(outputs, labels)
    best = outputs.topk(3, dim=1).values
    return lead(outputs, labels) / (best[:, 0] - best[:, 2]).clamp(min=1e-12)


def row_losses(loss: Loss, outputs: Tensor, labels: Labels) -> Tensor:
    """The loss by name, or the caller's own."""
    if loss == "cross_entropy":
        return cross_entropy(outputs, labels)
    if loss == "margin":
        return margin(outputs, labels)
    return loss(outputs, labels.y)
