"""Tiny classifiers to attack, and attacks to try on them."""

import torch
from torch import Tensor, nn

from rightreasons.attacks import L1, L2, Linf, Norm

NORMS: tuple[Norm, ...] = (Linf(), L2(), L1(), L1(share=0.5))


def mlp(
    activation: type[nn.Module] = nn.ReLU, features: int = 6, classes: int = 3, seed: int = 0
) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Linear(features, 16), activation(), nn.Linear(16, 16), activation(), nn.Linear(16, classes)
        ).double()
        for layer in model[::2]:  # strong enough for every class to occur
            nn.init.normal_(layer.weight, std=0.8)
        return model


def cnn(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(54, 3),
        ).double()


def rows(count: int, *shape: int, seed: int = 1) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def copies(model: nn.Module) -> dict[str, Tensor]:
    """What a model holds, to compare with later."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def check_untouched(model: nn.Module, values: dict[str, Tensor], training: bool) -> None:
    assert all(m.training is training for m in model.modules())
    assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())
