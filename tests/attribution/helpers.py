"""Comparisons and snapshots of the attribution tests."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rightreasons.attribution import PathAttribution
from rightreasons.core._inputs import Inputs
from tests.networks import as_args

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
"""Norm-relative: sums over the same points in another order."""


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def relative(got: Inputs, wanted: Inputs) -> float:
    """Norm of the difference over the norm of what is wanted, over all tensors."""
    pairs = list(zip(as_args(got), as_args(wanted), strict=True))
    difference = sum(float((a - b).detach().double().square().sum()) for a, b in pairs)
    norm = sum(float(b.detach().double().square().sum()) for _, b in pairs)
    return (difference / norm) ** 0.5 if norm else difference**0.5


def state(model: nn.Module) -> dict[str, Any]:
    """Everything an attribution must leave as found."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "modes": {name: m.training for name, m in model.named_modules()},
        "hooks": {name: [len(getattr(m, h)) for h in hooks] for name, m in model.named_modules()},
        "requires_grad": {name: p.requires_grad for name, p in model.named_parameters()},
        "values": {name: t.detach().clone() for name, t in model.state_dict().items()},
        "grads": {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()},
        "identity": {name: id(p) for name, p in model.named_parameters()},
        "global hooks": len(torch.nn.modules.module._global_forward_pre_hooks),
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "flash": torch.backends.cuda.flash_sdp_enabled(),
        "grad mode": torch.is_grad_enabled(),
    }


def assert_same_state(after: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    for key, old in before.items():
        new = after[key]
        if key in ("values", "grads"):
            assert new.keys() == old.keys()
            for name in old:
                same = new[name] is None if old[name] is None else torch.equal(new[name], old[name])
                assert same, f"{key} of {name} changed"
        else:
            assert new == old, key


def layers_of(
    model: nn.Sequential, at: str | None
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """A sequential model cut after layer `at`: the part before and the part behind."""
    cut = 0 if at is None else int(at) + 1
    return model[:cut].eval(), model[cut:].eval()


def call(method: PathAttribution, model: nn.Module, x: Inputs, y: Any = None, **keywords: Any) -> Inputs:
    """The maps with a fixed seed."""
    return method(model, x, y, generator=seeded(), **keywords)
