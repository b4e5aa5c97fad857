"""Eval mode and differentiable kernels while a model is explained; the model is unmodified."""

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from rightreasons.core._errors import DifferentiabilityError, InputError
from rightreasons.core.model._view import SCRIPTED, Prepare, Views, is_sharded, refuse_unusable

Model: TypeAlias = nn.Module | Callable[..., Tensor]

_compiled_was_said = False
_CHECKPOINT = (
    "the model uses torch.utils.checkpoint (or other saved-tensor hooks), which would run parts of it again later, "
    "in other modes and without the replaced layer: the maps' gradients would be silently wrong. Checkpoint in "
    "training only, `if self.training: ...`, as explanations run in eval mode."
)


class _Here(threading.local):
    """What this thread is explaining."""

    views: Views | None = None


_here = _Here()


@contextmanager
def explaining(
    model: Model, *, second_order: bool, hooks: bool = False, by_others: bool = False
) -> Iterator[Model]:
    """Yields a model that computes what `model` predicts, differentiably, for this thread alone.

    `model` itself is not touched, so that others can train it or predict with it meanwhile: what is yielded is a view
    of its modules (see `core._view`) with its own parameters and buffers. In it

    - every module is in eval mode: an explanation is of the function that predicts (batch-norm left in train mode
      made 78 % of a measured gradient wrong; dropout adds noise; spectral norm would move its buffers). That holds
      for the modules that a plain callable calls, too;
    - recurrent layers do not use cuDNN, which has no backward in eval mode and no double backward; transformer
      layers do not use their inference-only kernels, which give padded positions other values;
    - nothing is compiled for `second_order` use and for `hooks` on layers, which is said once.

    Inside, gradients are on, also under `no_grad` and `inference_mode`; activation checkpointing, whose recomputation
    would come after all this is over, is refused for `second_order` use and for `hooks`.

    DDP and DataParallel wrappers are looked through. A model that is sharded by FSDP cannot be seen another way, and
    is put into eval mode itself.

    Args:
        model: a module or callable.
        second_order: the maps are differentiated again. What runs the model keeps to `SecondOrderKernels`.
        hooks: on layers, of which compiled code knows nothing.
        by_others: code that was given elsewhere runs inside, and may call the model by references of its own.

    Raises:
        InputError: the model cannot be explained, or its weights changed meanwhile.
        DifferentiabilityError: it has no second derivative, or is TorchScript.
    """
    _refuse(model, second_order)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        network = stack.enter_context(_viewed(_unwrapped(model), second_order, hooks or by_others, by_others))
        if second_order or hooks:
            stack.enter_context(_without_checkpoints())
        yield network


def in_view(value: Any) -> Any:
    """`value`, where it leads to the model that this thread is explaining: to the view of it instead."""
    return value if _here.views is None else _here.views.of(value)


@contextmanager
def each_module(model: Model, prepare: Prepare) -> Iterator[None]:
    """Prepare every module that runs, also those that a plain callable turns out to call; taken back afterwards.

    Args:
        model: what `explaining` yielded.
        prepare: changes a module of the view, and returns what takes the change back.
    """
    if _here.views is not None:
        with _here.views.each(prepare):
            yield
        return
    undo = [prepare(module) for module in model.modules()] if isinstance(model, nn.Module) else []
    try:
        yield
    finally:
        for take_back in undo:
            take_back()


def _refuse(model: Model, second_order: bool) -> None:
    if isinstance(model, type):
        raise InputError(
            f"the model is the class {model.__name__}, not a network: make one, {model.__name__}(...)."
        )
    if isinstance(model, torch.jit.ScriptFunction):
        raise DifferentiabilityError(SCRIPTED)
    if isinstance(model, DistributedDataParallel) and second_order and model.static_graph:
        raise DifferentiabilityError(
            "DistributedDataParallel(static_graph=True) called more than once a step gives silently wrong gradients. "
            "Wrap the Objective instead: DistributedDataParallel(Objective(model, ...))."
        )


