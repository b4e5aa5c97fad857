"""How far two explanations of the same inputs agree: maps (B, *F) twice in, (B,) out; no model is known here.

| metric              | compares                                     | equal maps | channels | chance level  |
|---------------------|----------------------------------------------|------------|----------|---------------|
| `topk_intersection` | the k most important positions               | 1          | reduced  | `adjust=`     |
| `lens_recall`       | the same, up to a shift by `window`          | 1          | reduced  | `adjust=`     |
| `lens_precision`    | the same, windows around the second map      | 1          | reduced  | `adjust=`     |
| `spearman`          | the ranks of all positions                   | 1          | reduced  | 0             |
| `kendall`           | the order of all pairs (tau-b; needs scipy)  | 1          | reduced  | 0             |
| `lens_spearman`     | the ranks of window means                    | 1          | reduced  | 0             |
| `lens_kendall`      | the order of window means (needs scipy)      | 1          | reduced  | 0             |
| `ssim`              | means, variances, covariance in windows      | 1          | reduced  | none          |
| `cosine`            | signed entries                               | 1          | kept     | 0             |
| `sign_agreement`    | signs                                        | 1          | kept     | 1/2           |
| `mass_centre_shift` | the centre of mass, in pixels                | 0          | reduced  | none          |

`METRICS` is this table for programs. Channels of (B, C, H, W) are reduced by `channel_sum`, the sum of absolute values,
unless `reduce=` says otherwise; maps without channels are compared as they are, sign included. Order is by (-value,
index), so ties are decided the same way everywhere.

A row is NaN where its metric is not defined, and only there: overlaps, rank correlations and `ssim` where a map is
constant (an all-zero map ranks no position above another), `cosine` and `mass_centre_shift` where one is all zero,
`sign_agreement` where both are; overlaps also where fewer than k positions are left or chance exceeds .99. NaN in the
maps is an error. Count the NaN rows in a report; `LensResult.achieved` says why.

Correlations at chance are 0 for independent maps only: maps that share a centre correlate, which is what
`adjust="unrelated"` removes from the overlaps.
"""

from rightreasons.metrics._catalogue import METRICS, Metric
from rightreasons.metrics.agreement._lens import (
    Chance,
    LensResult,
    lens,
    lens_precision,
    lens_recall,
    topk_intersection,
)
from rightreasons.metrics.agreement._mass import mass_centre, mass_centre_shift
from rightreasons.metrics.agreement._rank import kendall, lens_kendall, lens_spearman, spearman
from rightreasons.metrics.agreement._similarity import cosine, sign_agreement
from rightreasons.metrics.agreement._ssim import ssim
from rightreasons.metrics.agreement._topk import DiverseTopK, diverse_topk, topk_mask
from rightreasons.metrics.agreement._validation import Reduce, channel_sum
from rightreasons.metrics.agreement._windows import Border, dilate

__all__ = [
    "METRICS",
    "Border",
    "Chance",
    "DiverseTopK",
    "LensResult",
    "Metric",
    "Reduce",
    "channel_sum",
    "cosine",
    "dilate",
    "diverse_topk",
    "kendall",
    "lens",
    "lens_kendall",
    "lens_precision",
    "lens_recall",
    "lens_spearman",
    "mass_centre",
    "mass_centre_shift",
    "sign_agreement",
    "spearman",
    "ssim",
    "topk_intersection",
    "topk_mask",
]
