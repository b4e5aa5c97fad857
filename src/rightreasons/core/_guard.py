"""Run the caller's model the way an explanation needs it, and hand it back as it was."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel

from rightreasons.core._errors import DifferentiabilityError

Model: TypeAlias = nn.Module | Callable[..., Tensor]

_compiled_was_said = False


@contextmanager
def explaining(model: Model, *, second_order: bool) -> Iterator[Model]:
    """Inside, `model` computes what it predicts, differentiably; afterwards it is as it was, also after an error.

    - every module is in eval mode: an explanation is of the function that predicts (batch-norm left in train mode
      made 78 % of a measured gradient wrong; dropout adds noise; spectral norm would move its buffers);
    - gradients are on, also under `no_grad` and `inference_mode`;
    - recurrent layers do not use cuDNN, which has no backward in eval mode and no double backward;
    - for `second_order` use, attention runs on the math kernel (the fused ones have no double backward) and a
      compiled model runs uncompiled, which is said once.

    Yields the model to call: `model` itself, or the module inside a `torch.compile` or DDP wrapper.
    """
    _refuse(model, second_order)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if second_order:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        inner = _unwrapped(model, second_order)
        if isinstance(inner, nn.Module):
            if (
                any(isinstance(m, nn.RNNBase) for m in inner.modules())
                and torch.backends.cudnn.is_available()
            ):
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            stack.enter_context(_eval_mode(inner))
            if second_order:
                stack.enter_context(_without_compiled_calls(inner))
        yield inner


def _refuse(model: Model, second_order: bool) -> None:
    if isinstance(model, torch.jit.ScriptModule):
        raise DifferentiabilityError(
            "TorchScript modules cannot be explained: hooks and second derivatives do not work through them. "
            "Pass the Python module that was scripted."
        )
    if isinstance(model, DistributedDataParallel) and second_order and model.static_graph:
        raise DifferentiabilityError(
            "DistributedDataParallel(static_graph=True) called more than once a step gives silently wrong gradients. "
            "Wrap the Objective instead: DistributedDataParallel(Objective(model, ...))."
        )


def _unwrapped(model: Model, second_order: bool) -> Model:
    if isinstance(model, DistributedDataParallel):
        model = model.module
    original = getattr(model, "_orig_mod", None)
    if second_order and isinstance(original, nn.Module):
        _say_uncompiled()
        return original
    return model


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _without_compiled_calls(model: nn.Module) -> Iterator[None]:
    """Switch off `module.compile()`, which keeps the module's class but compiles its calls."""
    compiled = [(m, m._compiled_call_impl) for m in model.modules() if m._compiled_call_impl is not None]
    if compiled:
        _say_uncompiled()
    try:
        for module, _ in compiled:
            module._compiled_call_impl = None
        yield
    finally:
        for module, implementation in compiled:
            module._compiled_call_impl = implementation


def _say_uncompiled() -> None:
    global _compiled_was_said
    if not _compiled_was_said:
        _compiled_was_said = True
        warnings.warn(
            "torch.compile has no double backward: attributions that need one run the uncompiled module "
            "(same parameters, same values). The task pass stays compiled.",
            stacklevel=6,
        )
