"""Random perturbations of the same size: the control of every attack."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.attacks._loop import AttributionAttack, search
from rightreasons.attacks._result import AttributionAttackResult
from rightreasons.core._checked import Count, checked
from rightreasons.core._errors import InputError
from rightreasons.core.model._guard import Model


@final
@checked
@dataclass(frozen=True)
class RandomSign:
    """Steps in random directions under everything else that an attack does [ghorbani2019].

    Same ball, steps, starts, label rule, measure and choice of the best iterate; each step follows a fresh sign(z),
    z ~ N(0, 1), so it is a random walk of which the best point is kept. What an attack gains over it is what its
    direction is worth. Cost: the attack's, without directions.

    A walk of an attack's small steps stays inside the ball, as published; steps across it (`stride=2`) end at a fresh
    random corner, and are the stronger noise (experiments/kamath2024/attack-strength).

    Args:
        of: the attack whose control this is.
        stride: length of a step in radii; None: the attack's.

    Raises:
        InputError: the stride is not a positive number.

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
    stride: float | None = None

    def __post_init__(self) -> None:
        if self.stride is not None and not 0 < self.stride < inf:
            raise InputError(
                f"stride is the length of a step in radii, positive and finite; got {self.stride}."
            )

    def __call__(
        self,
        model: Model,
        x: Float[Tensor, "B *F"],
        y: Shaped[Tensor, "B"],
        *,
        attribution: Callable[..., Any],
        generator: torch.Generator | None = None,
        chunk: Count | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> AttributionAttackResult:
        """As the attack's own call."""
        return search(
            self._striding(),
            model,
            x,
            y,
            attribution=attribution,
            aimless=True,
            generator=generator,
            chunk=chunk,
            model_kwargs=model_kwargs,
        )

    def _striding(self) -> AttributionAttack:
        radius = float(torch.as_tensor(self.of.eps, dtype=torch.float64).max())
        return (
            self.of
            if self.stride is None or radius == 0
            else replace(self.of, step_size=self.stride * radius)
        )
