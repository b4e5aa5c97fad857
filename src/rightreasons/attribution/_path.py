"""Attributions that are sums over points: what they share, and how they are evaluated in chunks.

A method says which points it needs and what it keeps of each gradient (`PathSum`); everything else (guards, chunks,
graphs, engines) is here, once. Legend: B rows of the batch, b rows of a block, n draws of a row, m draws of a piece,
F features (any number of dimensions).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.core._errors import DifferentiabilityError, InputError
from rightreasons.core._function import Block, ScoreFunction
from rightreasons.core._grad import score_gradients
from rightreasons.core._guard import Model, explaining
from rightreasons.core._inputs import Inputs, like
from rightreasons.core._score import Output, Target

Sums: TypeAlias = tuple[Tensor, ...]
Points: TypeAlias = tuple[Tensor, ...]

ROWS_AT_ONCE = 512
"""Model rows in one forward pass when a call does not say `chunk`, and no graph has to be kept."""


class Evaluations(NamedTuple):
    """Model rows that ran for one explanation, over the whole batch."""

    forward: int
    backward: int


@dataclass(frozen=True, eq=False)
class Explanation:
    """Maps with what is known about them.

    Attributes:
        maps: the attribution, in the structure and shape of what is explained.
        gap: per row, f(x) - f(baseline), or f(x) - mean f(references), minus the sum of the map, before any
            projection onto completeness, in output units; None for methods that are not complete.
        standard_error: of every entry of the maps over the method's random draws; None for deterministic methods.
        outputs: the model's output at the inputs.
        evaluations: model rows that ran.
    """

    maps: Inputs
    gap: Float[Tensor, "B"] | None
    standard_error: Inputs | None
    outputs: Tensor
    evaluations: Evaluations


class Piece(NamedTuple):
    """A block of rows and a range of their draws, evaluated in one forward pass."""

    rows: slice
    draws: slice

    @property
    def block(self) -> Block:
        """The rows, each repeated once for every draw."""
        return Block(self.rows.start, self.rows.stop, self.draws.stop - self.draws.start)


@dataclass(frozen=True)
class Call:
    """What one call adds to a method's own configuration."""

    generator: torch.Generator | None = None
    training: bool = False
    baseline: float | Inputs | None = None
    reference_output: Tensor | None = None

    def __post_init__(self) -> None:
        if self.generator is not None and self.generator.device.type != "cpu":
            raise InputError(
                f"draws are made on the CPU so that they are the same on every device; got a generator on "
                f"{self.generator.device}. Pass torch.Generator().manual_seed(seed)."
            )


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
    def combine(self, sums: Sums) -> tuple[Tensor, ...]:
        """Maps from the statistics summed over all draws."""

    def diagnose(self, sums: Sums, scores: Tensor) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
        """The completeness gap and the standard errors, where the method has them; `scores` are f(x)."""
        return None, None

    def pieces(self, chunk: int | None) -> Iterator[tuple[slice, list[Piece]]]:
        """Blocks of rows, each with the pieces that cover its draws; no piece has more than `chunk` model rows."""
        batch = self.function.batch
        rows = min(batch, chunk or batch)
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
        flat = tuple(_differentiable(p.flatten(0, 1), create_graph) for p in points)
        scores = self.function.scores(flat, piece.block, parameters)
        gradients = score_gradients(scores, flat, create_graph=create_graph)
        self.gradient_rows += flat[0].shape[0]
        return self.statistics(carried, tuple(g.unflatten(0, lead) for g in gradients))

    def accumulate(
        self,
        *,
        chunk: int | None = None,
        create_graph: bool = False,
        leaves: tuple[Tensor, ...] | None = None,
    ) -> Sums:
        """The statistics summed over all draws, for all rows, in forward passes of at most `chunk` rows."""
        if chunk is None and not create_graph:
            chunk = ROWS_AT_ONCE
        blocks = []
        for _, pieces in self.pieces(chunk):
            total: Sums | None = None
            for piece in pieces:
                part = self.evaluate(piece, create_graph=create_graph, leaves=leaves)
                total = part if total is None else tuple(a + b for a, b in zip(total, part, strict=True))
            blocks.append(total)
        return (
            blocks[0] if len(blocks) == 1 else tuple(torch.cat(parts) for parts in zip(*blocks, strict=True))
        )


def _differentiable(point: Tensor, connected: bool) -> Tensor:
    """`point` as something gradients can be taken at, never touching the tensor it came from."""
    if connected and point.requires_grad:
        return point
    return point.detach().requires_grad_()


Accumulate: TypeAlias = Callable[[PathSum], Sums]


