"""Control maps that do not depend on the model: random, edge and constant maps."""

from abc import abstractmethod
from dataclasses import dataclass
from math import isfinite
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from rightreasons.attribution._attribution import (
    Advice,
    Attribution,
    Axioms,
    Call,
    Explanation,
    refuse_graph,
    with_outputs,
)
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._inputs import Inputs, as_tuple, check_inputs, like, wide
from rightreasons.core._score import Target
from rightreasons.core.model._guard import Model

_UNAWARE = Axioms(
    complete=False,
    sensitive=False,
    dummy=False,
    implementation_invariant=True,
    linear=False,
    differentiable=False,
    note="A control: knows nothing of the model.",
)


class Control(Attribution):
    """Maps made without the model; it is called only by `explain`, for its outputs."""

    @abstractmethod
    def maps(self, inputs: tuple[Tensor, ...], generator: torch.Generator | None) -> tuple[Tensor, ...]:
        """One map of the shape of each input."""

    def _maps(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Inputs:
        if call.create_graph:
            refuse_graph(self, "No parameter moves a control. Use rr.Gradient() or another method.")
        check_inputs(inputs)
        parts = tuple(wide(part.detach()) for part in as_tuple(inputs))
        return like(self.maps(parts, call.generator), inputs)

    def _explanation(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Explanation:
        return with_outputs(self._maps(model, inputs, target, call), model, inputs, target, call)


@final
@dataclass(frozen=True, repr=False)
class RandomMap(Control):
    """Standard normal noise [adebayo2018]: the level that any measure of an explanation has to beat.

    Every row has its own draw. Cost: none.

    Example:
        >>> import torch, rightreasons as rr
        >>> rr.RandomMap()(lambda x: x.sum(1), torch.zeros(2, 3)).shape
        torch.Size([2, 3])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=True,
        dummy=False,
        implementation_invariant=True,
        linear=False,
        differentiable=False,
        random=True,
        note="A control: knows nothing of the model.",
    )
    advice: ClassVar[Advice] = Advice(
        "you need the level that any measure has to beat",
        "you need an explanation",
    )

    def maps(self, inputs: tuple[Tensor, ...], generator: torch.Generator | None) -> tuple[Tensor, ...]:
        return tuple(
            torch.randn(part.shape, generator=generator, dtype=torch.float32).to(part) for part in inputs
        )


@final
@dataclass(frozen=True, repr=False)
class EdgeMap(Control):
    """How fast the picture itself changes, by the Sobel filter [adebayo2018].

        phi = sqrt(gx^2 + gy^2),  channel by channel, borders repeated

    Looks like a good explanation and explains nothing. Cost: none.

    Raises:
        ShapeError: an input is no picture (B, C, H, W).

    Example:
        >>> import torch, rightreasons as rr
        >>> x = torch.zeros(1, 1, 4, 4)
        >>> x[..., 2:] = 1.0
        >>> rr.EdgeMap()(lambda x: x.sum((1, 2, 3)), x)[0, 0, 0]
        tensor([0., 4., 4., 0.])
    """

    axioms: ClassVar[Axioms] = _UNAWARE
    advice: ClassVar[Advice] = Advice(
        "you need a map that looks convincing and explains nothing, for comparison",
        "you need an explanation",
    )

    def maps(self, inputs: tuple[Tensor, ...], generator: torch.Generator | None) -> tuple[Tensor, ...]:
        return tuple(_edges(part) for part in inputs)


def _edges(picture: Tensor) -> Tensor:
    if picture.dim() != 4:
        raise ShapeError(f"edges are those of pictures (B, C, H, W); got {tuple(picture.shape)}.")
    channels = picture.shape[1]
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(picture)
    padded = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    gx, gy = (
        F.conv2d(padded, kernel.expand(channels, 1, 3, 3), groups=channels) for kernel in (across, across.T)
    )
    return (gx.square() + gy.square()).sqrt()


@final
@checked
@dataclass(frozen=True, repr=False)
class ConstantMap(Control):
    """The same number everywhere: what a map says that says nothing.

    Cost: none.

    Args:
        value: the number.

    Raises:
        InputError: value is not finite.

    Example:
        >>> import torch, rightreasons as rr
        >>> rr.ConstantMap()(lambda x: x.sum(1), torch.zeros(1, 3))
        tensor([[1., 1., 1.]])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=True,
        dummy=False,
        implementation_invariant=True,
        linear=False,
        differentiable=False,
        note="A control: knows nothing of the model.",
    )
    advice: ClassVar[Advice] = Advice(
        "you need the score of a map that says nothing",
        "you need an explanation",
    )

    value: int | float = 1.0

    def __post_init__(self) -> None:
        if not isfinite(self.value):
            raise InputError(f"value must be finite; got {self.value!r}.")

    def maps(self, inputs: tuple[Tensor, ...], generator: torch.Generator | None) -> tuple[Tensor, ...]:
        return tuple(torch.full_like(part, self.value) for part in inputs)
