"""Our methods behind captum's interface."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, final

import torch
from captum.attr import GradientAttribution
from captum.log import log_usage  # pyright: ignore[reportAttributeAccessIssue]
from torch import Tensor, nn

from rightreasons.attribution import (
    LRP,
    Attribution,
    DeepLift,
    ExpectedGradients,
    GaussLegendre,
    InputTimesGradient,
    IntegratedGradients,
    Left,
    Midpoint,
    Quadrature,
    Right,
    Trapezoid,
    reference_output,
)
from rightreasons.attribution._attribution import Explanation
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError, TargetError
from rightreasons.core._inputs import Inputs, as_tuple, like
from rightreasons.core._score import Target
from rightreasons.core.model._guard import Model

CaptumTarget: TypeAlias = int | tuple[int, ...] | Tensor | list[int] | list[tuple[int, ...]] | None
Baselines: TypeAlias = int | float | Tensor | tuple[int | float | Tensor, ...] | Callable[..., Any] | None

_RULES: dict[str, Quadrature] = {
    "gausslegendre": GaussLegendre(),
    "riemann_left": Left(),
    "riemann_right": Right(),
    "riemann_middle": Midpoint(),
    "riemann_trapezoid": Trapezoid(),
}


class CaptumInputError(InputError, AssertionError):
    """What was passed to `attribute` cannot be used; an AssertionError too, which is what captum raises."""


class CaptumShapeError(CaptumInputError, ShapeError):
    """A tensor passed to `attribute` has the wrong shape."""


class CaptumTargetError(CaptumInputError, TargetError):
    """The target passed to `attribute` selects no output of the model."""


@contextmanager
def _captum_errors() -> Iterator[None]:
    """Errors that callers of captum handle already: an InputError is raised as an AssertionError as well."""
    try:
        yield
    except CaptumInputError:
        raise
    except ShapeError as error:
        raise CaptumShapeError(*error.args) from error
    except TargetError as error:
        raise CaptumTargetError(*error.args) from error
    except InputError as error:
        raise CaptumInputError(*error.args) from error


@dataclass(frozen=True)
class _Options:
    """What one call of `attribute` changes in the method's configuration, by captum's names."""

    baselines: Baselines = None
    n_steps: int | None = None
    method: str | None = None
    custom_attribution_func: Callable[..., Any] | None = None


class Algorithm(GradientAttribution):
    """A method of ours as a captum algorithm; see `as_captum`.

    Args:
        method: the configured method.
        forward_func: the model.
    """

    def __init__(self, method: Attribution, forward_func: Model) -> None:
        super().__init__(forward_func)
        self.method = method

    def has_convergence_delta(self) -> bool:
        """Whether maps sum to a difference of outputs, so that `attribute` takes `return_convergence_delta=True`."""
        return self.method.axioms.complete and not _slopes(self.method)

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether maps are contributions, in units of the output, rather than slopes."""
        around = getattr(self.method, "method", self.method)
        if _slopes(around):
            return False
        return around.axioms.complete or isinstance(around, InputTimesGradient | LRP)

    def attribute_future(self) -> None:
        """Captum's entry for asynchronous forward functions, which are not supported."""
        raise NotImplementedError("asynchronous forward functions are not supported; call attribute().")

    def _attributed(
        self,
        inputs: Inputs,
        options: _Options,
        target: CaptumTarget,
        additional_forward_args: Any,
        internal_batch_size: int | None,
        return_convergence_delta: bool,
        absolute: bool,
    ) -> Any:
        with _captum_errors():
            configured = _configured(self.method, inputs, options)
            model, keywords = _with_arguments(
                self.forward_func, len(as_tuple(inputs)), additional_forward_args
            )
            chosen = _our_target(target)
            if not return_convergence_delta:
                maps = configured(model, inputs, chosen, chunk=internal_batch_size, model_kwargs=keywords)
                return _absolute(maps) if absolute else maps
            explained = _with_gap(configured, model, inputs, chosen, internal_batch_size, keywords)
            return (_absolute(explained.maps) if absolute else explained.maps), -_gap(explained, configured)


@final
class _WithBaselines(Algorithm):
    @log_usage()
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        baselines: Baselines = None,
        target: CaptumTarget = None,
        additional_forward_args: Any = None,
        n_steps: int | None = None,
        method: str | None = None,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        abs: bool = False,  # captum's own name
        custom_attribution_func: Callable[..., Any] | None = None,
    ) -> Any:
        options = _Options(baselines, n_steps, method, custom_attribution_func)
        return self._attributed(
            *(inputs, options, target, additional_forward_args),
            *(internal_batch_size, return_convergence_delta, abs),
        )