class PathAttribution(ABC):
    """A frozen value that makes a `PathSum` for each call.

    Subclasses are frozen dataclasses whose fields, `output` and `at` among them, are the method's configuration.
    """

    output: Output
    at: str | None

    @abstractmethod
    def path(self, function: ScoreFunction, call: Call) -> PathSum:
        """The points and statistics of one call; all draws are made here."""

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
        """Maps in the structure and shape of `inputs`, or, with `at`, of the named activation.

        Args:
            model: a module or callable, batch first; explained in eval mode and left as found.
            inputs: a tensor (B, *F) or a tuple of them; integers only with `at`.
            target: which output is explained: None for one output, an int, a tensor (B,) of class indices,
                a tuple or tensor (B, D) of indices into several output dimensions, or a callable on the output.
            generator: CPU generator of the draws; None advances the global one.
            create_graph: keep the graph, so that parameters and inputs get gradients from the maps.
            chunk: most model rows in one forward pass; None: 512, or all of them with `create_graph`.
            model_kwargs: passed to the model; tensors whose first dimension is B follow the rows.

        Raises:
            InputError, ShapeError, TargetError: what was passed cannot be used.
            DifferentiabilityError: the output has no gradient, or no graph can be kept here.
        """
        return self._maps(model, inputs, target, Call(generator), create_graph, chunk, model_kwargs)

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
        """Maps with completeness gap, standard error, outputs and cost; arguments as in `__call__`."""
        return self._explanation(model, inputs, target, Call(generator), chunk, model_kwargs)

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
        with explaining(model, second_order=True) as network:
            function = ScoreFunction(
                network,
                inputs,
                target,
                output=self.output,
                at=self.at,
                model_kwargs=model_kwargs,
                connected=connected,
            )
            path = self.path(function, Call(generator, training=True))
            sums = accumulate(path) if connected else path.accumulate()
            return self._in_structure(path.combine(sums), inputs)

    def _maps(
        self,
        model: Model,
        inputs: Inputs,
        target: Target,
        call: Call,
        create_graph: bool,
        chunk: int | None,
        model_kwargs: Mapping[str, Any] | None,
    ) -> Inputs:
        _check_chunk(chunk)
        if create_graph:
            _refuse_no_grad()
        with explaining(model, second_order=create_graph) as network:
            function = ScoreFunction(
                network,
                inputs,
                target,
                output=self.output,
                at=self.at,
                model_kwargs=model_kwargs,
                connected=create_graph,
            )
            path = self.path(function, call)
            maps = path.combine(path.accumulate(chunk=chunk, create_graph=create_graph))
            return self._in_structure(maps, inputs)

    def _explanation(
        self,
        model: Model,
        inputs: Inputs,
        target: Target,
        call: Call,
        chunk: int | None,
        model_kwargs: Mapping[str, Any] | None,
    ) -> Explanation:
        _check_chunk(chunk)
        with explaining(model, second_order=False) as network:
            function = ScoreFunction(
                network, inputs, target, output=self.output, at=self.at, model_kwargs=model_kwargs
            )
            path = self.path(function, call)
            sums = path.accumulate(chunk=chunk)
            whole = Block(0, function.batch)
            with torch.no_grad():
                outputs = function.outputs(function.points, whole)
                maps = path.combine(sums)
                gap, errors = path.diagnose(sums, function.scores_of(outputs, whole))
            return Explanation(
                maps=self._in_structure(maps, inputs),
                gap=gap,
                standard_error=None if errors is None else self._in_structure(errors, inputs),
                outputs=outputs,
                evaluations=Evaluations(function.evaluations, path.gradient_rows),
            )

    def _in_structure(self, maps: tuple[Tensor, ...], inputs: Inputs) -> Inputs:
        return maps[0] if self.at is not None else like(maps, inputs)

    def __repr__(self) -> str:
        """Fields that differ from their defaults; tensors as their shape."""
        shown = []
        for field in fields(self):  # pyright: ignore[reportArgumentType]
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                shown.append(f"{field.name}=<{'x'.join(map(str, value.shape))}>")
            elif isinstance(value, tuple) and any(isinstance(v, Tensor) for v in value):
                shapes = ", ".join(f"<{'x'.join(map(str, v.shape))}>" for v in value)
                shown.append(f"{field.name}=({shapes})")
            elif value != field.default:
                shown.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _refuse_no_grad() -> None:
    if torch.is_inference_mode_enabled() or not torch.is_grad_enabled():
        raise DifferentiabilityError(
            "create_graph=True inside no_grad or inference_mode: nothing done with the maps here would be recorded, "
            "so parameters would silently get no gradient. Leave the block, or drop create_graph."
        )


def _check_chunk(chunk: int | None) -> None:
    if chunk is not None and chunk < 1:
        raise InputError(f"chunk is the most model rows in one forward pass, at least 1; got {chunk}.")


def positive(name: str, value: int | None) -> None:
    """Raise an `InputError` unless `value` is None or a positive int."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InputError(f"{name} must be a positive integer; got {value!r}.")
