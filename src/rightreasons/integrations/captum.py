"""Our methods behind captum's interface, and captum's algorithms behind ours [kokhlikyan2020]."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Protocol, TypeAlias, final

import numpy as np
import torch
from torch import Tensor, nn

from rightreasons.attribution import (
    LRP,
    Attribution,
    Axioms,
    Evaluations,
    Explanation,
    GaussLegendre,
    InputTimesGradient,
    Left,
    Midpoint,
    Quadrature,
    Right,
    Trapezoid,
)
from rightreasons.attribution._attribution import Call
from rightreasons.core._errors import DifferentiabilityError, InputError, MissingExtraError
from rightreasons.core._function import Block, ScoreFunction
from rightreasons.core._guard import Model, explaining
from rightreasons.core._inputs import Inputs, as_tuple, check_inputs, like
from rightreasons.core._score import Target

try:
    from captum.attr import GradientAttribution
    from captum.log import log_usage  # pyright: ignore[reportAttributeAccessIssue]
except ImportError as error:
    raise MissingExtraError(
        "rightreasons.integrations.captum needs captum: pip install 'rightreasons[captum]'."
    ) from error

__all__ = ["Algorithm", "FromCaptum", "as_captum", "from_captum"]

CaptumTarget: TypeAlias = int | tuple[int, ...] | Tensor | list[int] | list[tuple[int, ...]] | None
Baselines: TypeAlias = int | float | Tensor | tuple[int | float | Tensor, ...] | None

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
            self.method, _our_baselines(asked["baselines"], inputs), asked["n_steps"], asked["method"]
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
    - `baselines`, in place of the method's baseline or references; methods without either take the target second;
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


def _our_baselines(baselines: Baselines, inputs: Inputs) -> int | float | Inputs | None:
    """Numbers within a tuple as tensors, single rows as often as the other inputs have rows."""
    if not isinstance(baselines, tuple):
        return baselines
    if len(baselines) != len(as_tuple(inputs)):
        raise InputError(f"{len(baselines)} baselines for {len(as_tuple(inputs))} inputs: give one for each.")
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


class _Attributes(Protocol):
    def attribute(self, inputs: Any, **keywords: Any) -> Any: ...


@final
@dataclass(frozen=True, repr=False, eq=False)
class FromCaptum(Attribution):
    """A captum algorithm as a method of ours; see `from_captum`.

    Args:
        algorithm: captum's class, or a function from the model to an algorithm.
        arguments: for its `attribute`, as pairs of name and value.
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=False,
        dummy=False,
        implementation_invariant=False,
        linear=False,
        differentiable=False,
        note="Another library's algorithm: nothing is claimed.",
    )

    algorithm: Callable[[Any], _Attributes]
    arguments: tuple[tuple[str, Any], ...] = ()

    def _maps(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Inputs:
        """`chunk` splits the rows, or is captum's `internal_batch_size` where it has one."""
        if call.create_graph:
            raise DifferentiabilityError(
                f"create_graph=True: {self!r} gives parameters no gradient. Captum has no graph through its maps; "
                "Use rr.IntegratedGradients() or another method of this package."
            )
        with explaining(model, second_order=False, hooks=True) as network, _drawing(call.generator):
            return self._attributed(network, inputs, target, call.chunk, dict(call.model_kwargs or {}))

    def _explanation(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Explanation:
        """With outputs; what the algorithm itself evaluated is not counted."""
        maps = self._maps(model, inputs, target, call)
        with explaining(model, second_order=False) as network, torch.no_grad():
            function = ScoreFunction(
                network, inputs, target, model_kwargs=call.model_kwargs, chunk=call.chunk
            )
            outputs = function.outputs_of_batch(function.points)
        return Explanation(maps, None, None, outputs, Evaluations(function.evaluations, 0))

    def _attributed(
        self, model: Model, inputs: Inputs, target: Target, chunk: int | None, keywords: dict[str, Any]
    ) -> Inputs:
        batch = check_inputs(inputs, integers_allowed=True)
        names = tuple(keywords)
        forward = _Forward(model, names, target if callable(target) else None)
        plain = not names and not callable(target)
        algorithm = self.algorithm(model if plain else forward)
        arguments = dict(self.arguments)
        batched = "internal_batch_size" in inspect.signature(algorithm.attribute).parameters
        if chunk is not None and batched:
            arguments["internal_batch_size"] = chunk
        rows = batch if chunk is None or batched else chunk
        parts = []
        for start in range(0, batch, rows):
            block = Block(start, min(start + rows, batch))
            taken = {k: block.take(v) if _is_per_row(v, batch) else v for k, v in keywords.items()}
            parts.append(
                as_tuple(
                    algorithm.attribute(
                        like([_asked(block.take(part)) for part in as_tuple(inputs)], inputs),
                        **arguments,
                        **({} if callable(target) else {"target": _their_target(target, block, batch)}),
                        **({"additional_forward_args": tuple(taken.values())} if names else {}),
                    )
                )
            )
        joined = [torch.cat(each).detach() for each in zip(*parts, strict=True)]
        return joined[0] if len(joined) == 1 and not isinstance(inputs, tuple) else tuple(joined)

    def __repr__(self) -> str:
        name = getattr(self.algorithm, "__name__", type(self.algorithm).__name__)
        settings = "".join(f", {key}={value!r}" for key, value in self.arguments)
        return f"from_captum({name}{settings})"


class _Forward(nn.Module):
    """A model whose keywords are positional, and whose output may be a score already."""

    def __init__(
        self, model: Model, names: tuple[str, ...], score: Callable[[Tensor], Tensor] | None
    ) -> None:
        super().__init__()
        self.model, self.names, self.score = model, names, score
        self.eval()

    def forward(self, *args: Any) -> Tensor:
        count = len(args) - len(self.names)
        outputs = self.model(*args[:count], **dict(zip(self.names, args[count:], strict=True)))
        return outputs if self.score is None else self.score(outputs)


def from_captum(
    algorithm: Callable[[Any], _Attributes], arguments: Mapping[str, Any] | None = None
) -> FromCaptum:
    """A captum algorithm as a method of ours, for metrics, audits and reports (not for training).

    It runs on the model in eval mode and leaves it as found. A generator seeds torch's and numpy's global state for
    the call, which is restored afterwards: captum has no generator of its own.

    Args:
        algorithm: captum's class, or a function from the model to an algorithm for those that need a layer.
        arguments: for its `attribute`: `{"n_steps": 20}`.

    Example:
        >>> import captum.attr, torch
        >>> saliency = from_captum(captum.attr.Saliency, {"abs": False})
        >>> saliency(lambda x: (x**2).sum(1), torch.tensor([[1.0, 3.0]]))
        tensor([[2., 6.]])
    """
    return FromCaptum(algorithm, tuple((arguments or {}).items()))


def _asked(part: Tensor) -> Tensor:
    part = part.detach().clone()
    return part.requires_grad_() if part.is_floating_point() else part


def _is_per_row(value: Any, batch: int) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == batch


def _their_target(target: Any, block: Block, batch: int) -> Any:
    if _is_per_row(target, batch):
        target = block.take(target)
        return [tuple(row) for row in target.tolist()] if target.dim() > 1 else target
    return target


@contextmanager
def _drawing(generator: torch.Generator | None) -> Iterator[None]:
    """Global random states made from the generator, and restored; without one they advance as usual."""
    if generator is None:
        yield
        return
    seed = int(torch.randint(2**31, (), generator=generator))
    state = np.random.get_state()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            np.random.seed(seed)
            yield
    finally:
        np.random.set_state(state)
