"""Image values: their range, and the noise that robustness is measured under."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError, InputError
from rightreasons.core._suggest import did_you_mean
from rightreasons.data._dataset import DataSet

_NOISES = ("gaussian", "salt_and_pepper")


@checked
def rescale(data: DataSet, bounds: tuple[float, float] = (-0.5, 0.5)) -> DataSet:
    """Map the inputs linearly from the range the data set states to another, [-0.5, 0.5] as in [erion2021].

    x' = low' + (x - low) (high' - low') / (high - low). Nothing is fitted, so nothing can leak.

    Cost: one copy.

    Raises:
        DataError: the data set does not state its bounds.
        InputError: bounds that are not an interval.

    >>> data = DataSet("d", torch.tensor([[0.0, 1.0]]), torch.zeros(1), bounds=(0.0, 1.0))
    >>> rescale(data).x
    tensor([[-0.5000,  0.5000]])
    """
    if data.bounds is None:
        raise DataError(
            f"Data set {data.name!r} does not state its bounds, so there is no range to map from. Make it "
            "with bounds=(0.0, 255.0), or use Preprocessing for a table."
        )
    low, high = _interval(data.bounds)
    new_low, new_high = _interval(bounds)
    x = ((data.x - low) / (high - low)) * (new_high - new_low) + new_low
    return replace(data, x=x.clamp(new_low, new_high), bounds=(new_low, new_high))


@checked
def corrupt(
    x: Float[Tensor, "B *F"],
    kind: str,
    level: float,
    *,
    bounds: tuple[float, float],
    generator: torch.Generator | None = None,
) -> Float[Tensor, "B *F"]:
    """Inputs with noise of a stated level, clipped to the range of the data.

    With z standard normal for every element:

    - "gaussian": clip(x + level * z); `level` is the standard deviation, in units of x.
    - "salt_and_pepper": the share `level` of the elements, those with |z| beyond the quantile of 1 - level / 2,
      is set to the upper bound where z > 0 and to the lower where z < 0, as in the code of [erion2021].

    z does not depend on the level: with the same generator state, noise only grows with it. Each colour
    channel draws its own noise. Level 0 returns x clipped. Cost: one draw per element, on the CPU.

    Args:
        x: inputs, any shape.
        kind: "gaussian" or "salt_and_pepper".
        level: its strength; at least 0, and at most 1 for salt and pepper.
        bounds: least and largest value an input may take, as `DataSet.bounds`.
        generator: CPU generator; None advances torch's global one.

    Raises:
        InputError: an unknown kind, a level out of range, bounds that are not an interval.

    >>> g = torch.Generator().manual_seed(0)
    >>> corrupt(torch.zeros(1, 4), "salt_and_pepper", 1.0, bounds=(-1.0, 1.0), generator=g)
    tensor([[ 1., -1., -1.,  1.]])
    """
    low, high = _interval(bounds)
    most = 1.0 if kind == "salt_and_pepper" else float("inf")
    if kind not in _NOISES:
        raise InputError(f"There is no noise {kind!r}. {did_you_mean(kind, _NOISES)}")
    if not (0 <= level <= most and level < float("inf")):
        raise InputError(
            f"The level of {kind} noise must be finite and in [0, {most}], got {level}. It is "
            f"{'the share of elements' if most == 1 else 'a standard deviation in units of x'}."
        )
    z = torch.randn(x.shape, generator=generator, dtype=torch.float32).to(x.device)
    if kind == "gaussian":
        return (x + level * z.to(x.dtype)).clamp(low, high)
    beyond = torch.special.ndtri(torch.tensor(1 - level / 2, dtype=torch.float64)).item()
    flipped = torch.where(z > 0, high, low).to(x.dtype)
    return torch.where(z.abs() > beyond, flipped, x.clamp(low, high))


def _interval(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if not (-float("inf") < low < high < float("inf")):
        raise InputError(
            f"Bounds must be finite and increasing, got {bounds!r}. Use (0.0, 1.0) or (-0.5, 0.5)."
        )
    return low, high
