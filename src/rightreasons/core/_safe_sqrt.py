"""A square root with a finite gradient at zero."""

import torch
from jaxtyping import Float
from torch import Tensor


def safe_root(squares: Float[Tensor, "*F"]) -> Float[Tensor, "*F"]:
    """Square root whose gradient at zero is zero instead of infinite.

    >>> x = torch.tensor([0.0, 4.0], requires_grad=True)
    >>> safe_root(x).sum().backward()
    >>> x.grad
    tensor([0.0000, 0.2500])
    """
    there = squares > 0
    return torch.where(there, torch.where(there, squares, 1.0).sqrt(), 0.0)
