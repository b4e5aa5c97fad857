"""Base class of methods that compute maps for a block of rows at a time."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from rightreasons.attribution._attribution import (
    Attribution,
    Call,
    Evaluations,
    Explanation,
    refuse_graph,
    refuse_no_grad,
)
from rightreasons.core._inputs import Inputs, like
from rightreasons.core._score import Output, Target
from rightreasons.core.model._function import Block, ScoreFunction, rows_at_once
from rightreasons.core.model._guard import Model, explaining


class Part(NamedTuple):
    """What is known of some rows.

    Attributes:
        maps: of every input.
        backward: model rows that ran backward.
        gap: what the maps lack to be complete, in output units; None for methods that do not claim to be.
    """

    maps: tuple[Tensor, ...]
    backward: int
    gap: Tensor | None = None


class Blockwise(Attribution):
    """A value whose maps come block of rows by block of rows, by backward passes of its own rules or of its own order.

    Subclasses are frozen dataclasses. Where the backward pass is not the derivative, it cannot be differentiated again:
    `create_graph=True` is refused with what to use `instead`.
    """

    at: str | None
    instead: ClassVar[str] = ""

    @property
    def explains(self) -> Output:
        """What is made of the selected output; many of these methods can explain a logit only."""
        return "logit"

    @abstractmethod
    def pieces(self, function: ScoreFunction, chunk: int) -> Iterator[Part]:
        """The maps, block of rows by block of rows, in forward passes of at most `chunk` model rows."""

    def _maps(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Inputs:
        if call.create_graph and self.instead:
            refuse_graph(self, self.instead)
        if call.create_graph:
            refuse_no_grad()
        with explaining(model, second_order=call.create_graph, hooks=True) as network:
            return self._in_structure(
                self._whole(self._function(network, inputs, target, call), call).maps, inputs
            )

    def _explanation(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Explanation:
        with explaining(model, second_order=False, hooks=True) as network:
            function = self._function(network, inputs, target, call)
            whole = self._whole(function, call)
            with torch.no_grad():
                outputs = function.outputs_of_batch(function.points)
            return Explanation(
                maps=self._in_structure(whole.maps, inputs),
                gap=whole.gap,
                standard_error=None,
                outputs=outputs,
                evaluations=Evaluations(function.evaluations, whole.backward),
            )

    def _function(self, network: Model, inputs: Inputs, target: Target, call: Call) -> ScoreFunction:
        return ScoreFunction(
            network,
            inputs,
            target,
            output=self.explains,
            at=self.at,
            model_kwargs=call.model_kwargs,
            connected=call.create_graph,
            chunk=call.chunk,
        )

    def _whole(self, function: ScoreFunction, call: Call) -> Part:
        rows = function.batch if call.create_graph else rows_at_once(function.points)
        _ = function.keywords  # found out before layers are given other rules
        parts = list(self.pieces(function, call.chunk or rows))
        maps = tuple(torch.cat(each) for each in zip(*(part.maps for part in parts), strict=True))
        gaps = [part.gap for part in parts if part.gap is not None]
        return Part(maps, sum(part.backward for part in parts), torch.cat(gaps) if gaps else None)

    def _in_structure(self, maps: tuple[Tensor, ...], inputs: Inputs) -> Inputs:
        return maps[0] if self.at is not None else like(maps, inputs)


def blocks(function: ScoreFunction, rows: int) -> Iterator[tuple[Block, tuple[Tensor, ...]]]:
    """The batch, at most `rows` at a time, with what is explained there."""
    for start in range(0, function.batch, rows):
        stop = min(start + rows, function.batch)
        yield Block(start, stop), tuple(point[start:stop] for point in function.points)


def as_leaves(points: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Fresh tensors of the same values that gradients can be taken at."""
    return tuple(point.detach().clone().requires_grad_() for point in points)
