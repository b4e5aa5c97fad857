"""Guided integrated gradients: an adaptive path along small gradients."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from rightreasons.attribution._attribution import Advice, Axioms
from rightreasons.attribution._blockwise import Blockwise, Part, blocks
from rightreasons.attribution.path._path import gradients_at
from rightreasons.attribution.path._references import baselines
from rightreasons.core._checked import Count, checked
from rightreasons.core._errors import InputError
from rightreasons.core._inputs import Inputs, in_rows
from rightreasons.core._score import Output
from rightreasons.core.model._function import Block, ScoreFunction

_ARRIVED = 1e-12
"""Share of the way that may be left at the end of a step: rounding."""


@final
@checked
@dataclass(frozen=True, repr=False, eq=False)
class GuidedIG(Blockwise):
    """Integrated gradients on a path that moves the features of small gradient first [kapishnikov2021].

        phi_i(x) = integral_path d f(z) / d z_i dz_i,  z from the baseline b to x

    The way has `steps` equal parts in the norm |z - x|_1. In each, the features with the smallest |d f / d z_i| (a
    `fraction` of all, then the next) move towards x until the part is done, none further than `max_distance` from the
    straight line, as a share of its length. Large gradients that have nothing to do with x, met on the straight line,
    are so gone round. Between two parts the mean of the gradients at both ends counts; the published code takes the
    first. Complete up to the error of the steps, which `explain(...).gap` reports: sum_i phi_i = f(x) - f(b). On ReLU
    networks a part of it stays however many steps there are, as the path slides along kinks: about one percent with
    the default `max_distance`, more with 1. Cost: `steps` + 1 forward and backward passes a row, one by one.

    With `create_graph`, the order in which features move counts as fixed, which it is but for ties.

    Args:
        baseline: a number, or a tensor of shape (*F), (1, *F) or (B, *F), one for each input; with `at`, model inputs.
        steps: parts of the way.
        fraction: of the features that move at a time, in (0, 1]; 1 is the straight line.
        max_distance: from the straight line, in (0, 1]; 1 leaves the path free.
        output: what is explained: logit, probability, log_probability, sum_log_probability, margin or loss.
        at: name of the layer whose activation is explained instead of the input.

    Raises:
        InputError: `steps` is not or `fraction` or `max_distance` not in (0, 1].

    Example:
        >>> import torch, rightreasons as rr
        >>> maps = rr.GuidedIG(steps=100)(lambda x: x[:, 0] * x[:, 1], torch.tensor([[1.0, 3.0]]))
        >>> round(float(maps.sum()), 1)
        3.0
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=True,
        sensitive=True,
        dummy=True,
        implementation_invariant=False,
        linear=False,
        differentiable=True,
        needs_baseline=True,
        note="Complete up to the error of the steps, which `explain(...).gap` reports. Rounding may decide between "
        "equal gradients, and so the path.",
    )
    advice: ClassVar[Advice] = Advice(
        "the map of integrated gradients is noisy and time is no matter",
        "maps have to be comparable over models, or a percent of gap is too much",
    )

    baseline: int | float | Inputs = 0.0
    steps: Count = 200
    fraction: int | float = 0.25
    max_distance: int | float = 0.02
    output: Output = "logit"
    at: str | None = None

    def __post_init__(self) -> None:
        for name in ("fraction", "max_distance"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise InputError(f"{name} is a share, above 0 and at most 1; got {value!r}.")

    @property
    def explains(self) -> Output:
        return self.output

    def pieces(self, function: ScoreFunction, chunk: int) -> Iterator[Part]:
        base = baselines(function, self.baseline)
        for block, points in blocks(function, chunk):
            starts = tuple(b[block.start : block.stop] for b in base)
            yield self._followed(function, points, starts, block)

    def _followed(
        self, function: ScoreFunction, points: tuple[Tensor, ...], starts: tuple[Tensor, ...], block: Block
    ) -> Part:
        start = _flat(starts)
        way = _flat(points) - start

        def look(place: Tensor) -> tuple[Tensor, Tensor]:
            here = _like(start + place * way, points)
            _, scores, gradients = gradients_at(function, here, block, create_graph=function.connected)
            return scores.detach(), _flat(gradients)

        place, total = torch.zeros_like(way), torch.zeros_like(way)
        at_start, slopes = look(place)
        scores = at_start
        for step in range(self.steps):
            moved = self._next(place, way.abs(), slopes.detach().abs(), (step + 1) / self.steps)
            scores, ahead = look(moved)
            total = total + (moved - place) * way * (slopes + ahead) / 2
            place, slopes = moved, ahead
        gap = scores - at_start - total.detach().sum(1)
        return Part(_like(total, points), (self.steps + 1) * len(way), gap.to(points[0].dtype))

    def _next(self, place: Tensor, length: Tensor, cost: Tensor, share: float) -> Tensor:
        """Where each feature is, as a share of its way, when `share` of the whole way is done."""
        low, high = max(share - self.max_distance, 0.0), min(share + self.max_distance, 1.0)
        cost = cost.nan_to_num(nan=0.0, posinf=torch.inf)  # of a lost row, whose way has to end all the same
        place = place.clamp(min=low)
        whole = length.sum(1)
        count = int(self.fraction * (cost.shape[1] - 1)) + 1
        while True:
            needed = share * whole - (length * place).sum(1)
            free = (place < high) & (length > 0)
            active = (needed > _ARRIVED * whole) & free.any(1)
            if not bool(active.any()):
                return place
            cost = torch.where(free, cost, torch.inf)
            cheap = free & (cost <= cost.kthvalue(count, dim=1, keepdim=True).values) & active[:, None]
            reach = torch.where(cheap, length * (high - place), 0.0).sum(1)
            part = (needed / torch.where(active, reach, 1.0))[:, None]
            place = torch.where(cheap, torch.where(part < 1, place + part * (high - place), high), place)


def _flat(parts: tuple[Tensor, ...]) -> Tensor:
    """All features of all inputs beside each other, (b, D), in float64: the way is added up from small parts."""
    return torch.cat([in_rows(part) for part in parts], dim=1).double()


def _like(flat: Tensor, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    pieces = flat.split([part[0].numel() for part in parts], dim=1)
    return tuple(piece.reshape(part.shape).to(part.dtype) for piece, part in zip(pieces, parts, strict=True))
