"""Base class of methods that sum gradients over points on a path, evaluated in chunks.

A method says which points it needs and what it keeps of each gradient (`PathSum`); everything else (guards, chunks,
graphs, engines) is here, once. Legend: B rows of the batch, b rows of a block, n draws of a row, m draws of a piece,
F features (any number of dimensions).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from rightreasons.attribution._attribution import Attribution, Call, Evaluations, Explanation, refuse_no_grad
from rightreasons.core._checked import Count
from rightreasons.core._inputs import Inputs, like
from rightreasons.core._score import Output, Target
from rightreasons.core.model._function import Block, ScoreFunction, rows_at_once
from rightreasons.core.model._grad import score_gradients
from rightreasons.core.model._guard import Model, explaining
from rightreasons.core.model._kernels import SecondOrderKernels
from rightreasons.core.model._layers import LayerChoice

Sums: TypeAlias = tuple[Tensor, ...]
Points: TypeAlias = tuple[Tensor, ...]


class Piece(NamedTuple):
    """A block of rows and a range of their draws, evaluated in one forward pass."""

    rows: slice
    draws: slice

    @property
    def block(self) -> Block:
        """The rows, each repeated once for every draw."""
        return Block(self.rows.start, self.rows.stop, self.draws.stop - self.draws.start)


class PathSum(ABC):
    """One call of a method: additive statistics over `draws` points of each row, and the maps made of their sums.

    Attributes:
        function: from points to scores.
        draws: points for each row.
        leaves: the tensors that points are made of and a gradient may have to reach: what is explained, first, then
            activations of baselines or references.
    """

    def __init__(self, function: ScoreFunction, draws: int, leaves: tuple[Tensor, ...]) -> None:
        self.function = function
        self.draws = draws
        self.leaves = leaves
        self.gradient_rows = 0

    @abstractmethod
    def points(self, leaves: tuple[Tensor, ...], piece: Piece) -> tuple[Points, Any]:
        """The points of a piece, (b, m, *F) for each input, and whatever `statistics` needs again."""

    @abstractmethod
    def statistics(self, carried: Any, gradients: Points) -> Sums:
        """What is kept of a piece: tensors with b rows, summed over its m draws."""

    @abstractmethod
    def combine(self, sums: Sums, rows: slice) -> tuple[Tensor, ...]:
        """Maps of some rows from their statistics summed over all draws."""

    def diagnose(
        self, sums: Sums, scores: Tensor, rows: slice
    ) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
        """The completeness gap and the standard errors of some rows, where the method has them; `scores` are f(x)."""
        return None, None

    @property
    def most_rows(self) -> int:
        """Rows whose draws may be in work at the same time; fewer than the batch where `combine` needs memory."""
        return self.function.batch

    def pieces(self, chunk: int | None) -> Iterator[tuple[slice, list[Piece]]]:
        """Blocks of rows, each with the pieces that cover its draws; no piece has more than `chunk` model rows."""
        batch = self.function.batch
        rows = min(self.most_rows, chunk or batch)
        draws = self.draws if chunk is None else min(self.draws, max(1, chunk // rows))
        for start in range(0, batch, rows):
            block = slice(start, min(start + rows, batch))
            yield (
                block,
                [Piece(block, slice(j, min(j + draws, self.draws))) for j in range(0, self.draws, draws)],
            )

    def evaluate(
        self,
        piece: Piece,
        *,
        create_graph: bool,
        leaves: tuple[Tensor, ...] | None = None,
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Sums:
        """The statistics of one piece."""
        points, carried = self.points(self.leaves if leaves is None else leaves, piece)
        lead = points[0].shape[:2]
        flat, scores, gradients = gradients_at(
            self.function,
            tuple(p.flatten(0, 1) for p in points),
            piece.block,
            create_graph=create_graph,
            parameters=parameters,
        )
        self.gradient_rows += flat[0].shape[0]
        self.observe(flat, scores, gradients)
        return self.statistics(carried, tuple(g.unflatten(0, lead) for g in gradients))

    def observe(self, points: Points, scores: Tensor, gradients: Points) -> None:
        """Called with every forward pass: may raise on what it shows."""
        return

    def blocks(
        self,
        *,
        chunk: Count | None = None,
        create_graph: bool = False,
        leaves: tuple[Tensor, ...] | None = None,
    ) -> Iterator[tuple[slice, Sums]]:
        """Block by block, rows and their statistics summed over all draws; at most `chunk` model rows at a time."""
        if chunk is None and not create_graph:
            chunk = rows_at_once(self.function.points)
        for rows, pieces in self.pieces(chunk):
            total: Sums = ()
            for piece in pieces:
                part = self.evaluate(piece, create_graph=create_graph, leaves=leaves)
                total = tuple(a + b for a, b in zip(total, part, strict=True)) if total else part
            yield rows, total

    def accumulate(
        self,
        *,
        chunk: Count | None = None,
        create_graph: bool = False,
        leaves: tuple[Tensor, ...] | None = None,
    ) -> Sums:
        """The statistics of all rows, summed over all draws."""
        return joined(
            [sums for _, sums in self.blocks(chunk=chunk, create_graph=create_graph, leaves=leaves)]
        )

    def maps(self, *, chunk: int | None, create_graph: bool) -> tuple[Tensor, ...]:
        """Maps of all rows, block by block."""
        parts = []
        for rows, sums in self.blocks(chunk=chunk, create_graph=create_graph):
            with torch.set_grad_enabled(create_graph):
                parts.append(self.combine(sums, rows))
        return joined(parts)


def joined(parts: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Blocks of rows one below the other."""
    return parts[0] if len(parts) == 1 else tuple(torch.cat(rows) for rows in zip(*parts, strict=True))


