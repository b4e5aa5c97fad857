"""Expected gradients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor

from rightreasons.attribution._attribution import Advice, Axioms, Call, Explanation
from rightreasons.attribution.path._estimators import (
    Complete,
    ControlVariate,
    Draws,
    Estimator,
    Plan,
    Stratified,
    draw,
)
from rightreasons.attribution.path._kriging import Kriging
from rightreasons.attribution.path._path import (
    PathAttribution,
    PathSum,
    Piece,
    Points,
    Sums,
)
from rightreasons.attribution.path._references import Rows, other_rows, subset
from rightreasons.core._checked import Count, checked
from rightreasons.core._distributed import rows_of_all_ranks
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._inputs import Inputs, as_tuple, matching_rows
from rightreasons.core._score import Output, Target
from rightreasons.core.model._function import Block, ScoreFunction, rows_at_once
from rightreasons.core.model._guard import Model, explaining

SAMPLES_TO_EXPLAIN = 100
SAMPLES_TO_TRAIN = 1
FREE_FORWARDS = 6
"""References run forward for completeness without being asked, at most this many for each draw."""
INTERPOLATED_REFERENCES = 256
"""With more references than this, interpolation onto all paths costs more than it saves."""
INTERPOLATED_SAMPLES = 512
"""The same of samples: their matrix takes the cube of them to solve, for each row."""
KERNEL_VALUES = 2**22
"""Numbers in the interpolation's matrices at the same time, which bounds the rows in work."""


