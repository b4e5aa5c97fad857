"""A view of a model: modules copied, parameters and buffers shared, so that the model is never switched.

A module's state (mode, hooks, which tensor is called `weight`) is one for all threads, and whatever changes it for a
while is seen by everybody who runs the module meanwhile. A view is a second set of module objects around the same
tensors: it can be put into eval mode, hooked and given other parameters while the model itself trains or predicts.
"""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from rightreasons.core._errors import DifferentiabilityError, InputError
from rightreasons.core.model._held import PLAIN, Substitution, put, slots

Prepare = Callable[[nn.Module], Callable[[], None]]
"""Changes a module of a view, and returns what takes the change back."""

_HOOKS = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    *("_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called"),
)
_STRUCTURE = frozenset(vars(nn.Module()))
SCRIPTED = (
    "TorchScript modules cannot be explained: hooks and second derivatives do not work through them. Pass the Python "
    "module that was scripted."
)


class Views(Substitution):
    """One copy of every module of a model, however many names and references the module has.

    What a module holds besides (see `Substitution`) leads to the copies where it led to modules of the model;
    everything else is shared. Copies are in eval mode, run uncompiled, and use no kernels that
    are for inference only.

    Args:
        values: id of a parameter -> what stands in its place, wherever the parameter is held.
        hooks: hooks may be registered on the copies; else they share empty tables with the modules themselves.
        everything: calls of modules that are not known yet go to a copy, too.

    Raises:
        InputError, DifferentiabilityError: a module cannot be explained.

    Attributes:
        compiled: whether something compiled was met.
    """

    def __init__(
        self, values: Mapping[int, Tensor] | None = None, *, hooks: bool = True, everything: bool = False
    ) -> None:
        super().__init__()
        self.values, self.hooks, self.everything, self.compiled = values or {}, hooks, everything, False
        self.objects = not everything  # they are the caller's, and calls find their way without
        self._copies: dict[int, nn.Module] = {}
        self._watched: list[tuple[Tensor, int]] = []
        self._prepared: list[tuple[Prepare, list[Callable[[], None]]]] = []

    def made(self, module: nn.Module) -> bool:
        """Whether a module is one of these copies."""
        return self._copies.get(id(module)) is module

    def called(self, module: nn.Module) -> nn.Module:
        """What runs when somebody calls `module`."""
        return self.module(module) if self.everything else self._copies.get(id(module), module)

    def tensor(self, tensor: Tensor) -> Tensor:
        """The value in place of a parameter; any other tensor itself."""
        return self.values.get(id(tensor), tensor)

    def knows(self, module: nn.Module) -> bool:
        """Whether there is, or will be, a copy of a module."""
        return self.everything or id(module) in self._copies

    def module(self, module: nn.Module) -> nn.Module:
        """The copy of a module."""
        known = self._copies.get(id(module))
        if known is not None:
            return known
        refuse_unusable(module)
        if is_sharded(module):
            raise DifferentiabilityError(
                f"{type(module).__name__} is sharded by FSDP, so it cannot be given other weights (NoiseGrad, "
                "Recompute) or be explained from inside a function: the shards find their way to the module itself "
                "only. Pass the module, to a method that needs neither."
            )
        copy, state = _bare(module), dict(vars(module))
        self._copies[id(module)] = self._copies[id(copy)] = copy
        self._known[id(module)] = module, copy
        self.compiled |= state.pop("_compiled_call_impl", None) is not None
        vars(copy).update(state, training=False)
        self._share_tensors(copy, module)
        vars(copy)["_modules"] = {
            name: None if part is None else self.module(part)
            for name, part in list(state["_modules"].items())
        }
        for name in _HOOKS:
            if state[name] or self.hooks:
                vars(copy)[name] = OrderedDict(
                    (key, self.of(hook)) for key, hook in list(state[name].items())
                )
        for name, value in state.items():
            if name not in _STRUCTURE and type(value) not in PLAIN:
                vars(copy)[name] = self.of(value)
        put(copy, {member: self.of(value) for member, value in slots(module).items()})
        self.compiled |= _adapt(copy)
        for prepare, undo in self._prepared:
            undo.append(prepare(copy))
        return copy

    def _share_tensors(self, copy: nn.Module, module: nn.Module) -> None:
        parameters, buffers = dict(module._parameters), dict(module._buffers)
        vars(copy)["_parameters"] = {name: self.values.get(id(p), p) for name, p in parameters.items()}
        vars(copy)["_buffers"] = buffers
        held = (*parameters.values(), *(buffers.values() if isinstance(module, _NormBase) else ()))
        self._watched += [(t, t._version) for t in held if t is not None and not t.is_inference()]

    @property
    def moved(self) -> bool:
        """Whether parameters, or statistics of norms, were written to since the copies were made."""
        return any(tensor._version != version for tensor, version in self._watched)

    @contextmanager
    def each(self, prepare: Prepare) -> Iterator[None]:
        """Every copy is prepared, also those that are made later on; afterwards all is taken back."""
        undo: list[Callable[[], None]] = []
        undo += [prepare(copy) for key, copy in list(self._copies.items()) if key == id(copy)]
        self._prepared.append((prepare, undo))
        try:
            yield
        finally:
            self._prepared.remove((prepare, undo))
            for take_back in undo:
                take_back()


