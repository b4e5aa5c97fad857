"""The control of every attack: the same search without a direction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.attacks._loop import AttributionAttack, search
from rightreasons.attacks._result import AttributionAttackResult
from rightreasons.core._guard import Model


@final
@dataclass(frozen=True)
class RandomSign:
    """Steps in random directions under everything else that an attack does [ghorbani2019].

    Same ball, steps, starts, label rule, measure and choice of the best iterate; each step follows a fresh sign(z),
    z ~ N(0, 1), so it is a random walk of which the best point is kept. What an attack gains over it is what its
    direction is worth. Cost: the attack's, without directions.

    Args:
        of: the attack whose control this is.

    Example:
        >>> import torch, rightreasons as rr
        >>> from rightreasons.attacks import TopK
        >>> model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
        >>> x = torch.randn(4, 6)
        >>> control = RandomSign(TopK(k=2, eps=0.5, steps=5))
        >>> control(model, x, model(x).argmax(1), attribution=rr.Gradient()).evaluations.direction
        0
    """

    of: AttributionAttack

    def __call__(
        self,
        model: Model,
        x: Float[Tensor, "B *F"],
        y: Shaped[Tensor, "B"],
        *,
        attribution: Callable[..., Any],
        generator: torch.Generator | None = None,
        chunk: int | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> AttributionAttackResult:
        """As the attack's own call."""
        return search(
            self.of,
            model,
            x,
            y,
            attribution=attribution,
            aimless=True,
            generator=generator,
            chunk=chunk,
            model_kwargs=model_kwargs,
        )