def gradients_at(
    function: ScoreFunction,
    points: Points,
    block: Block,
    *,
    create_graph: bool,
    parameters: Mapping[str, Tensor] | None = None,
) -> tuple[Points, Tensor, Points]:
    """Points that gradients can be taken at, the scores there and their gradients, in one forward and backward pass.

    Args:
        function: from points to scores.
        points: rows of `block`; never touched.
        block: which rows of the batch they stand for.
        create_graph: keep the graph, of the points too if they have one.
        parameters: in place of the model's own.
    """
    leaves = tuple(p if create_graph and p.requires_grad else p.detach().requires_grad_() for p in points)
    with SecondOrderKernels() if create_graph else nullcontext():
        scores = function.scores(leaves, block, parameters)
    return leaves, scores, score_gradients(scores, leaves, create_graph=create_graph)


Accumulate: TypeAlias = Callable[[PathSum], Sums]


class PathAttribution(Attribution):
    """A frozen value that makes a `PathSum` for each call.

    Subclasses are frozen dataclasses whose fields, `output` and `at` among them, are the method's configuration.
    """

    output: Output
    at: str | None

    @property
    def inner(self) -> bool:
        """Whether an activation is explained, not the inputs."""
        return self.at is not None

    @property
    def where(self) -> str | LayerChoice | None:
        """The layer whose activation is explained: its name, or how it is chosen among those that run."""
        return self.at

    @abstractmethod
    def path(self, function: ScoreFunction, call: Call) -> PathSum:
        """The points and statistics of one call; all draws are made here."""

    def training_maps(
        self,
        model: Model,
        inputs: Inputs,
        target: Target,
        *,
        accumulate: Accumulate,
        generator: torch.Generator | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Inputs:
        """Maps with the draws a penalty wants, and a graph, unless gradients are off where this is called.

        Args:
            model: as in `__call__`, like `inputs`, `target`, `generator` and `model_kwargs`.
            inputs: what is explained.
            target: which output.
            accumulate: an engine's way to sum statistics over draws with a graph.
            generator: CPU generator of the draws.
            model_kwargs: passed to the model.
        """
        connected = torch.is_grad_enabled()
        call = Call(generator, create_graph=connected, model_kwargs=model_kwargs, training=True)
        with explaining(model, second_order=True) as network:
            function = self._function(network, inputs, target, call)
            path = self.path(function, call)
            sums = accumulate(path) if connected else path.accumulate()
            with torch.set_grad_enabled(connected):
                return self._in_structure(path.combine(sums, slice(0, function.batch)), inputs)

    def _maps(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Inputs:
        if call.create_graph:
            refuse_no_grad()
        with explaining(model, second_order=call.create_graph, hooks=self.inner) as network:
            path = self.path(self._function(network, inputs, target, call), call)
            return self._in_structure(path.maps(chunk=call.chunk, create_graph=call.create_graph), inputs)

    def _explanation(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Explanation:
        with explaining(model, second_order=False, hooks=self.inner) as network:
            function = self._function(network, inputs, target, call)
            path = self.path(function, call)
            with torch.no_grad():
                outputs = function.outputs_of_batch(function.points)
                scores = function.scores_of(outputs, Block(0, function.batch))
            maps, gap, errors = _diagnosed(path, scores, call.chunk)
            return Explanation(
                maps=self._in_structure(maps, inputs),
                gap=gap,
                standard_error=None if errors is None else self._in_structure(errors, inputs),
                outputs=outputs,
                evaluations=Evaluations(function.evaluations, path.gradient_rows),
            )

    def _function(self, network: Model, inputs: Inputs, target: Target, call: Call) -> ScoreFunction:
        return ScoreFunction(
            network,
            inputs,
            target,
            output=self.output,
            at=self.where,
            model_kwargs=call.model_kwargs,
            connected=call.create_graph,
            chunk=call.chunk,
        )

    def _in_structure(self, maps: tuple[Tensor, ...], inputs: Inputs) -> Inputs:
        return maps[0] if self.inner else like(maps, inputs)


def _diagnosed(
    path: PathSum, scores: Tensor, chunk: int | None
) -> tuple[tuple[Tensor, ...], Tensor | None, tuple[Tensor, ...] | None]:
    """Maps, completeness gap and standard errors of all rows, block by block."""
    maps, gaps, errors = [], [], []
    for rows, sums in path.blocks(chunk=chunk):
        with torch.no_grad():
            maps.append(path.combine(sums, rows))
            gap, error = path.diagnose(sums, scores[rows], rows)
            gaps += [] if gap is None else [gap]
            errors += [] if error is None else [error]
    return joined(maps), torch.cat(gaps) if gaps else None, joined(errors) if errors else None
