"""Captum's algorithms as methods of ours."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, final

import numpy as np
import torch
from torch import Tensor, nn

from rightreasons.attribution import Attribution, Axioms, Explanation
from rightreasons.attribution._attribution import Call, with_outputs
from rightreasons.core._checked import checked
from rightreasons.core._errors import DifferentiabilityError, InputError, ShapeError
from rightreasons.core._inputs import Inputs, as_tuple, check_inputs, like
from rightreasons.core._score import Target, check_rows
from rightreasons.core.model._function import Block
from rightreasons.core.model._guard import Model, explaining, in_view
from rightreasons.core.model._keywords import Keywords, keywords
from rightreasons.core.model._rows import check_follow


class _Attributes(Protocol):
    def attribute(self, inputs: Any, **keywords: Any) -> Any: ...


@final
@checked
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

    def __post_init__(self) -> None:
        if not callable(self.algorithm):
            raise InputError(
                f"the algorithm is captum's class, or a function from the model to an algorithm, as the model comes at "
                f"call time; got {self.algorithm!r}. Pass captum.attr.Saliency, or lambda model: LayerGradCam(model, "
                "model.layer)."
            )

    def _maps(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Inputs:
        """`chunk` splits the rows, or is captum's `internal_batch_size` where it has one."""
        if call.create_graph:
            raise DifferentiabilityError(
                f"create_graph=True: {self!r} gives parameters no gradient. Captum has no graph through its maps; "
                "Use rr.IntegratedGradients() or another method of this package."
            )
        with (
            explaining(model, second_order=False, hooks=True, by_others=True) as network,
            _drawing(call.generator),
        ):
            check_inputs(inputs, integers_allowed=True)
            found = keywords(network, as_tuple(inputs), call.model_kwargs)
            _check_rows(network, as_tuple(inputs), found, call.chunk)
            return self._attributed(network, inputs, target, call.chunk, found)

    def _explanation(self, model: Model, inputs: Inputs, target: Target, call: Call) -> Explanation:
        """With outputs; what the algorithm itself evaluated is not counted."""
        return with_outputs(self._maps(model, inputs, target, call), model, inputs, target, call)

    def _attributed(
        self, model: Model, inputs: Inputs, target: Target, chunk: int | None, called: Keywords
    ) -> Inputs:
        batch = check_inputs(inputs, integers_allowed=True)
        # Captum repeats every tensor it is given with the rows, so it gets only what follows them.
        names = tuple(name for name in called.values if name in called.per_row)
        shared = {name: v for name, v in called.values.items() if name not in called.per_row}
        forward = _Forward(model, names, shared, target if callable(target) else None)
        plain = not called.values and not callable(target)
        algorithm = in_view(self.algorithm)(model if plain else forward)
        arguments = in_view(dict(self.arguments))
        batched = "internal_batch_size" in inspect.signature(algorithm.attribute).parameters
        if chunk is not None and batched:
            arguments["internal_batch_size"] = chunk
        rows = batch if chunk is None or batched else chunk
        parts = []
        for start in range(0, batch, rows):
            block = Block(start, min(start + rows, batch))
            taken = called.of(block.take)
            parts.append(
                as_tuple(
                    algorithm.attribute(
                        like([_asked(block.take(part)) for part in as_tuple(inputs)], inputs),
                        **arguments,
                        **({} if callable(target) else {"target": _their_target(target, block, batch)}),
                        **(
                            {"additional_forward_args": tuple(taken[name] for name in names)} if names else {}
                        ),
                    )
                )
            )
        joined = [torch.cat(each).detach() for each in zip(*parts, strict=True)]
        for each in joined:
            if each.shape[0] != batch:
                raise ShapeError(
                    f"{self!r} gave maps {tuple(each.shape)} for {batch} rows: a map for each row is wanted. Name a "
                    "layer whose output has rows first, and have the model return an output for each row."
                )
        return joined[0] if len(joined) == 1 and not isinstance(inputs, tuple) else tuple(joined)

    def __repr__(self) -> str:
        name = getattr(self.algorithm, "__name__", type(self.algorithm).__name__)
        settings = "".join(f", {key}={value!r}" for key, value in self.arguments)
        return f"from_captum({name}{settings})"


class _Forward(nn.Module):
    """A model whose per-row keywords are positional, and whose output may be a score already."""

    def __init__(
        self,
        model: Model,
        names: tuple[str, ...],
        shared: Mapping[str, Any],
        score: Callable[[Tensor], Tensor] | None,
    ) -> None:
        super().__init__()
        self.model, self.names, self.shared, self.score = model, names, shared, score
        self.eval()

    def forward(self, *args: Any) -> Tensor:
        count = len(args) - len(self.names)
        own = dict(zip(self.names, args[count:], strict=True))
        outputs = self.model(*args[:count], **own, **self.shared)
        return outputs if self.score is None else self.score(outputs)


@checked
def from_captum(
    algorithm: Callable[[Any], _Attributes], arguments: Mapping[str, Any] | None = None
) -> FromCaptum:
    """A captum algorithm as a method of ours, for metrics, audits and reports (not for training).

    It runs on the model in eval mode and leaves it as found. A generator seeds torch's and numpy's global state for
    the call, which is restored afterwards: captum has no generator of its own.

    Args:
        algorithm: captum's class, or a function from the model to an algorithm for those that need a layer.
        arguments: for its `attribute`: `{"n_steps": 20}`.

    Raises:
        InputError: `algorithm` is neither, but an algorithm that has its model already, or a name.

    Example:
        >>> import captum.attr, torch
        >>> saliency = from_captum(captum.attr.Saliency, {"abs": False})
        >>> saliency(lambda x: (x**2).sum(1), torch.tensor([[1.0, 3.0]]))
        tensor([[2., 6.]])
    """
    return FromCaptum(algorithm, tuple((arguments or {}).items()))


def _check_rows(model: Model, inputs: tuple[Tensor, ...], called: Keywords, chunk: int | None) -> None:
    """Raise unless the model has an output for each row: captum takes any first dimension for the rows."""
    most = min(chunk or len(inputs[0]), len(inputs[0]))

    def run(rows: list[int]) -> Any:
        return model(*(part.detach()[rows] for part in inputs), **called.of(lambda value: value[rows]))

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        whole = run(list(range(most)))
        if (
            isinstance(whole, Tensor) and whole.dim() == 0
        ):  # one number for all rows, which some algorithms take
            return
        check_rows(whole, most)
        lengths = {*whole.shape[1:], *(size for part in inputs for size in part.shape[1:])}
        check_follow(whole, lengths, run, most=most)


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