@final
class _WithoutBaselines(Algorithm):
    """Captum's gradient methods take the target second."""

    @log_usage()
    def attribute(
        self,
        inputs: Tensor | tuple[Tensor, ...],
        target: CaptumTarget = None,
        additional_forward_args: Any = None,
        n_steps: int | None = None,
        method: str | None = None,
        internal_batch_size: int | None = None,
        return_convergence_delta: bool = False,
        *,
        baselines: Baselines = None,
        abs: bool = False,
        custom_attribution_func: Callable[..., Any] | None = None,
    ) -> Any:
        options = _Options(baselines, n_steps, method, custom_attribution_func)
        return self._attributed(
            *(inputs, options, target, additional_forward_args),
            *(internal_batch_size, return_convergence_delta, abs),
        )


@checked
def as_captum(method: Attribution) -> Callable[[Model], Algorithm]:
    """The method as a captum algorithm: `as_captum(method)(model).attribute(inputs, target=y)`.

    Signature, targets, output structure and the sign of the convergence delta are captum's; configuration is the
    method's own, except for what `attribute` replaces. Captum's metrics, tutorials and NoiseTunnel take it.

    `attribute(inputs, baselines, target, additional_forward_args, n_steps, method, internal_batch_size,
    return_convergence_delta, *, abs, custom_attribution_func)` takes

    - `inputs`, a tensor or a tuple of tensors, batch first, whose structure the maps have;
    - `baselines`, in place of the method's baseline or references, or a function that makes them, of the inputs or of
      nothing; methods without either take the target second;
    - `target`, an int, a tuple, a tensor or a list of either, one for each row; None for one output;
    - `additional_forward_args`, for the model after the inputs; tensors of B rows follow them;
    - `n_steps`, in place of the method's steps or samples;
    - `method`, the quadrature: gausslegendre, riemann_left, riemann_right, riemann_middle or riemann_trapezoid;
    - `internal_batch_size`, the most model rows in one forward pass;
    - `return_convergence_delta`, to have the sum of each map minus the difference it should be as well;
    - `abs`, to have absolute values, which captum's Saliency gives by default;
    - `custom_attribution_func`, for DeepLift: (multipliers, inputs, baselines) -> maps, tuples with one tensor each.

    What means nothing to a method raises `CaptumInputError`, an InputError that is an AssertionError too, so that
    handlers written for captum's errors catch it. Captum's constructor argument `multiply_by_inputs=False` is a field
    of the method: `as_captum(rr.IntegratedGradients(multiply_by_inputs=False))`.

    Args:
        method: any method of this package.

    Returns:
        What makes an `Algorithm` of a model, as captum's classes do.

    Example:
        >>> import torch, rightreasons as rr
        >>> ig = as_captum(rr.IntegratedGradients(steps=20))(lambda x: (x**2).sum(1))
        >>> maps, delta = ig.attribute(torch.ones(1, 2), baselines=0, return_convergence_delta=True)
        >>> maps.round(decimals=4)
        tensor([[1., 1.]])
    """
    kind = _WithBaselines if _replaceable(method) else _WithoutBaselines

    def algorithm(forward_func: Model) -> Algorithm:
        return kind(method, forward_func)

    return algorithm


def _replaceable(method: Attribution) -> list[str]:
    """Fields of the method that captum's `baselines` replaces, the likelier first."""
    names = {field.name for field in fields(method)}  # pyright: ignore[reportArgumentType]
    return [name for name in ("references", "baseline") if name in names]


def _slopes(method: Attribution) -> bool:
    """Whether maps are slopes although the method's usual ones are contributions."""
    if isinstance(method, IntegratedGradients):
        return not method.multiply_by_inputs
    return isinstance(method, DeepLift) and method.contribution is not None


def _configured(method: Attribution, inputs: Inputs, options: _Options) -> Attribution:
    names = {field.name for field in fields(method)}  # pyright: ignore[reportArgumentType]
    changed: dict[str, Any] = {}
    baselines = _our_baselines(_made(options.baselines, inputs), inputs)
    if baselines is not None:
        replaced = _replaceable(method)
        if not replaced:
            raise InputError(f"{method!r} has no baseline, so baselines= would be ignored. Leave it out.")
        chosen = replaced[0] if getattr(method, replaced[0]) is not None else replaced[-1]
        changed[chosen] = baselines
    if options.n_steps is not None:
        counts = [name for name in ("steps", "samples") if name in names]
        if not counts:
            raise InputError(
                f"{method!r} has neither steps nor samples, so n_steps= would be ignored. Leave it out."
            )
        changed[counts[0]] = options.n_steps
    if options.method is not None:
        if "rule" not in names or options.method not in _RULES:
            raise InputError(
                f"method= replaces the quadrature of integrated gradients, one of {', '.join(_RULES)}; "
                f"got {options.method!r}."
            )
        changed["rule"] = _RULES[options.method]
    if options.custom_attribution_func is not None:
        if not isinstance(method, DeepLift):
            raise InputError(
                f"custom_attribution_func= replaces how DeepLift's multipliers become maps, and {method!r} has none. "
                "Leave it out."
            )
        changed["contribution"] = options.custom_attribution_func
    return replace(method, **changed) if changed else method  # pyright: ignore[reportArgumentType]


