"""Activations by name."""

from torch import nn

from rightreasons.core._errors import InputError
from rightreasons.core._suggest import did_you_mean

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
}


def activations() -> tuple[str, ...]:
    """Names of the activations that networks here can use; all but the ReLUs have a smooth gradient.

    >>> activations()[0]
    'relu'
    """
    return tuple(_ACTIVATIONS)


def activation(name: str) -> nn.Module:
    """A new activation module, or the error naming the closest name."""
    if name not in _ACTIVATIONS:
        raise InputError(f"There is no activation {name!r}. {did_you_mean(name, _ACTIVATIONS)}")
    return _ACTIVATIONS[name]()


def require_positive(name: str, *sizes: int) -> None:
    """Refuse layers without units."""
    if not all(size >= 1 for size in sizes):
        raise InputError(f"{name} must be at least 1, got {sizes}. A layer of no units passes nothing on.")


def require_probability(dropout: float) -> None:
    """Refuse a dropout that drops everything."""
    if not 0 <= dropout < 1:
        raise InputError(
            f"dropout must be in [0, 1), got {dropout}. It is the share of units dropped in training."
        )