def _unwrapped(model: Model) -> Model:
    return model.module if isinstance(model, DistributedDataParallel | DataParallel) else model


@contextmanager
def _viewed(model: Model, second_order: bool, hooks: bool, by_others: bool) -> Iterator[Model]:
    module, outer, uncompiled = (
        model if isinstance(model, nn.Module) else None,
        _here.views,
        second_order or hooks,
    )
    if module is not None and outer is not None and outer.made(module) and outer.hooks >= hooks:
        yield model
        return
    original = _before_compilation(model)
    parts = () if module is None else tuple(module.modules())
    if parts and original is not None and not uncompiled and not any(part.training for part in parts):
        yield model  # as it is: a view would be compiled anew each time
        return
    if any(map(is_sharded, parts)):
        with _in_eval_mode(parts):
            yield model
        return
    views = Views(hooks=hooks or module is None, everything=module is None)
    network = views.of(model if original is None else original)
    if uncompiled and (views.compiled or original is not None):
        _say_uncompiled()
    with ExitStack() as stack:
        stack.enter_context(_seen_here(views))
        if by_others or module is None:
            stack.enter_context(_redirected())
        yield network


def _before_compilation(model: Model) -> Any:
    """What `torch.compile` made a module or function of; None of any other."""
    if isinstance(model, nn.Module):
        return dict(model.named_children()).get("_orig_mod")
    return getattr(model, "_torchdynamo_orig_callable", None)


@contextmanager
def _seen_here(views: Views) -> Iterator[None]:
    before, _here.views = _here.views, views
    try:
        yield
    except RuntimeError as error:
        said = f"{error} {error.__cause__}"  # a method may have put it in words of its own
        if views.moved and "modified by an inplace operation" in said:
            raise _changed_meanwhile() from error
        raise
    finally:
        _here.views = before
    if views.moved:
        raise _changed_meanwhile()


def _changed_meanwhile() -> InputError:
    return InputError(
        "the model's weights, or its batch-norm statistics, were written to while it was explained, so the map is of "
        "no one model. If another thread trains it: explain a copy, copy.deepcopy(model), or take turns with a "
        "threading.Lock. If none does, forward writes them or calls a module by a way that cannot be followed (an "
        "attribute of a class): call model.eval() first."
    )


_call = nn.Module.__call__
_redirections, _redirecting = 0, threading.Lock()


def _redirected_call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    views = _here.views
    return _call(module if views is None else views.called(module), *args, **kwargs)


@contextmanager
def _redirected() -> Iterator[None]:
    """Modules that this thread calls are seen in its view, whoever has the reference; other threads notice nothing.

    PyTorch tells nobody which modules a function will call, so all calls are looked at (as torch.fx does to trace).
    """
    global _redirections
    with _redirecting:
        _redirections += 1
        nn.Module.__call__ = _redirected_call
    try:
        yield
    finally:
        with _redirecting:
            _redirections -= 1
            if _redirections == 0:
                nn.Module.__call__ = _call


@contextmanager
def _in_eval_mode(modules: Sequence[nn.Module]) -> Iterator[None]:
    for module in modules:
        refuse_unusable(module)
    training = [module for module in modules if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _without_checkpoints() -> Iterator[None]:
    try:
        with torch.autograd.graph.disable_saved_tensors_hooks(_CHECKPOINT):
            yield
    except RuntimeError as error:
        if str(error) != _CHECKPOINT:
            raise
        raise DifferentiabilityError(_CHECKPOINT) from error


def _say_uncompiled() -> None:
    global _compiled_was_said
    if not _compiled_was_said:
        _compiled_was_said = True
        warnings.warn(
            "torch.compile has no double backward and skips hooks on layers: attributions that need either run the "
            "uncompiled module (same parameters, same values). The task pass stays compiled.",
            stacklevel=7,
        )
