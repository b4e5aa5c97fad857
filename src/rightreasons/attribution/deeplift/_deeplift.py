"""DeepLIFT and DeepLIFT SHAP with the rescale rule."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, final

import torch
from torch import Tensor

from rightreasons.attribution._attribution import Advice, Axioms
from rightreasons.attribution._blockwise import Blockwise, Part, as_leaves, blocks
from rightreasons.attribution.deeplift._rescale import RESCALED, AtBaseline, Rescaled
from rightreasons.attribution.path._references import baselines
from rightreasons.core._checked import checked
from rightreasons.core._errors import DifferentiabilityError, InputError, ShapeError
from rightreasons.core._inputs import Inputs, check_inputs, matching_rows, row_totals
from rightreasons.core.model._autograd_graph import Operation, is_linear, operations
from rightreasons.core.model._function import Block, ScoreFunction
from rightreasons.core.model._grad import nan_rows, score_gradients

Contribution: TypeAlias = Callable[
    [tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]], tuple[Tensor, ...]
]
"""(multipliers, inputs, baselines), each of every input and (b, *F) -> maps of the same shapes."""

_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-2}
"""Of a gap against the size of the terms it is the sum of."""


def _times_difference(
    multipliers: tuple[Tensor, ...], points: tuple[Tensor, ...], starts: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    return tuple(m * (x - r) for m, x, r in zip(multipliers, points, starts, strict=True))


def _multiplied(
    function: ScoreFunction,
    points: tuple[Tensor, ...],
    starts: tuple[Tensor, ...],
    block: Block,
    contribution: Contribution | None,
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Contributions of every input to the difference of the scores, and what is missing to it."""
    with AtBaseline() as baseline, torch.no_grad():
        before = function.scores(starts, block)
    leaves = as_leaves(points)
    with Rescaled(baseline.seen, leaves):
        scores = function.scores(leaves, block)
    for operation in operations(scores, leaves):
        _refuse(operation)
    multipliers = score_gradients(scores, leaves)
    maps = _times_difference(multipliers, points, starts)
    size = row_totals([part.abs() for part in maps])
    gap = scores.detach() - before - row_totals(maps)
    lost = before.isnan()  # at the baseline; at the input the multipliers are NaN
    if bool(lost.any()):
        maps = tuple(nan_rows(part, lost) for part in maps)
    _check_complete(gap, size + scores.detach().abs() + before.abs(), function.precision)
    if contribution is None:
        return maps, gap
    maps = contribution(multipliers, points, starts)
    if not isinstance(maps, tuple) or [part.shape for part in maps] != [part.shape for part in points]:
        raise ShapeError(
            "contribution maps (multipliers, inputs, baselines), tuples of one tensor for each input, to a tuple of "
            f"tensors of the inputs' shapes {[tuple(part.shape) for part in points]}; got {_described(maps)}."
        )
    return maps, scores.detach() - before - row_totals(maps)


def _described(maps: object) -> str:
    if isinstance(maps, tuple) and all(isinstance(part, Tensor) for part in maps):
        return str([tuple(part.shape) for part in maps])
    return type(maps).__name__


def _refuse(operation: Operation) -> None:
    if is_linear(operation) or operation.name in RESCALED:
        return
    raise DifferentiabilityError(
        f"DeepLift's rescale rule is for functions of one number, called as such; {operation.kind} ({operation.name}) "
        "is not one, or runs out of sight (products, softmax and attention, normalisation over features, recurrent "
        "kernels, custom functions). Explain a layer behind it, or use rr.IntegratedGradients(), which needs no rules."
    )


def _check_complete(gap: Tensor, size: Tensor, dtype: torch.dtype) -> None:
    """Rescale is complete wherever it applies, so a gap tells of an operation that autograd did not record."""
    if bool((gap.abs() > _TOLERANCE.get(dtype, 0.2) * size).any()):
        raise DifferentiabilityError(
            f"DeepLift's maps are off completeness by up to {float(gap.abs().max()):.3g}, so the model does something "
            "that depends on its input without a gradient (a mask x > 0, an index, detach). "
            "Use rr.IntegratedGradients()."
        )


