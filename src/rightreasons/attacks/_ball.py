"""Attack settings shared by all attacks: norm ball, bounds, mask, steps and step size."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isfinite
from types import FunctionType

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.attacks._norms import Linf, Norm
from rightreasons.core._checked import Count
from rightreasons.core._errors import DifferentiabilityError, InputError, ShapeError
from rightreasons.core._inputs import check_inputs

Bounds = tuple[float | Tensor, float | Tensor]


@dataclass(frozen=True, eq=False)
class Ball:
    """The points that rows may be moved to; every point it returns lies inside, to the last bit.

    Attributes:
        x: (N, *F), the centres.
        eps: (1, *F) or (N, *F), radius of each feature; 0 where nothing may change.
        norm: of (point - x) / eps, at most 1.
        low, high: bounds; a value of x that is beyond them, by the rounding of its own precision, may stay.
    """

    x: Float[Tensor, "N *F"]
    eps: Float[Tensor, "..."]
    norm: Norm
    low: Tensor | None = None
    high: Tensor | None = None

    def rows(self, index: Tensor) -> "Ball":
        """The balls of these rows."""
        return Ball(self.x[index], self.eps, self.norm, self.low, self.high)

    def place(self, u: Float[Tensor, "N *F"]) -> Float[Tensor, "N *F"]:
        """x + eps u, rounded towards x and clipped to the bounds."""
        delta = u * self.eps
        point = self.x + delta
        # Rounding to nearest may leave the ball by one bit, which float32 itself may not see.
        beyond = (point.double() - self.x.double()).abs() > delta.double().abs()
        point = torch.where(beyond, torch.nextafter(point, self.x), point)
        if self.low is not None and self.high is not None:
            point = point.clamp(torch.minimum(self.low, self.x), torch.maximum(self.high, self.x))
        return torch.where(delta == 0, self.x, point)

    def offset(self, point: Float[Tensor, "N *F"]) -> Float[Tensor, "N *F"]:
        """(point - x) / eps; 0 where nothing may change."""
        frozen = self.eps == 0
        return torch.where(frozen, 0.0, (point - self.x) / self.eps.masked_fill(frozen, 1.0))

    def random(self, generators: Sequence[torch.Generator]) -> Float[Tensor, "N *F"]:
        """A point drawn uniformly from each ball, before clipping to the bounds."""
        return self.place(self.norm.project(self.norm.random(self.x.shape, generators).to(self.x)))

    def random_direction(self, generators: Sequence[torch.Generator]) -> Float[Tensor, "N *F"]:
        """Independent normal numbers in place of a gradient."""
        row = self.x.shape[1:]
        return torch.stack([torch.randn(*row, generator=g, dtype=torch.float64) for g in generators]).to(
            self.x
        )

    def step(
        self, point: Float[Tensor, "N *F"], gradient: Float[Tensor, "N *F"], size: float
    ) -> Float[Tensor, "N *F"]:
        """One step uphill of length `size`, a share of the radius.

        Raises:
            DifferentiabilityError: the gradient is NaN.
        """
        if bool(gradient.isnan().any()):
            raise DifferentiabilityError(
                f"the gradient is NaN in {int(gradient.isnan().flatten(1).any(1).sum())} of {len(gradient)} rows, so "
                "the search has no direction there and its failure would look like robustness. Roots and norms have no "
                "derivative at 0: add a small number inside, as in (x.square().sum(1) + 1e-12).sqrt()."
            )
        gradient = gradient.nan_to_num()  # infinite: the steepest there is
        u = self.offset(point) + size * self.norm.steepest(gradient * self.eps)
        return self.place(self.norm.project(u))


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Search:
    """What all attacks share: the ball, the steps and the starts.

    Args:
        eps: radius in units of the inputs; a tensor (*F) or broadcastable to it gives every feature its own, and the
            ball is then norm(change / eps) <= 1.
        norm: `Linf()`, `L2()` or `L1()`.
        steps: gradient steps of each start.
        step_size: length of a step in units of the inputs; None: 2.5 eps / steps. With a radius for each feature it
            is the step where the radius is largest, and smaller in proportion elsewhere.
        restarts: independent starts of each row, run as one batch; the best iterate of all is kept.
        random_start: start at a uniform point of the ball; else at the input, which allows one start.
        bounds: smallest and largest valid value, numbers or tensors broadcastable to a row; None: no bounds. Inputs
            outside are an error, never clamped.
        mask: features that may change, a bool tensor broadcastable to a row; None: all.

    Raises:
        InputError: a number is out of range, bounds are inverted, or the mask lets nothing change.
    """

    eps: float | Tensor
    norm: Norm = Linf()  # noqa: RUF009  (a frozen value without fields)
    steps: Count = 40
    step_size: float | None = None
    restarts: Count = 1
    random_start: bool = True
    bounds: Bounds | None = None
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        eps = torch.as_tensor(self.eps, dtype=torch.float64)
        if not bool(torch.isfinite(eps).all()) or bool((eps < 0).any()):
            raise InputError(f"eps is the radius of a ball, finite and at least 0; got {float(eps.min()):g}.")
        if not isinstance(self.norm, Norm):
            raise InputError(f"norm must be Linf(), L2() or L1(); got {self.norm!r}.")
        _count("steps", self.steps)
        _count("restarts", self.restarts)
        if self.step_size is not None and not (isfinite(self.step_size) and self.step_size > 0):
            raise InputError(f"step_size is the length of a step, positive; got {self.step_size}.")
        if self.restarts > 1 and not self.random_start:
            raise InputError(
                f"restarts={self.restarts} without a random start repeat one and the same search. Use restarts=1 or "
                "random_start=True."
            )
        if self.bounds is not None:
            self._check_bounds(self.bounds)
        if self.mask is not None and not bool(torch.as_tensor(self.mask).any()):
            raise InputError("mask lets no feature change; it is True where features may. Was it inverted?")

    def _check_bounds(self, bounds: Bounds) -> None:
        if len(bounds) != 2 or any(bound is None for bound in bounds):
            raise InputError(
                f"bounds are (smallest, largest) valid value; got {bounds!r}. Use float('inf') for no end."
            )
        low, high = (torch.as_tensor(b, dtype=torch.float64) for b in bounds)
        if not bool((low < high).all()):
            raise InputError(
                f"bounds are (smallest, largest) valid value; got ({float(low.max()):g}, {float(high.min()):g}), "
                "which leaves nothing between."
            )

    def step_share(self) -> float:
        """Length of a step as a share of the (largest) radius."""
        largest = float(torch.as_tensor(self.eps, dtype=torch.float64).max())
        return 2.5 / self.steps if self.step_size is None or largest == 0 else self.step_size / largest

    def ball(self, x: Float[Tensor, "B *F"]) -> Ball:
        """The ball around every row of x.

        Raises:
            InputError: x is not float32 or float64, not finite or outside the bounds.
            ShapeError: eps, bounds or mask do not fit a row of x.
        """
        if not isinstance(x, Tensor):
            raise InputError(
                f"attacks take one input tensor; got {type(x).__name__}. Close over the other inputs."
            )
        check_inputs(x)
        if x.dtype not in (torch.float32, torch.float64):
            raise InputError(f"attacks run on float32 or float64 inputs; got {x.dtype}. Pass x.float().")
        eps = torch.as_tensor(self.eps, dtype=torch.float64, device=x.device)
        radius = _fitted(_rounded(eps, x.dtype, up=False), x, "eps")
        if self.mask is not None:
            radius = radius * _fitted(torch.as_tensor(self.mask).bool(), x, "mask")
        low, high = (None, None) if self.bounds is None else self._bounds(x, self.bounds)
        return Ball(x.detach(), radius, self.norm, low, high)

    def _bounds(self, x: Tensor, bounds: Bounds) -> tuple[Tensor, Tensor]:
        ends = [torch.as_tensor(b, dtype=torch.float64, device=x.device) for b in bounds]
        low, high = (_fitted(end.to(x.dtype), x, "bounds") for end in ends)
        outside = (x < low) | (x > high)
        if bool(outside.any()):
            raise InputError(
                f"{int(outside.flatten(1).any(1).sum())} of {len(x)} rows have values outside bounds={bounds}: "
                f"inputs span [{float(x.min()):g}, {float(x.max()):g}]. Clamping them would attack other inputs; "
                "give the bounds of inputs as the model sees them (after normalisation)."
            )
        within = (_rounded(end, x.dtype, up=is_low) for end, is_low in zip(ends, (True, False), strict=True))
        low, high = (_fitted(end, x, "bounds") for end in within)
        return low, high

    def __repr__(self) -> str:
        """Fields that differ from their defaults; tensors as their shape, functions as their name."""
        shown = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                shown.append(f"{field.name}=<{'x'.join(map(str, value.shape))}>")
            elif not _same(value, field.default):
                name = value.__name__ if isinstance(value, FunctionType) else repr(value)
                shown.append(f"{field.name}={name}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _same(value: object, default: object) -> bool:
    return type(value) is type(default) and not isinstance(value, tuple) and value == default


def _rounded(exact: Tensor, dtype: torch.dtype, *, up: bool) -> Tensor:
    """The nearest number of `dtype` that is not below `exact` (`up`), or not above it."""
    near = exact.to(dtype)
    wrong = near.double() < exact if up else near.double() > exact
    return torch.where(
        wrong, torch.nextafter(near, torch.full_like(near, torch.inf if up else -torch.inf)), near
    )


def _fitted(value: Tensor, x: Tensor, what: str) -> Tensor:
    """`value` with a row dimension of one, after a check that it broadcasts to a row of x."""
    row = x.shape[1:]
    sizes = (1,) * (len(row) - value.dim()) + tuple(value.shape)
    if value.dim() > len(row) or any(
        size not in (1, wanted) for size, wanted in zip(sizes, row, strict=True)
    ):
        raise ShapeError(
            f"{what} of shape {tuple(value.shape)} does not fit a row of shape {tuple(row)}: give a number, or a "
            "tensor of the shape of one row (1 where it is shared)."
        )
    return value.to(x.device).reshape(1, *sizes)


def _count(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} must be a positive integer; got {value!r}.")


def row_generators(count: int, generator: torch.Generator | None) -> list[torch.Generator]:
    """A generator for each row, so that what a row is dealt depends on neither chunks nor other rows.

    Args:
        count: rows.
        generator: seeds them; None: the global generator, which advances.
    """
    if generator is not None and generator.device.type != "cpu":
        raise InputError(
            f"draws are made on the CPU so that they are the same on every device; got a generator on "
            f"{generator.device}. Pass torch.Generator().manual_seed(seed)."
        )
    seeds = torch.randint(2**62, (count,), generator=generator)
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]
