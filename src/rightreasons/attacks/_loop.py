"""Projected gradient ascent shared by all attacks on attributions; each attack adds its objective.

Legend: B rows of the batch, R restarts, N = rows x restarts still searched, F features, S positions of a map.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from rightreasons.attacks._ball import Ball, Search, row_generators
from rightreasons.attacks._judge import Judge
from rightreasons.attacks._labels import Counter, Labels, Rows, first_outputs
from rightreasons.attacks._result import AttackEvaluations, AttributionAttackResult, Status
from rightreasons.attacks._surrogate import Smoothing, Softplus, surrogate
from rightreasons.core._checked import Count, checked
from rightreasons.core._errors import DifferentiabilityError, InputError
from rightreasons.core.model._grad import score_gradients
from rightreasons.core.model._guard import Model, explaining
from rightreasons.core.model._keywords import keywords
from rightreasons.metrics import Reduce, channel_sum

Rowwise: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def magnitude(maps: Float[Tensor, "N *F"]) -> Float[Tensor, "N *S"]:
    """The sum over channels of absolute values, and of maps without channels the absolute value."""
    return channel_sum(maps).abs()


class Goal(NamedTuple):
    """An attack, once the clean maps are known. Both functions take maps (N, *F) and which row each belongs to (N,).

    Attributes:
        climb: what the search ascends, on maps of the surrogate, with a graph; None: steps in random directions.
        measure: what counts, on maps of the true model, in natural units.
        reached: a value of the measure that cannot be passed: rows that have it are done. None: there is none.
    """

    climb: Rowwise | None
    measure: Rowwise
    reached: float | None = None


@checked
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class AttributionAttack(Search, ABC):
    """What all attacks on attributions share besides the ball: the surrogate, the judging and the reduction.

    Args:
        surrogate: how ReLUs are smoothed where directions are computed; None: not at all. The default sharpens from
            far to near, which is stronger than any constant sharpness (experiments/kamath2024/attack-strength).
        judge_every: the true model is consulted after every so many steps, and after the last.
        repair: a step from where the label is lost goes back towards it, along the margin of the true model.
            Published attacks climb on, and lose most of their iterates.
        reduce: maps to one value for each position, as in `rr.metrics`; None takes them as they are.
    """

    lower_is_stronger: ClassVar[bool] = True

    surrogate: Softplus | None = Softplus(beta=1.0, anneal_to=100.0)  # noqa: RUF009  (a frozen value)
    judge_every: Count = 1
    repair: bool = True
    reduce: Reduce = magnitude

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.judge_every, int) or self.judge_every < 1:
            raise InputError(f"judge_every counts steps, at least 1; got {self.judge_every!r}.")

    @abstractmethod
    def goal(self, clean: Float[Tensor, "B *F"]) -> Goal:
        """What is climbed and measured, given the clean maps."""

    def __call__(
        self,
        model: Model,
        x: Float[Tensor, "B *F"],
        y: Shaped[Tensor, "B"],
        *,
        attribution: Callable[..., Any],
        direction: Callable[..., Any] | None = None,
        generator: torch.Generator | None = None,
        chunk: Count | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> AttributionAttackResult:
        """Search the ball of every row for the input whose map is furthest from its clean map, label kept.

        Args:
            model: a classifier, batch first: (B, classes), or (B,) or (B, 1) logits; in eval mode and left as found.
            x: inputs.
            y: labels; rows that are not predicted as theirs are excluded and reported so.
            attribution: the method under attack, whose maps on the true model decide: a method of this package, or a
                function (model, x, target, *, generator, chunk, model_kwargs) -> maps, which as a `direction` is
                called with create_graph=True in place of chunk.
            direction: the method whose maps are climbed, with a graph; None: `attribution`. A path method needs
                fewer points here than where it is judged.
            generator: CPU generator of starts and draws; None advances the global one.
            chunk: most rows x restarts searched at once, and model rows in one forward pass of the judged maps; None:
                all.
            model_kwargs: passed to the model; as for an attribution.

        Raises:
            InputError, ShapeError, TargetError: what was passed cannot be used.
            DifferentiabilityError: the maps have no gradient to climb.
        """
        return search(
            self,
            model,
            x,
            y,
            attribution=attribution,
            direction=direction,
            generator=generator,
            chunk=chunk,
            model_kwargs=model_kwargs,
        )


def search(
    attack: AttributionAttack,
    model: Model,
    x: Float[Tensor, "B *F"],
    y: Shaped[Tensor, "B"],
    *,
    attribution: Callable[..., Any],
    direction: Callable[..., Any] | None = None,
    aimless: bool = False,
    generator: torch.Generator | None = None,
    chunk: Count | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
) -> AttributionAttackResult:
    """As `AttributionAttack.__call__`; `aimless` replaces every direction by a random one."""
    ball = attack.ball(x)
    generators = row_generators(len(x) + 1, generator)
    counters = tuple(Counter() for _ in AttackEvaluations._fields)
    smoothing = None if attack.surrogate is None else attack.surrogate.smoothing()
    with explaining(model, second_order=True, by_others=True) as network:
        soft = network if smoothing is None else surrogate(network, smoothing)
        judge = Judge(
            predictor=counters[2].watch(network),
            explained=counters[1].watch(network),
            climbed=counters[0].watch(soft),
            attribution=attribution,
            direction=attribution if direction is None else direction,
            seed=int(generators.pop().initial_seed()),
            chunk=chunk,
            rows=Rows(keywords(network, (ball.x,), model_kwargs), len(x)),
        )
        found = _Found.start(attack, ball, judge, y, aimless)
        size = max(1, chunk // attack.restarts) if chunk else len(x)
        for index in found.attacked().split(size):
            if len(index):
                _search(attack, found, index, ball, judge, smoothing, generators)
    return found.result(
        attack.lower_is_stronger,
        AttackEvaluations(*(counter.rows for counter in counters)),
        () if smoothing is None else smoothing.unsmoothed,
    )


@dataclass(eq=False)
class _Found:
    """The best so far of every row; updated in place while the search goes on."""

    goal: Goal
    sign: float
    labels: Labels
    excluded: Tensor
    before: Tensor
    best: Tensor
    point: Tensor
    clean_maps: Tensor
    maps: Tensor
    kept: Tensor

    @staticmethod
    def start(attack: AttributionAttack, ball: Ball, judge: Judge, y: Tensor, aimless: bool) -> "_Found":
        everything = torch.arange(len(ball.x), device=ball.x.device)
        outputs = first_outputs(judge.predictor, ball.x, judge.rows, judge.chunk)
        labels = Labels.checked(y, outputs, len(ball.x))
        clean = judge.maps(ball.x, labels, everything)
        goal = attack.goal(clean)
        goal = goal._replace(climb=None) if aimless else goal
        before = goal.measure(clean, everything)
        return _Found(
            goal=goal,
            sign=1.0 if attack.lower_is_stronger else -1.0,
            labels=labels,
            excluded=~labels.predicted(outputs) | before.isnan(),
            before=before,
            best=before.clone(),
            point=ball.x.clone(),
            clean_maps=clean,
            maps=clean.clone(),
            kept=torch.zeros(len(before), dtype=torch.bool, device=before.device),
        )

    def attacked(self) -> Tensor:
        return (~self.excluded).nonzero()[:, 0]

    def offer(self, point: Tensor, maps: Tensor, rows: Tensor) -> None:
        """Candidates (N, ...) that keep their label, `rows` of the batch they belong to."""
        if len(rows) == 0:
            return
        self.kept[rows] = True
        value = self.sign * self.goal.measure(maps, rows)
        value = value.nan_to_num(nan=torch.inf)
        lowest = torch.full_like(self.best, torch.inf).scatter_reduce(0, rows, value, "amin")
        winners = ((value == lowest[rows]) & (value < self.sign * self.best[rows])).nonzero()[:, 0]
        # Of equal candidates of one row the first is kept.
        first = rows.new_full((len(self.best),), len(rows))
        first = first.scatter_reduce(0, rows[winners], winners, "amin")
        row = (first < len(rows)).nonzero()[:, 0]
        winner = first[row]
        self.best[row], self.point[row] = self.sign * value[winner], point[winner]
        self.maps[row] = maps[winner]

    def done(self, rows: Tensor) -> Tensor:
        """Which of these rows cannot get any further."""
        if self.goal.reached is None:
            return torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        return self.sign * self.best[rows] <= self.sign * self.goal.reached

    def result(
        self, lower: bool, evaluations: AttackEvaluations, unsmoothed: tuple[str, ...]
    ) -> AttributionAttackResult:
        better = self.sign * self.best < self.sign * self.before
        status = tuple(
            Status.EXCLUDED if out else Status.BETTER if up else Status.NO_GAIN if kept else Status.LABEL_LOST
            for out, up, kept in zip(self.excluded.tolist(), better.tolist(), self.kept.tolist(), strict=True)
        )
        return AttributionAttackResult(
            adversarial=self.point,
            before=self.before,
            after=self.best,
            status=status,
            clean_maps=self.clean_maps,
            maps=self.maps,
            lower_is_stronger=lower,
            evaluations=evaluations,
            unsmoothed=unsmoothed,
        )


def _search(
    attack: AttributionAttack,
    found: _Found,
    index: Tensor,
    ball: Ball,
    judge: Judge,
    smoothing: Smoothing | None,
    generators: list[torch.Generator],
) -> None:
    """All restarts of the rows `index` at once; rows that are done drop out."""
    rows = index.repeat_interleave(attack.restarts)
    draws = [generators[row] for row in rows.tolist()]
    here = ball.rows(rows)
    point = here.random(draws) if attack.random_start else here.x
    lost = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    for step in range(attack.steps):
        if smoothing is not None and attack.surrogate is not None:
            smoothing.beta = attack.surrogate.beta_at(step / max(1, attack.steps - 1))
        if found.goal.climb is None:
            uphill = here.random_direction(draws)
        else:
            uphill = _uphill(judge, found, point, rows, lost & attack.repair, smoothing, found.goal.climb)
            if step == 0 and smoothing is None and not bool(uphill.any()):
                raise _no_direction(judge.direction, smooth=False)
        point = here.step(point, uphill, attack.step_share())
        if (step + 1) % attack.judge_every and step + 1 < attack.steps:
            continue
        kept = judge.keeps_label(point, found.labels, rows)
        found.offer(point[kept], judge.maps(point[kept], found.labels, rows[kept]), rows[kept])
        left = ~found.done(rows)
        point, rows, lost = point[left], rows[left], ~kept[left]
        if len(rows) == 0:
            return
        if len(rows) < len(left):
            draws = [draw for draw, stays in zip(draws, left.tolist(), strict=True) if stays]
            here = ball.rows(rows)


def _uphill(
    judge: Judge,
    found: _Found,
    point: Tensor,
    rows: Tensor,
    lost: Tensor,
    smoothing: Smoothing | None,
    climb: Rowwise,
) -> Tensor:
    """The gradient of what is climbed; where the label is lost, the way back to it."""
    uphill = torch.zeros_like(point)
    if bool(lost.any()):
        uphill[lost] = judge.way_back(point[lost], found.labels, rows[lost])
    kept = ~lost
    if bool(kept.any()):
        leaf = point[kept].requires_grad_()
        values = climb(judge.climbable(leaf, found.labels, rows[kept]), rows[kept])
        try:
            (uphill[kept],) = score_gradients(values, [leaf])
        except DifferentiabilityError as error:
            raise _no_direction(judge.direction, smooth=smoothing is not None) from error
    return uphill


def _no_direction(method: Callable[..., Any], *, smooth: bool) -> DifferentiabilityError:
    return DifferentiabilityError(
        f"the maps of {method!r} do not change with the input, so there is no direction to attack along. "
        + (
            "Is the model linear, or the method not differentiable? Climb another one: direction=rr.Gradient()."
            if smooth
            else "A piecewise linear network has second derivative zero. Smooth it: surrogate=Softplus()."
        )
    )