@final
@checked
@dataclass(frozen=True, repr=False, eq=False)
class DeepLift(Blockwise):
    """What each input contributes to the difference from a baseline, by the rescale rule [shrikumar2017].

        phi_i = (x_i - r_i) * m_i,  m the product of slopes (g(z) - g(z')) / (z - z') on the way, summed over ways

    with z at x and z' at the baseline r. Complete: sum_i phi_i = f(x) - f(r), which is verified in every call.
    With `references`, the mean over all of them (DeepLIFT SHAP [lundberg2017]). Max-pooling shares its change between
    the winners at x and at the baseline. Products of two inputs, softmax, attention and normalisation over features
    have no rescale rule and are refused. Of a model that ends in a softmax explain the logits below it: pass the model
    without its head, such as `model[:-1]`; captum's map through the softmax is no sum of rescaled contributions.
    Cost: two forward passes and one backward pass, for each reference.

    Args:
        baseline: a number, or a tensor of shape (*F), (1, *F) or (B, *F), one for each input; with `at`, model inputs.
            None: 0, or the references.
        references: (R, *F), one for each input: maps are means over these baselines.
        at: name of the layer whose activation is explained instead of the input.
        contribution: (multipliers m, inputs x, baselines r) -> maps, each a tuple with one tensor (b, *F) for each
            input, in place of m * (x - r); `lambda m, x, r: m` gives the multipliers themselves. Must work row by row.

    Raises:
        InputError, ShapeError: baseline or references do not fit; both are given; `contribution` gives other shapes.
        DifferentiabilityError: with `create_graph=True`; the model has an operation without a rule; its way depends
            on the data; or it turns out that something in it has no gradient.

    Example:
        >>> import torch, rightreasons as rr
        >>> rr.DeepLift()(lambda x: (x - 1).relu().sum(1), torch.tensor([[4.0, 0.5]]))
        tensor([[3., 0.]])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=True,
        sensitive=True,
        dummy=True,
        implementation_invariant=False,
        linear=True,
        differentiable=False,
        needs_baseline=True,
        note="Models of linear layers, functions of one number and max-pooling; others are refused.",
    )
    advice: ClassVar[Advice] = Advice(
        "you want the speed of a gradient and a map that adds up",
        "the model has attention, recurrence or products, or has to be trained through",
    )
    instead: ClassVar[str] = "Use rr.IntegratedGradients() or rr.ExpectedGradients(references) in training."

    baseline: int | float | Inputs | None = None
    references: Inputs | None = None
    at: str | None = None
    contribution: Contribution | None = None

    def __post_init__(self) -> None:
        if self.baseline is not None and self.references is not None:
            raise InputError("DeepLift takes a baseline or references (whose maps are averaged), not both.")

    def pieces(self, function: ScoreFunction, chunk: int) -> Iterator[Part]:
        if self.references is not None:
            references = self._references(function)
            for block, points in blocks(function, chunk):
                yield _mean(function, block, points, references, chunk, self.contribution)
            return
        base = baselines(function, 0.0 if self.baseline is None else self.baseline)
        for block, points in blocks(function, chunk):
            starts = tuple(b[block.start : block.stop] for b in base)
            maps, gap = _multiplied(function, points, starts, block, self.contribution)
            yield Part(maps, len(points[0]), gap)

    def _references(self, function: ScoreFunction) -> tuple[Tensor, ...]:
        given = self.references if self.references is not None else ()
        references = matching_rows(given, function.inputs, what="references", batched=True)
        check_inputs(references, integers_allowed=True, what="references")
        return function.activations(references)


def _mean(
    function: ScoreFunction,
    block: Block,
    points: tuple[Tensor, ...],
    references: tuple[Tensor, ...],
    chunk: int,
    contribution: Contribution | None,
) -> Part:
    """The mean over references of the maps of a block."""
    count, rows = references[0].shape[0], block.stop - block.start
    at_once = max(1, chunk // rows)
    parts = []
    for start in range(0, count, at_once):
        some = tuple(r[start : start + at_once] for r in references)
        draws = some[0].shape[0]
        wide = tuple(p.repeat_interleave(draws, 0) for p in points)
        starts = tuple(r.repeat(rows, *(1,) * (r.dim() - 1)) for r in some)
        wide_block = Block(block.start, block.stop, draws)
        maps, gap = _multiplied(function, wide, starts, wide_block, contribution)
        parts.append([each.unflatten(0, (rows, draws)).sum(1) for each in (*maps, gap)])
    *maps, gap = (torch.stack(each).sum(0) / count for each in zip(*parts, strict=True))
    return Part(tuple(maps), rows * count, gap)
