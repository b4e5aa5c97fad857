"""Attributions with a backward pass of their own rules: what they share."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from rightreasons.attribution._attribution import Attribution, Evaluations, Explanation, check_chunk
from rightreasons.attribution._path import Call
from rightreasons.core._errors import DifferentiabilityError
from rightreasons.core._function import ROWS_AT_ONCE, Block, ScoreFunction
from rightreasons.core._guard import Model, explaining
from rightreasons.core._inputs import Inputs, like
from rightreasons.core._score import Output, Target


class ModifiedBackward(Attribution):
    """A value whose maps come from one forward pass and a backward pass that is not the derivative.

    Subclasses are frozen dataclasses. Their maps have no derivative worth having: what is not differentiated cannot be
    differentiated again, so `create_graph=True` is refused with what to use `instead`.
    """

    output: Output
    at: str | None
    instead: ClassVar[str]

    @abstractmethod
    def block_maps(
        self, function: ScoreFunction, points: tuple[Tensor, ...], block: Block
    ) -> tuple[tuple[Tensor, ...], int]:
        """Maps of the rows of `block`, whose inputs (or activations) are `points`, and the model rows run backward."""

    def gap(self, function: ScoreFunction, maps: tuple[Tensor, ...], scores: Tensor) -> Tensor | None:
        """What the maps, f(x) being `scores`, lack to be complete, (B,); None where no completeness is claimed."""
        return None

    def rows_at_once(self, chunk: int) -> int:
        """Rows explained in one forward pass of at most `chunk` model rows."""
        return chunk

    def __call__(
        self,
        model: Model,
        inputs: Inputs,
        target: Target = None,
        *,
        generator: torch.Generator | None = None,
        create_graph: bool = False,
        chunk: int | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Inputs:
        """As `Attribution.__call__`; `create_graph=True` is refused."""
        if create_graph:
            refuse_graph(self, self.instead)
        with explaining(model, second_order=False, hooks=True) as network:
            function = self._function(network, inputs, target, generator, chunk, model_kwargs)
            maps, _ = self._maps(function, chunk)
            return self._in_structure(maps, inputs)

    def explain(
        self,
        model: Model,
        inputs: Inputs,
        target: Target = None,
        *,
        generator: torch.Generator | None = None,
        chunk: int | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Explanation:
        """As `Attribution.explain`."""
        with explaining(model, second_order=False, hooks=True) as network:
            function = self._function(network, inputs, target, generator, chunk, model_kwargs)
            maps, backward = self._maps(function, chunk)
            with torch.no_grad():
                outputs = function.outputs_of_batch(function.points)
                gap = self.gap(function, maps, function.scores_of(outputs, Block(0, function.batch)))
            return Explanation(
                maps=self._in_structure(maps, inputs),
                gap=gap,
                standard_error=None,
                outputs=outputs,
                evaluations=Evaluations(function.evaluations, backward),
            )

    def _function(
        self,
        network: Model,
        inputs: Inputs,
        target: Target,
        generator: torch.Generator | None,
        chunk: int | None,
        model_kwargs: Mapping[str, Any] | None,
    ) -> ScoreFunction:
        check_chunk(chunk)
        Call(generator)  # checks it: methods without draws accept what the others do
        return ScoreFunction(
            network,
            inputs,
            target,
            output=self.output,
            at=self.at,
            model_kwargs=model_kwargs,
            chunk=chunk or ROWS_AT_ONCE,
        )

    def _maps(self, function: ScoreFunction, chunk: int | None) -> tuple[tuple[Tensor, ...], int]:
        parts, backward = [], 0
        for block in _blocks(function.batch, self.rows_at_once(chunk or ROWS_AT_ONCE)):
            points = tuple(p[block.start : block.stop] for p in function.points)
            maps, rows = self.block_maps(function, points, block)
            parts.append(maps)
            backward += rows
        joined = parts[0] if len(parts) == 1 else tuple(torch.cat(each) for each in zip(*parts, strict=True))
        return joined, backward

    def _in_structure(self, maps: tuple[Tensor, ...], inputs: Inputs) -> Inputs:
        return maps[0] if self.at is not None else like(maps, inputs)


def _blocks(batch: int, rows: int) -> Iterator[Block]:
    for start in range(0, batch, rows):
        yield Block(start, min(start + rows, batch))


def as_leaves(points: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Fresh tensors of the same values that gradients can be taken at."""
    return tuple(point.detach().clone().requires_grad_() for point in points)


def refuse_graph(method: Attribution, instead: str) -> None:
    """Raise the error of methods that cannot be trained through."""
    raise DifferentiabilityError(
        f"create_graph=True: {type(method).__name__} is not differentiable, so a penalty on its maps would train "
        f"nothing, or the wrong thing. {instead}"
    )
