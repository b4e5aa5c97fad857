"""The table of metrics: name, direction, needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from torch import Tensor

from rightreasons.metrics.agreement._lens import lens_precision, lens_recall, topk_intersection
from rightreasons.metrics.agreement._mass import mass_centre_shift
from rightreasons.metrics.agreement._rank import kendall, lens_kendall, lens_spearman, spearman
from rightreasons.metrics.agreement._similarity import cosine, sign_agreement
from rightreasons.metrics.agreement._ssim import ssim


@dataclass(frozen=True)
class Metric:
    """A row of the table.

    Args:
        function: what computes it, rows of maps in, (B,) out.
        kind: "agreement" takes two tensors of maps and knows no model.
        higher_is_better: whether more means more agreement.
        needs: parameters without a default, besides the maps.
        bounds: smallest and largest value as published, None where there is none; adjusted for chance, an overlap may
            lie below.
        equal: the value for two equal maps.
        chance: whether it takes `adjust=`.
        extra: the optional dependencies it needs, None for none.
        summary: one line for reports.
    """

    function: Callable[..., Tensor]
    kind: Literal["agreement"]
    higher_is_better: bool
    needs: tuple[str, ...]
    bounds: tuple[float | None, float | None]
    equal: float
    chance: bool
    extra: str | None
    summary: str

    @property
    def name(self) -> str:
        """The name in the table and in Python."""
        return self.function.__name__


def _agreement(
    function: Callable[..., Tensor],
    summary: str,
    *,
    needs: tuple[str, ...] = (),
    bounds: tuple[float | None, float | None] = (-1.0, 1.0),
    chance: bool = False,
    extra: str | None = None,
) -> Metric:
    return Metric(function, "agreement", True, needs, bounds, 1.0, chance, extra, summary)


_OVERLAP = (0.0, 1.0)
_ROWS = (
    _agreement(topk_intersection, "shared top-k positions", needs=("k",), bounds=_OVERLAP, chance=True),
    _agreement(
        lens_recall, "top-k of b in windows around top-k of a", needs=("k",), bounds=_OVERLAP, chance=True
    ),
    _agreement(
        lens_precision, "top-k of a in windows around top-k of b", needs=("k",), bounds=_OVERLAP, chance=True
    ),
    _agreement(spearman, "rank correlation"),
    _agreement(kendall, "tau-b rank correlation", extra="train"),
    _agreement(lens_spearman, "rank correlation of window means"),
    _agreement(lens_kendall, "tau-b rank correlation of window means", extra="train"),
    _agreement(cosine, "cosine of signed maps"),
    _agreement(sign_agreement, "share of entries of the same sign", bounds=_OVERLAP),
    _agreement(ssim, "structural similarity in Gaussian windows"),
    Metric(
        mass_centre_shift,
        "agreement",
        False,
        (),
        (0.0, None),
        0.0,
        False,
        None,
        "distance of centres, pixels",
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType({row.name: row for row in _ROWS})
"""Every metric by name."""
