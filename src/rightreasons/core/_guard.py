"""Run the caller's model the way an explanation needs it, and hand it back as it was."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.nn.parallel import DataParallel, DistributedDataParallel

from rightreasons.core._errors import DifferentiabilityError, InputError

Model: TypeAlias = nn.Module | Callable[..., Tensor]

_compiled_was_said = False
_CHECKPOINT = (
    "the model uses torch.utils.checkpoint (or other saved-tensor hooks), which would run parts of it again later, "
    "in other modes and without the replaced layer: the maps' gradients would be silently wrong. Checkpoint in "
    "training only, `if self.training: ...`, as explanations run in eval mode."
)


@contextmanager
def explaining(model: Model, *, second_order: bool, hooks: bool = False) -> Iterator[Model]:
    """Inside, `model` computes what it predicts, differentiably; afterwards it is as it was, also after an error.

    - every module is in eval mode: an explanation is of the function that predicts (batch-norm left in train mode
      made 78 % of a measured gradient wrong; dropout adds noise; spectral norm would move its buffers). That holds
      for the modules that a plain callable calls, too;
    - gradients are on, also under `no_grad` and `inference_mode`;
    - recurrent layers do not use cuDNN, which has no backward in eval mode and no double backward; transformer
      layers do not use their inference-only kernels, which give padded positions other values;
    - for `second_order` use, attention runs on the math kernel (the fused ones have no double backward);
    - for `second_order` use and for `hooks` on layers, a compiled model runs uncompiled, which is said once, and
      activation checkpointing, whose recomputation would come after all this is over, is refused.

    Yields the model to call: `model` itself, or what is inside a `torch.compile`, DDP or DataParallel wrapper (whose
    threads would know nothing of all this).
    """
    _refuse(model, second_order)
    uncompiled = second_order or hooks
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_without_inference_kernels())
        inner = _unwrapped(model, uncompiled)
        stack.enter_context(_eval_mode(inner))
        if _may_recur(inner) and torch.backends.cudnn.is_available():
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        if second_order:
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if uncompiled:
            stack.enter_context(_without_compiled_calls(inner))
            stack.enter_context(_without_checkpoints())
        yield inner


def _may_recur(model: Model) -> bool:
    return not isinstance(model, nn.Module) or any(isinstance(m, nn.RNNBase) for m in model.modules())


def _refuse(model: Model, second_order: bool) -> None:
    parts = model.modules() if isinstance(model, nn.Module) else (model,)
    if any(isinstance(part, torch.jit.ScriptModule | torch.jit.ScriptFunction) for part in parts):
        raise DifferentiabilityError(
            "TorchScript modules cannot be explained: hooks and second derivatives do not work through them. "
            "Pass the Python module that was scripted."
        )
    if isinstance(model, DistributedDataParallel) and second_order and model.static_graph:
        raise DifferentiabilityError(
            "DistributedDataParallel(static_graph=True) called more than once a step gives silently wrong gradients. "
            "Wrap the Objective instead: DistributedDataParallel(Objective(model, ...))."
        )


def _unwrapped(model: Model, uncompiled: bool) -> Model:
    if isinstance(model, DistributedDataParallel | DataParallel):
        model = model.module
    original = getattr(model, "_orig_mod", None)  # of a compiled module; of a compiled function:
    original = getattr(model, "_torchdynamo_orig_callable", None) if original is None else original
    if uncompiled and original is not None:
        _say_uncompiled()
        return original
    return model


@contextmanager
def _eval_mode(model: Model) -> Iterator[None]:
    """Eval mode for every module of the model, or for every one that a plain callable turns out to call."""
    changed: list[nn.Module] = []

    def evaluate(module: nn.Module, *_: Any) -> None:
        if module.training:
            training = [part for part in module.modules() if part.training]
            changed.extend(training)
            for part in training:
                part.training = False
        _refuse_coupled_rows(module)

    owner = model if isinstance(model, nn.Module) else getattr(model, "__self__", None)
    watch = None if isinstance(model, nn.Module) else register_module_forward_pre_hook(evaluate)
    try:
        for module in owner.modules() if isinstance(owner, nn.Module) else ():
            evaluate(module)
        yield
    finally:
        if watch is not None:
            watch.remove()
        for module in changed:
            module.training = True


def _refuse_coupled_rows(module: nn.Module) -> None:
    if isinstance(module, _BatchNorm) and module.running_mean is None:
        raise InputError(
            f"{type(module).__name__} without running statistics normalises each row with the others, also in eval "
            "mode, so a row has no explanation of its own. Use track_running_stats=True, GroupNorm or LayerNorm."
        )


@contextmanager
def _without_inference_kernels() -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _without_checkpoints() -> Iterator[None]:
    try:
        with torch.autograd.graph.disable_saved_tensors_hooks(_CHECKPOINT):
            yield
    except RuntimeError as error:
        if str(error) != _CHECKPOINT:
            raise
        raise DifferentiabilityError(_CHECKPOINT) from error


@contextmanager
def _without_compiled_calls(model: Model) -> Iterator[None]:
    """Run what is compiled inside a model, by `part.compile()` or `torch.compile(part)`, as it was written."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    called = [(m, m._compiled_call_impl) for m in modules if m._compiled_call_impl is not None]
    wrapped = [(m, m.forward) for m in modules if isinstance(m._modules.get("_orig_mod"), nn.Module)]
    if called or wrapped:
        _say_uncompiled()
    try:
        for module, _ in called:
            module._compiled_call_impl = None
        for module, _ in wrapped:
            module.forward = module.get_submodule("_orig_mod").__call__
        yield
    finally:
        for module, implementation in called:
            module._compiled_call_impl = implementation
        for module, implementation in wrapped:
            module.forward = implementation


def _say_uncompiled() -> None:
    global _compiled_was_said
    if not _compiled_was_said:
        _compiled_was_said = True
        warnings.warn(
            "torch.compile has no double backward and skips hooks on layers: attributions that need either run the "
            "uncompiled module (same parameters, same values). The task pass stays compiled.",
            stacklevel=6,
        )