def _with_gap(
    method: Attribution,
    model: Model,
    inputs: Inputs,
    target: Target,
    chunk: int | None,
    keywords: dict[str, Any],
) -> Explanation:
    """An explanation with its gap; expected gradients of many references run the model at all of them for it."""
    explained = method.explain(model, inputs, target, chunk=chunk, model_kwargs=keywords)
    if explained.gap is not None or not isinstance(method, ExpectedGradients) or method.at is not None:
        return explained
    if any(isinstance(value, Tensor) and value.dim() > 0 for value in keywords.values()):
        return explained  # f at a reference may differ from row to row
    ends = reference_output(model, method, model_kwargs=keywords)
    return method.explain(model, inputs, target, chunk=chunk, model_kwargs=keywords, reference_output=ends)


def _gap(explained: Explanation, method: Attribution) -> Tensor:
    if explained.gap is None:
        raise InputError(
            f"return_convergence_delta=True, but the maps of {method!r} are not complete here: they sum to no "
            "difference of outputs that is known. Leave it out."
        )
    return explained.gap


def _made(baselines: Any, inputs: Inputs) -> Any:
    """What a function of the inputs, or of nothing, makes; anything else is there already."""
    if not callable(baselines):
        return baselines
    return baselines(inputs) if inspect.signature(baselines).parameters else baselines()


def _our_baselines(baselines: Any, inputs: Inputs) -> int | float | Inputs | None:
    """Numbers within a tuple as tensors, single rows as often as the other inputs have rows."""
    if not isinstance(baselines, tuple):
        return baselines
    if len(baselines) != len(as_tuple(inputs)):
        raise InputError(f"{len(baselines)} baselines for {len(as_tuple(inputs))} inputs: give one for each.")
    wrong = [type(value).__name__ for value in baselines if not isinstance(value, Tensor | int | float)]
    if wrong:
        raise InputError(f"baselines are tensors or numbers; got {', '.join(wrong)}. Use torch.as_tensor(b).")
    parts = [
        value if isinstance(value, Tensor) else torch.full_like(part[:1], value)
        for value, part in zip(baselines, as_tuple(inputs), strict=True)
    ]
    rows = max(len(part) for part in parts)
    return tuple(part.expand(rows, *part.shape[1:]) if len(part) == 1 else part for part in parts)


def _our_target(target: CaptumTarget) -> Target:
    if isinstance(target, Tensor):
        return int(target) if target.numel() == 1 else target
    return torch.tensor(target) if isinstance(target, list) else target


def _with_arguments(model: Model, inputs: int, arguments: Any) -> tuple[Model, dict[str, Any]]:
    """The model and its further positional arguments as keywords, which can follow the rows."""
    if arguments is None:
        return model, {}
    values = arguments if isinstance(arguments, tuple) else (arguments,)
    function = model.forward if isinstance(model, nn.Module) else model
    parameters = list(inspect.signature(function).parameters.values())[inputs:]
    named = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(named) >= len(values):
        return model, dict(zip(named, values, strict=False))
    names = [f"argument_{i}" for i in range(len(values))]

    if isinstance(model, nn.Module):
        return _Positional(model, tuple(names)), dict(zip(names, values, strict=True))

    def call(*args: Tensor, **keywords: Any) -> Tensor:
        return model(*args, *(keywords[name] for name in names))

    return call, dict(zip(names, values, strict=True))


class _Positional(nn.Module):
    """A module whose further positional arguments come as keywords; its layers go by their own names."""

    def __init__(self, inner: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.inner, self.names = inner, names

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Any:
        return self.inner.named_modules(memo, prefix, remove_duplicate)

    def forward(self, *args: Tensor, **keywords: Any) -> Any:
        return self.inner(*args, *(keywords[name] for name in self.names))


def _absolute(maps: Inputs) -> Inputs:
    return like([part.abs() for part in as_tuple(maps)], maps)
