"""Engines: how a penalty's gradient reaches the parameters (double backprop, or recomputation)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rightreasons.attribution import PathAttribution
from rightreasons.attribution.path._path import PathSum, Sums
from rightreasons.core._checked import Count, checked
from rightreasons.core._errors import DifferentiabilityError, InputError
from rightreasons.core._inputs import Inputs, as_tuple, like
from rightreasons.core._score import Target
from rightreasons.core.model._grad import vector_jacobian
from rightreasons.core.model._guard import Model, explaining, in_view
from rightreasons.core.model._kernels import SecondOrderKernels

Attribution: TypeAlias = PathAttribution | Callable[..., Inputs]


class Engine(ABC):
    """Computes maps whose gradient reaches the model's parameters."""

    @abstractmethod
    def maps(
        self,
        attribution: Attribution,
        model: Model,
        inputs: Inputs,
        target: Target,
        *,
        generator: torch.Generator | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Inputs:
        """Maps with a graph to the parameters (without one where gradients are off)."""


@final
@dataclass(frozen=True)
class DoubleBackprop(Engine):
    """Keep the graph of every gradient and differentiate through it. The faster way for one or two draws.

    Cost: memory grows with the number of draws; about 2 further plain steps for each draw.
    """

    def maps(
        self,
        attribution: Attribution,
        model: Model,
        inputs: Inputs,
        target: Target,
        *,
        generator: torch.Generator | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Inputs:
        if isinstance(attribution, PathAttribution):
            return attribution.training_maps(
                model,
                inputs,
                target,
                accumulate=partial(PathSum.accumulate, create_graph=True),
                generator=generator,
                model_kwargs=model_kwargs,
            )
        connected = torch.is_grad_enabled()
        with (
            explaining(model, second_order=connected, by_others=True) as network,
            SecondOrderKernels() if connected else nullcontext(),
        ):
            maps = in_view(attribution)(
                network,
                inputs,
                target,
                generator=generator,
                create_graph=connected,
                model_kwargs=model_kwargs,
            )
        return maps if connected else like([part.detach() for part in as_tuple(maps)], maps)


@final
@checked
@dataclass(frozen=True)
class Recompute(Engine):
    """Sum over draws without a graph; in backward, recompute chunk by chunk. Memory does not grow with draws.

    An autograd Function over the parameters keeps only the statistics; its backward recomputes every chunk on
    detached copies of the parameters, in a view of the model, and contracts it with the incoming cotangent. The
    gradients are those of `DoubleBackprop` (to rounding). For methods that are sums over draws; third-order
    gradients are refused.

    Cost: one more forward and backward pass for each draw than `DoubleBackprop`, memory of one chunk.

    Args:
        chunk: most model rows in one forward pass; None: one draw of every row at a time.

    Raises:
        InputError: chunk is not or the attribution is not a sum over draws.
        DifferentiabilityError: the model is no `nn.Module`, is sharded layer by layer, or its buffers changed
            between forward and backward, or no parameter moves the maps.
    """

    chunk: Count | None = None

    def __post_init__(self) -> None:
        if self.chunk is not None and self.chunk < 1:
            raise InputError(
                f"chunk is the most model rows in one forward pass, at least 1; got {self.chunk}."
            )

    def maps(
        self,
        attribution: Attribution,
        model: Model,
        inputs: Inputs,
        target: Target,
        *,
        generator: torch.Generator | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Inputs:
        if not isinstance(attribution, PathAttribution):
            raise InputError(
                f"Recompute works for methods whose maps are sums over draws; {attribution!r} is not one. "
                "Use engine=DoubleBackprop()."
            )
        return attribution.training_maps(
            model,
            inputs,
            target,
            accumulate=self._accumulate,
            generator=generator,
            model_kwargs=model_kwargs,
        )

    def _accumulate(self, path: PathSum) -> Sums:
        model = path.function.model
        if not isinstance(model, nn.Module):
            raise DifferentiabilityError(
                f"Recompute replaces parameters, so the model must be an nn.Module; got {type(model).__name__}."
            )
        _refuse_sharded_layers(model)
        trainable = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        names = tuple(name for name, _ in trainable)
        chunk = self.chunk or path.function.batch
        return _RecomputedSums.apply(path, chunk, names, *path.leaves, *(p for _, p in trainable))


class _RecomputedSums(torch.autograd.Function):
    """(leaves, parameters) -> sums over draws of a `PathSum`, with a backward that recomputes."""

    @staticmethod
    def forward(ctx: Any, path: PathSum, chunk: int, names: tuple[str, ...], *tensors: Tensor) -> Sums:
        ctx.path, ctx.chunk, ctx.names = path, chunk, names
        ctx.buffers = _buffer_versions(path)
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        leaves = tuple(t.detach() for t in tensors[: len(path.leaves)])
        ctx.conditions = _Conditions(path.leaves[0].device.type)
        with torch.enable_grad():
            sums = path.accumulate(chunk=chunk, leaves=leaves)
        ctx.conditions.notice_draws()
        return sums

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        return _recomputed(ctx, *cotangents)


@once_differentiable
def _recomputed(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
    path: PathSum = ctx.path
    _check_buffers(path, ctx.buffers)
    needed = ctx.needs_input_grad[3:]
    fresh = [t.detach().requires_grad_(n) for t, n in zip(ctx.saved_tensors, needed, strict=True)]
    wanted = [t for t in fresh if t.requires_grad]
    totals: list[Tensor | None] = [None] * len(wanted)
    with ctx.conditions.restored(), explaining(path.function.model, second_order=True):
        for part in _contracted(path, ctx.chunk, fresh, ctx.names, wanted, cotangents):
            totals = [_sum(total, grad) for total, grad in zip(totals, part, strict=True)]
    if all(total is None for total in totals):
        raise DifferentiabilityError(
            "no parameter moves these maps, so this penalty would silently train nothing: does the model use its "
            "parameters under no_grad or detached? rr.training.check_differentiable shows each."
        )
    grads = iter(totals)
    return (None, None, None, *(next(grads) if n else None for n in needed))


def _contracted(
    path: PathSum,
    chunk: int,
    tensors: list[Tensor],
    names: tuple[str, ...],
    wanted: list[Tensor],
    cotangents: tuple[Tensor | None, ...],
) -> Iterator[tuple[Tensor | None, ...]]:
    leaves = tuple(tensors[: len(path.leaves)])
    parameters = dict(zip(names, tensors[len(leaves) :], strict=True))
    for rows, pieces in path.pieces(chunk):
        for piece in pieces:
            values = path.evaluate(piece, create_graph=True, leaves=leaves, parameters=parameters)
            pairs = [(v, c[rows]) for v, c in zip(values, cotangents, strict=True) if c is not None]
            yield vector_jacobian([v for v, _ in pairs], wanted, [c for _, c in pairs])


def _sum(total: Tensor | None, grad: Tensor | None) -> Tensor | None:
    if total is None or grad is None:
        return grad if total is None else total
    return total + grad


class _Conditions:
    """What the forward ran under and its backward has to run under again: autocast and random state."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.autocast = torch.is_autocast_enabled(device)
        self.dtype = torch.get_autocast_dtype(device)
        self.random_state: Tensor | None = torch.get_rng_state()

    def notice_draws(self) -> None:
        """Forget the random state if the forward did not draw: it is one for all threads, which may be drawing."""
        if self.random_state is not None and torch.equal(self.random_state, torch.get_rng_state()):
            self.random_state = None

    @contextmanager
    def restored(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(torch.autocast(self.device, self.dtype, self.autocast))
            if self.random_state is not None:
                stack.enter_context(torch.random.fork_rng(devices=[]))
                torch.set_rng_state(self.random_state)
            yield


def _buffer_versions(path: PathSum) -> dict[str, int]:
    model = path.function.model
    return {name: b._version for name, b in model.named_buffers()} if isinstance(model, nn.Module) else {}


def _check_buffers(path: PathSum, before: dict[str, int]) -> None:
    now = _buffer_versions(path)  # with those that forward made when it ran first
    moved = [name for name, version in before.items() if now.get(name) != version]
    if moved:
        raise DifferentiabilityError(
            f"buffers changed between a penalty's forward and its backward: {', '.join(moved[:3])}. The gradient "
            "would be of another function. Run the task's forward first (Objective does) and no other in between."
        )


def _refuse_sharded_layers(model: nn.Module) -> None:
    if not torch.distributed.is_available():
        return
    from torch.distributed.fsdp import FSDPModule

    if any(isinstance(m, FSDPModule) for m in model.modules() if m is not model):
        raise DifferentiabilityError(
            "Recompute cannot run on a model sharded layer by layer (fully_shard on submodules). "
            "Shard the root only, or use engine=DoubleBackprop()."
        )
