"""Our methods as explanation functions of Quantus, which is not needed for it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from rightreasons.attribution import Attribution
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError

__all__ = ["explain_func"]


@checked
def explain_func(
    method: Attribution, *, generator: torch.Generator | None = None
) -> Callable[..., np.ndarray]:
    """The method as an `explain_func` of Quantus: arrays in, an array out.

        quantus.MaxSensitivity()(model=net, x_batch=x, y_batch=y, a_batch=None, explain_func=explain_func(method))

    Inputs take the precision and device of the model (or `device=`). Maps are summed over the axes `reduce_axes`, as
    Quantus' own explanations are: by default axis 1, the channels, of inputs with at least three dimensions, and none
    of tables; `explain_func_kwargs={"reduce_axes": ()}` keeps every channel, `"keepdims": False` drops the axes.
    `normalise`, `abs` and `softmax`, which Quantus passes on, are its own business. One-channel maps are repeated by
    Quantus where a metric needs them.

    Args:
        method: any method of this package for one input.
        generator: CPU generator of the draws; None advances the global one, as Quantus's repeated calls expect.

    Returns:
        (model, inputs, targets, **settings) -> maps, float arrays of the shape of the inputs, summed over reduce_axes.

    Raises:
        InputError: with `channel_first=False`.

    Example:
        >>> import torch, rightreasons as rr
        >>> explain = explain_func(rr.Gradient())
        >>> explain(torch.nn.Linear(3, 2), np.ones((4, 3)), np.zeros(4, dtype=int), device="cpu").shape
        (4, 3)
    """

    def explain(model: nn.Module, inputs: np.ndarray, targets: np.ndarray, **settings: Any) -> np.ndarray:
        if settings.get("channel_first") is False:
            raise InputError(
                "models of PyTorch read channels first: pass channel_first=True and (B, C, H, W)."
            )
        parameter = next(model.parameters(), torch.empty(0))
        device = settings.get("device") or parameter.device
        x = torch.as_tensor(np.asarray(inputs)).to(device=device, dtype=parameter.dtype)
        y = torch.as_tensor(np.asarray(targets)).to(device=device, dtype=torch.long)
        maps = method(model, x, y.reshape(-1) if y.dim() < 2 else y, generator=generator)
        if not isinstance(maps, torch.Tensor):
            raise InputError(f"Quantus explains one input; {method!r} gave {len(maps)} maps.")
        return _reduced(maps, settings).detach().cpu().numpy()

    return explain


def _reduced(maps: torch.Tensor, settings: dict[str, Any]) -> torch.Tensor:
    """Maps summed over the axes that Quantus asks for; its metrics of localisation take one channel."""
    axes = settings.get("reduce_axes", (1,))
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    if not axes or maps.dim() < 3:
        return maps
    if not all(isinstance(axis, int) and 0 < abs(axis) < maps.dim() for axis in axes):
        raise InputError(
            f"reduce_axes names axes of maps of shape {tuple(maps.shape)} behind the rows, such as (1,) for channels; "
            f"got {axes!r}."
        )
    return maps.sum(dim=axes, keepdim=bool(settings.get("keepdims", True)))