class _ExpectedSum(PathSum):
    """Leaves: x of every input, then the references where a gradient may have to reach them (`at`, "batch").

    Args:
        references: (R, *F) for each input.
        indices: which reference each draw uses: (n,) shared by all rows, or (B, n).
        alphas: how far from the reference towards x each draw lies; same shape.
        reference_output: model outputs at all references, where completeness is wanted.
    """

    def __init__(
        self,
        function: ScoreFunction,
        estimator: Estimator,
        references: tuple[Tensor, ...],
        indices: Tensor,
        alphas: Tensor,
        reference_output: Tensor | None,
    ) -> None:
        inner = references if any(r.requires_grad for r in references) else ()
        super().__init__(function, draws=indices.shape[-1], leaves=(*function.points, *inner))
        self.estimator = estimator
        self.references = references
        self.indices = indices
        self.alphas = alphas
        self.reference_output = reference_output
        self._latest: tuple[tuple[Tensor, ...], slice, Plan] | None = None

    @property
    def most_rows(self) -> int:
        if not isinstance(self.estimator, Kriging):
            return self.function.batch
        count = self.references[0].shape[0]
        return max(1, min(self.function.batch, KERNEL_VALUES // (count + self.draws) ** 2))

    def _plan(self, leaves: tuple[Tensor, ...], rows: slice) -> Plan:
        """The estimator's arithmetic for some rows; without a graph it is kept while the same rows are in work."""
        if self._latest is not None and self._latest[0] is leaves and self._latest[1] == rows:
            return self._latest[2]
        count = len(self.function.points)
        per_row = self.indices.dim() > 1
        xs, references = leaves[:count], leaves[count:] or self.references
        draws = Draws(
            tuple(x[rows] for x in xs),
            tuple(r.to(x) for r, x in zip(references, xs, strict=True)),
            self.indices[rows] if per_row else self.indices,
            self.alphas[rows] if per_row else self.alphas,
        )
        plan = self.estimator.plan(draws)
        if not any(leaf.requires_grad for leaf in leaves):
            self._latest = (leaves, rows, plan)
        return plan

    def points(self, leaves: tuple[Tensor, ...], piece: Piece) -> tuple[Points, Any]:
        plan = self._plan(leaves, piece.rows)
        return plan.draws.points(piece.draws), (plan, piece.draws)

    def statistics(self, carried: Any, gradients: Points) -> Sums:
        plan, draws = carried
        return plan.statistics(gradients, draws)

    def combine(self, sums: Sums, rows: slice) -> tuple[Tensor, ...]:
        differences = None
        if self.estimator.needs_completeness and self.reference_output is not None:
            block = Block(rows.start, rows.stop)
            scores = self.function.scores(tuple(x[rows] for x in self.function.points), block)
            differences = self._differences(scores, rows)
        return self._plan(self.leaves, rows).combine(sums, differences)

    def diagnose(
        self, sums: Sums, scores: Tensor, rows: slice
    ) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
        estimate = self._plan(self.leaves, rows).estimate(sums, self._differences(scores, rows))
        return estimate.gap, estimate.standard_errors

    def _differences(self, scores: Tensor, rows: slice) -> Tensor | None:
        """f(x) - f(r) for some rows and every reference, (b, R)."""
        if self.reference_output is None:
            return None
        score = self.function.score.per_row(lambda target: target[rows])
        return scores.unsqueeze(1) - score.at_each(self.reference_output, scores.shape[0])


@final
@checked
@dataclass(frozen=True, repr=False, eq=False)
class ExpectedGradients(PathAttribution):
    """Integrated gradients averaged over a distribution of baselines [erion2021].

        phi_i(x) = E_{r ~ references, a ~ U(0, 1)} [ (x_i - r_i) * d f(r + a (x - r)) / d x_i ]

    Complete in expectation: sum_i phi_i = f(x) - mean_r f(r). Cost: `samples` forward and backward passes a row.

    What is unset depends on the use. *Explaining*: 100 samples; all rows share one set of draws, so a row's map does
    not depend on its batch; where f at the references is given (`reference_output=`) or cheap (at most 6 references a
    sample), the estimator is `Kriging()` up to 256 references and 512 samples and `Complete()`, from the same draws,
    beyond; otherwise `ControlVariate()`.
    *Held by a `Penalty`*: one sample for each row, every row its own, `Stratified()`. `|phi|` of few samples is biased
    upward (by 42 % for one sample of a linear model on normal data), which every prior on absolute maps inherits.

    Args:
        references: (R, *F), a tuple of them, a map-style data set of rows (or of tuples that start with one), or
            "batch": each row's references are the other rows of its batch (training only). With `at`, model inputs.
        samples: draws for each row.
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.
        at: name of the layer whose activation is explained instead of the input.
        draws: "shared" by all rows, or "per_row".
        estimator: `Independent()`, `Stratified()`, `ControlVariate()`, `Complete()` or `Kriging()`.
        max_references: more references than this are subsampled once, with a fixed seed; that subset then is the
            distribution.

    Raises:
        InputError: no references, bad numbers, NaN in the references.
        ShapeError: references do not have the shape of the inputs.

    Example:
        >>> import torch, rightreasons as rr
        >>> references = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
        >>> method = rr.ExpectedGradients(references, samples=8)
        >>> method(lambda x: 3 * x[:, 0] - x[:, 1], torch.tensor([[5.0, 1.0]])).round(decimals=4)
        tensor([[12., -1.]])
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=True,
        sensitive=True,
        dummy=True,
        implementation_invariant=True,
        linear=True,
        differentiable=True,
        needs_baseline=True,
        random=True,
        note="Complete in expectation, exactly with Kriging() and Complete(); linear except with Complete().",
    )
    advice: ClassVar[Advice] = Advice(
        "the question is what differs from typical data, or you train with a penalty",
        "you have no references from the data",
    )

    references: Inputs | Rows | Literal["batch"]
    samples: Count | None = None
    output: Output = "logit"
    at: str | None = None
    draws: Literal["shared", "per_row"] | None = None
    estimator: Estimator | None = None
    max_references: Count = 10_000

    def __post_init__(self) -> None:
        if self.draws not in (None, "shared", "per_row"):
            raise InputError(f"draws must be 'shared' or 'per_row'; got {self.draws!r}.")
        if self.estimator is not None and not isinstance(self.estimator, Estimator):
            raise InputError(
                f"estimator must be an estimator such as rr.Stratified(); got {self.estimator!r}."
            )
        if isinstance(self.references, str):
            self._check_batch_references()
        else:
            object.__setattr__(self, "references", subset(self.references, self.max_references))

    def _check_batch_references(self) -> None:
        if self.references != "batch":
            raise InputError(f"references must be tensors, a data set or 'batch'; got {self.references!r}.")
        if self.draws == "shared" or (self.estimator is not None and self.estimator.uses_all_references):
            raise InputError(
                "references='batch' gives every row its own references, so draws are 'per_row' and the estimator "
                "is Independent() or Stratified()."
            )

    def path(self, function: ScoreFunction, call: Call) -> PathSum:
        shared = self.draws == "shared" if self.draws else not call.training and self.references != "batch"
        samples = self.samples or (SAMPLES_TO_TRAIN if call.training else SAMPLES_TO_EXPLAIN)
        rows = None if shared else function.batch
        total, mine = rows_of_all_ranks(function.batch) if rows else (None, slice(None))
        if isinstance(self.references, str):
            estimator = self.estimator or Stratified()
            indices = other_rows(function.batch, samples, call.generator)
            _, alphas = draw(function.batch, samples, estimator, call.generator, rows=rows)
            return _ExpectedSum(
                function, estimator, *_needed(function, function.inputs, indices, False), alphas, None
            )
        references = matching_rows(self._tensors(), function.inputs, what="references", batched=True)
        references = tuple(
            r.detach() for r in references
        )  # data; those of the batch are the inputs themselves
        count = references[0].shape[0]
        estimator = self.estimator or self._best(function, call, samples, count)
        indices, alphas = (d[mine] for d in draw(count, samples, estimator, call.generator, rows=total))
        references, indices = _needed(function, references, indices, estimator.uses_all_references)
        outputs = self._reference_output(function, references, call, estimator, samples, count)
        return _ExpectedSum(function, estimator, references, indices, alphas, outputs)

    def _tensors(self) -> Inputs:
        if isinstance(self.references, Tensor | tuple):
            return self.references
        raise InputError(f"references must be tensors; got {type(self.references).__name__}.")

    def _best(self, function: ScoreFunction, call: Call, samples: int, count: int) -> Estimator:
        if call.training:
            return Stratified()
        shared_ends = function.at is None and not function.per_row_kwargs
        known = call.reference_output is not None or (shared_ends and count <= FREE_FORWARDS * samples)
        if not known:
            return ControlVariate()
        few = count <= INTERPOLATED_REFERENCES and samples <= INTERPOLATED_SAMPLES
        return Kriging() if few else Complete()

    def _reference_output(
        self,
        function: ScoreFunction,
        references: tuple[Tensor, ...],
        call: Call,
        estimator: Estimator,
        samples: int,
        count: int,
    ) -> Tensor | None:
        given = call.reference_output
        if given is not None:
            if given.dim() == 0 or given.shape[0] != count:
                raise ShapeError(
                    f"reference_output has shape {tuple(given.shape)} for {count} references: make it with "
                    "rr.reference_output(model, method), which uses the method's own references."
                )
            return given
        if not estimator.needs_completeness:
            return None
        if function.at is not None or function.per_row_kwargs:
            if isinstance(estimator, Kriging):  # it interpolates all the same, and leaves the gap
                return None
            raise InputError(
                "Complete() needs f at the references, which here differs from row to row (at= or per-row "
                "model_kwargs). Use ControlVariate(), or pass reference_output= if it does not."
            )
        return _outputs_at(function, references)

    def __call__(
        self,
        model: Model,
        inputs: Inputs,
        target: Target = None,
        *,
        reference_output: Tensor | None = None,
        generator: torch.Generator | None = None,
        create_graph: bool = False,
        chunk: Count | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Inputs:
        """As `PathAttribution.__call__`; `reference_output` is made by `rr.reference_output(model, method)`."""
        call = Call(generator, create_graph, chunk, model_kwargs, reference_output=reference_output)
        return self._maps(model, inputs, target, call)

    def explain(
        self,
        model: Model,
        inputs: Inputs,
        target: Target = None,
        *,
        reference_output: Tensor | None = None,
        generator: torch.Generator | None = None,
        chunk: Count | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Explanation:
        """As `PathAttribution.explain`, with standard errors, and the gap where f at the references is known."""
        call = Call(generator, chunk=chunk, model_kwargs=model_kwargs, reference_output=reference_output)
        return self._explanation(model, inputs, target, call)


@checked
def reference_output(
    model: Model, method: ExpectedGradients, *, model_kwargs: Mapping[str, Any] | None = None
) -> Tensor:
    """The model's outputs at all references of `method`, to be passed to its calls as `reference_output=`.

    Computed once for a model, it makes every later map complete at no further cost. Stale after a training step.

    Cost: one forward pass for each reference, in chunks (and one to the layer, with `at`).

    Args:
        model: as the method will be called with.
        method: holds the references.
        model_kwargs: passed to the model; as for an attribution, with R references in place of B rows.

    Returns:
        (R, *outputs), without a graph.
    """
    references = as_tuple(method._tensors())
    with explaining(model, second_order=False, hooks=method.at is not None) as network, torch.no_grad():
        function = ScoreFunction(network, references, None, at=method.at, model_kwargs=model_kwargs)
        return function.outputs_of_batch(function.points)


def _outputs_at(function: ScoreFunction, references: tuple[Tensor, ...]) -> Tensor:
    """Model outputs at references, connected to the parameters if the function is."""
    with torch.set_grad_enabled(function.connected):
        outputs = []
        rows = min(rows_at_once(references), function.chunk)
        for start in range(0, references[0].shape[0], rows):
            part = tuple(r[start : start + rows] for r in references)
            outputs.append(function.outputs(part, Block(0, 1, part[0].shape[0])))
        return torch.cat(outputs)


def _needed(
    function: ScoreFunction, references: tuple[Tensor, ...], indices: Tensor, all_of_them: bool
) -> tuple[tuple[Tensor, ...], Tensor]:
    """The references as points, and `indices` into them; with `at` only those drawn are run, if that is enough."""
    if function.at is None:
        return references, indices
    if not all_of_them:
        drawn, indices = torch.unique(indices, return_inverse=True)
        references = tuple(r[drawn.to(r.device)] for r in references)
    return function.activations(references), indices
