"""Our methods behind captum's interface."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeAlias, final

import torch
from captum.attr import GradientAttribution
from captum.log import log_usage  # pyright: ignore[reportAttributeAccessIssue]
from torch import Tensor, nn

from rightreasons.attribution import (
    LRP,
    Attribution,
    GaussLegendre,
    InputTimesGradient,
    Left,
    Midpoint,
    Quadrature,
    Right,
    Trapezoid,
)
from rightreasons.core._errors import InputError
from rightreasons.core._guard import Model
from rightreasons.core._inputs import Inputs, as_tuple, like
from rightreasons.core._score import Target

CaptumTarget: TypeAlias = int | tuple[int, ...] | Tensor | list[int] | list[tuple[int, ...]] | None
Baselines: TypeAlias = int | float | Tensor | tuple[int | float | Tensor, ...] | Callable[..., Any] | None

_RULES: dict[str, Quadrature] = {
    "gausslegendre": GaussLegendre(),
    "riemann_left": Left(),
    "riemann_right": Right(),
    "riemann_middle": Midpoint(),
    "riemann_trapezoid": Trapezoid(),
}


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
        """Whether maps sum to a difference of outputs."""
        return self.method.axioms.complete

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether maps are contributions, in units of the output, rather than slopes."""
        around = getattr(self.method, "method", self.method)
        return around.axioms.complete or isinstance(around, InputTimesGradient | LRP)

    def attribute_future(self) -> None:
        """Captum's name for attributions of models that answer later; like most of its own, not there."""
        raise NotImplementedError("models that answer later are not explained; call attribute().")

    def _found(
        self,
        inputs: Inputs,
        asked: Mapping[str, Any],
        target: CaptumTarget,
        additional_forward_args: Any,
        internal_batch_size: int | None,
        return_convergence_delta: bool,
        absolute: bool,
    ) -> Any:
        configured = _configured(
            self.method,
            _our_baselines(_made(asked["baselines"], inputs), inputs),
            asked["n_steps"],
            asked["method"],
        )
        model, keywords = _with_arguments(self.forward_func, len(as_tuple(inputs)), additional_forward_args)
        chosen = _our_target(target)
        if not return_convergence_delta:
            found = configured(model, inputs, chosen, chunk=internal_batch_size, model_kwargs=keywords)
            return _absolute(found) if absolute else found
        explained = configured.explain(
            model, inputs, chosen, chunk=internal_batch_size, model_kwargs=keywords
        )
        if explained.gap is None:
            raise InputError(
                f"return_convergence_delta=True, but the maps of {self.method!r} are not complete."
            )
        return (_absolute(explained.maps) if absolute else explained.maps), -explained.gap


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
    ) -> Any:
        asked = {"baselines": baselines, "n_steps": n_steps, "method": method}
        return self._found(
            *(inputs, asked, target, additional_forward_args),
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
    ) -> Any:
        asked = {"baselines": baselines, "n_steps": n_steps, "method": method}
        return self._found(
            *(inputs, asked, target, additional_forward_args),
            *(internal_batch_size, return_convergence_delta, abs),
        )


def as_captum(method: Attribution) -> Callable[[Model], Algorithm]:
    """The method as a captum algorithm: `as_captum(method)(model).attribute(inputs, target=y)`.

    Signature, targets, output structure and the sign of the convergence delta are captum's; configuration is the
    method's own, except for what `attribute` replaces. Captum's metrics, tutorials and NoiseTunnel take it.

    `attribute(inputs, baselines, target, additional_forward_args, n_steps, method, internal_batch_size,
    return_convergence_delta, *, abs)` takes

    - `inputs`, a tensor or a tuple of tensors, batch first, whose structure the maps have;
    - `baselines`, in place of the method's baseline or references, or a function that makes them, of the inputs or of
      nothing; methods without either take the target second;
    - `target`, an int, a tuple, a tensor or a list of either, one for each row; None for one output;
    - `additional_forward_args`, for the model after the inputs; tensors of B rows follow them;
    - `n_steps`, in place of the method's steps or samples;
    - `method`, the quadrature: gausslegendre, riemann_left, riemann_right, riemann_middle or riemann_trapezoid;
    - `internal_batch_size`, the most model rows in one forward pass;
    - `return_convergence_delta`, to have the sum of each map minus the difference it should be as well;
    - `abs`, to have absolute values, which captum's Saliency gives by default.

    What means nothing to a method raises InputError.

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


def _configured(
    method: Attribution, baselines: int | float | Inputs | None, n_steps: int | None, rule: str | None
) -> Attribution:
    names = {field.name for field in fields(method)}  # pyright: ignore[reportArgumentType]
    changed: dict[str, Any] = {}
    if baselines is not None:
        replaced = _replaceable(method)
        if not replaced:
            raise InputError(f"{method!r} has no baseline, so baselines= would be ignored. Leave it out.")
        chosen = replaced[0] if getattr(method, replaced[0]) is not None else replaced[-1]
        changed[chosen] = baselines
    if n_steps is not None:
        counts = [name for name in ("steps", "samples") if name in names]
        if not counts:
            raise InputError(
                f"{method!r} has neither steps nor samples, so n_steps= would be ignored. Leave it out."
            )
        changed[counts[0]] = n_steps
    if rule is not None:
        if "rule" not in names or rule not in _RULES:
            raise InputError(
                f"method= replaces the quadrature of integrated gradients, one of {', '.join(_RULES)}; got {rule!r}."
            )
        changed["rule"] = _RULES[rule]
    return replace(method, **changed) if changed else method  # pyright: ignore[reportArgumentType]


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

    def call(*args: Tensor, **keywords: Any) -> Tensor:
        return model(*args, *(keywords[name] for name in names))

    return call, dict(zip(names, values, strict=True))


def _absolute(maps: Inputs) -> Inputs:
    return like([part.abs() for part in as_tuple(maps)], maps)