def _bare(module: nn.Module) -> nn.Module:
    """An object of the module's class with nothing in it."""
    kind, other = type(module), {}
    if hasattr(kind, "__del__"):  # would give up what the module itself still needs
        other["__del__"] = lambda _: None
    if parametrize._cache_enabled and parametrize.is_parametrized(
        module
    ):  # the cache knows the module itself only
        other |= {
            name: property(partial(_parametrized, name))
            for name in vars(module)["_modules"]["parametrizations"]
        }
    if other:
        kind = type(kind.__name__, (kind,), {**other, "__module__": kind.__module__})
    try:
        copy = object.__new__(kind)
    except TypeError as error:
        raise InputError(
            f"{type(module).__name__} is a module and a built-in type at once, of which no view can be made ({error}). "
            "Wrap it in a module that holds it, or pass a function: lambda x: model(x)."
        ) from error
    return copy


def _parametrized(name: str, module: Any) -> Any:
    return module.parametrizations[name]()


def refuse_unusable(module: nn.Module) -> None:
    """Raise if a module, its parts aside, cannot be explained."""
    if isinstance(module, torch.jit.ScriptModule):
        raise DifferentiabilityError(SCRIPTED)
    if any(t is not None and is_lazy(t) for t in (*module._parameters.values(), *module._buffers.values())):
        raise InputError(
            f"{type(module).__name__} has no weights yet: its first forward pass draws them, and the map would be of "
            "that draw. Run the model once on a batch, model(x), before it is explained."
        )
    if isinstance(module, _BatchNorm) and module.running_mean is None:
        raise InputError(
            f"{type(module).__name__} without running statistics normalises each row with the others, also in eval "
            "mode, so a row has no explanation of its own. Use track_running_stats=True, GroupNorm or LayerNorm."
        )


def is_sharded(module: nn.Module) -> bool:
    """Whether FSDP holds the module's parameters."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return False
    from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel

    return isinstance(module, FSDPModule | FullyShardedDataParallel)


def _adapt(copy: nn.Module) -> bool:
    """Have a copy run as it was written, by kernels that have derivatives; whether it was compiled."""
    state = vars(copy)
    if isinstance(copy, nn.TransformerEncoderLayer):
        state["activation_relu_or_gelu"] = (
            0  # nor its fused kernel, which gives padded positions other values
        )
    elif isinstance(copy, nn.TransformerEncoder):
        state["use_nested_tensor"] = False
    elif isinstance(copy, nn.RNNBase):
        state["_flat_weights"] = list(state["_flat_weights"])  # written to whenever a weight is set
        if torch.backends.cudnn.is_available():
            state["forward"] = partial(_run_without_cudnn, weakref.ref(copy), state.get("forward"))
    whole = state["_modules"].get("_orig_mod")
    if isinstance(whole, nn.Module):
        state["forward"] = whole.__call__
    return whole is not None


def _run_without_cudnn(
    itself: "weakref.ref[nn.Module]", forward: Callable[..., Any] | None, *args: Any, **kwargs: Any
) -> Any:
    module: Any = itself()
    with _without_cudnn():
        return type(module).forward(module, *args, **kwargs) if forward is None else forward(*args, **kwargs)


class _Switch:
    """A switch of the whole process that is off while somebody needs it off; nobody finds it off afterwards."""

    def __init__(self) -> None:
        self.lock, self.users, self.before = threading.Lock(), 0, True

    def take(self) -> None:
        """One more user; the first notes how it was and turns it off."""
        with self.lock:
            if self.users == 0:
                self.before = torch.backends.cudnn.enabled
                torch.backends.cudnn.set_flags(_enabled=False)
            self.users += 1

    def leave(self) -> None:
        """One user less; the last one restores it."""
        with self.lock:
            self.users -= 1
            if self.users == 0:
                torch.backends.cudnn.set_flags(_enabled=self.before)


_CUDNN = _Switch()


@contextmanager
def _without_cudnn() -> Iterator[None]:
    """For the forward pass of a recurrent layer alone: cuDNN has no backward in eval mode and no double backward.

    PyTorch has no such switch for a thread. Others compute the same meanwhile, by other kernels.
    """
    _CUDNN.take()
    try:
        yield
    finally:
        _CUDNN.leave()


def with_values(model: nn.Module, values: Mapping[str, Tensor]) -> nn.Module:
    """`model` as it would be, in eval mode, with other values of some parameters; it keeps its own.

    Shared parameters, and modules under several names, are replaced wherever they are.

    Args:
        model: a module.
        values: names as in `model.named_parameters()` -> values, which may carry a graph.
    """
    named = dict(model.named_parameters(remove_duplicate=False))
    view = Views({id(named[name]): value for name, value in values.items()}).module(model)
    vars(view)[_REPLACED] = True
    return view


def has_values(model: nn.Module) -> bool:
    """Whether a module is one of `with_values`, or a view of one."""
    return _REPLACED in vars(model)


_REPLACED = "_rightreasons_replaced"
