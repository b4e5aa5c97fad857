"""One row for each configuration of a metric; the conformance suite runs over all of them.

To add a metric: one row here, one loop in oracles.py, one row in the catalogue.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from rightreasons import metrics
from tests.metrics import oracles

BATCH = 4


@dataclass(frozen=True, eq=False)
class Case:
    """A metric with what it claims.

    Args:
        name: test id; its first word is the name in the catalogue.
        metric: (a, b) -> (B,).
        oracle: (a, b) of one row, channels reduced unless `signed` -> the value.
        shape: of one map.
        signed: the sign of the maps matters to it and channels are kept.
        shift_free: adding a constant to a map changes nothing.
    """

    name: str
    metric: Callable[[Tensor, Tensor], Tensor]
    oracle: Callable[[Tensor, Tensor], float]
    shape: tuple[int, ...] = (2, 6, 7)
    signed: bool = False
    shift_free: bool = True

    @property
    def row(self) -> metrics.Metric:
        return metrics.METRICS[self.name.split()[0]]

    def pair(self, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
        """Two related maps."""
        generator = torch.Generator().manual_seed(seed)
        a, noise = torch.randn((2, BATCH, *self.shape), dtype=torch.float64, generator=generator)
        return a.to(dtype), (a + 0.5 * noise).to(dtype)


def adjusted(a: Tensor, b: Tensor, k: int, radius: int) -> float:
    chance = oracles.uniform_chance(a, k, radius)
    return (oracles.recall(a, b, k, radius) - chance) / (1 - chance)


def of_means(
    statistic: Callable[[list[float], list[float]], float], radius: int, border: str
) -> Callable[[Tensor, Tensor], float]:
    def value(a: Tensor, b: Tensor) -> float:
        return statistic(oracles.window_mean(a, radius, border), oracles.window_mean(b, radius, border))

    return value


CASES = [
    Case(
        "topk_intersection", partial(metrics.topk_intersection, k=9), partial(oracles.recall, k=9, radius=0)
    ),
    Case(
        "topk_intersection fraction",
        partial(metrics.topk_intersection, k=0.25),
        partial(oracles.recall, k=10, radius=0),
    ),
    Case(
        "topk_intersection diverse",
        partial(metrics.topk_intersection, k=4, diversity=1),
        partial(oracles.recall, k=4, radius=0, diversity=1),
    ),
    Case("lens_recall", partial(metrics.lens_recall, k=6), partial(oracles.recall, k=6, radius=1)),
    Case(
        "lens_recall diverse",
        partial(metrics.lens_recall, k=4, window=1, diversity=2),
        partial(oracles.recall, k=4, radius=1, diversity=2),
        shape=(9, 9),
    ),
    Case(
        "lens_recall uniform",
        partial(metrics.lens_recall, k=4, adjust="uniform"),
        partial(adjusted, k=4, radius=1),
    ),
    Case(
        "lens_recall sequence",
        partial(metrics.lens_recall, k=5, window=2),
        partial(oracles.recall, k=5, radius=2),
        shape=(30,),
    ),
    Case(
        "lens_recall volume",
        partial(metrics.lens_recall, k=3, window=1),
        partial(oracles.recall, k=3, radius=1),
        shape=(2, 3, 5, 4),
    ),
    Case("lens_precision", partial(metrics.lens_precision, k=6), partial(oracles.precision, k=6, radius=1)),
    Case("spearman", metrics.spearman, of_means(oracles.spearman, 0, "zero")),
    Case("spearman tabular", metrics.spearman, of_means(oracles.spearman, 0, "zero"), shape=(20,)),
    Case("kendall", metrics.kendall, of_means(oracles.kendall, 0, "zero")),
    Case("lens_spearman", metrics.lens_spearman, of_means(oracles.spearman, 1, "zero"), shift_free=False),
    Case(
        "lens_spearman clip",
        partial(metrics.lens_spearman, window=2, border="clip"),
        of_means(oracles.spearman, 2, "clip"),
    ),
    Case(
        "lens_spearman sequence",
        metrics.lens_spearman,
        of_means(oracles.spearman, 1, "zero"),
        shape=(20,),
        shift_free=False,
    ),
    Case("lens_kendall", metrics.lens_kendall, of_means(oracles.kendall, 1, "zero"), shift_free=False),
    Case("cosine", metrics.cosine, oracles.cosine, signed=True, shift_free=False),
    Case("sign_agreement", metrics.sign_agreement, oracles.sign_agreement, signed=True, shift_free=False),
    Case("ssim", partial(metrics.ssim, window=2), partial(oracles.ssim, radius=2)),
    Case("ssim published window", metrics.ssim, oracles.ssim, shape=(12, 13)),
    Case("ssim sequence", metrics.ssim, oracles.ssim, shape=(15,)),
    Case("mass_centre_shift", metrics.mass_centre_shift, oracles.shift, shift_free=False),
    Case(
        "mass_centre_shift volume", metrics.mass_centre_shift, oracles.shift, (2, 3, 4, 2), shift_free=False
    ),
]
