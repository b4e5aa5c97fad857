"""LENS: locality-sensitive top-k overlap, with chance levels [kamath2024].

Legend: B rows, S shape of the space, n positions, k selected positions.
"""

from typing import Literal, NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core._graph import FeatureGraph
from rightreasons.metrics.agreement._topk import spread_out
from rightreasons.metrics.agreement._validation import (
    Reduce,
    channel_sum,
    checked_count,
    checked_pair,
    checked_space,
    checked_window,
    marks,
    nan_unless,
    varies,
)
from rightreasons.metrics.agreement._windows import dilated

Chance: TypeAlias = Literal["uniform", "unrelated"]
_HIGHEST_CHANCE = 0.99  # above, a hundredth of the scale is left and the adjusted value is noise


class LensResult(NamedTuple):
    """An overlap with the level that chance reaches; every field is (B,).

    Attributes:
        observed: the published metric, in [0, 1]; NaN where a map ranks nothing or fewer than k positions exist.
        chance: the level c of unrelated maps, in [0, 1].
        adjusted: (observed - c) / (1 - c): 1 for equal sets, 0 at chance; NaN where c > .99.
        achieved: how many of the k positions both maps gave: less than k where diversity leaves none, 0 where one of
            the maps is constant.
    """

    observed: Float[Tensor, "B"]
    chance: Float[Tensor, "B"]
    adjusted: Float[Tensor, "B"]
    achieved: Int64[Tensor, "B"]

    def on_one_scale(self) -> Float[Tensor, "B"]:
        """(observed - c) / (1 - mean c) of each row; their mean is `pooled`.

        Steadier than `adjusted` where c is high: there single rows divide by little, and by different amounts. NaN
        where a row is not defined, and everywhere if mean c > .99.
        """
        defined_B = self.observed.isfinite() & self.chance.isfinite()
        level = self.chance[defined_B].mean()
        scaled_B = (self.observed - self.chance) / (1 - level)
        return scaled_B.masked_fill(~defined_B | (level > _HIGHEST_CHANCE), torch.nan)

    def pooled(self) -> Float[Tensor, ""]:
        """(mean observed - mean c) / (1 - mean c) over the rows where both are defined: one figure for a batch."""
        return self.on_one_scale().nanmean()


@checked
def lens(
    a: Shaped[Tensor, "B *F"],
    b: Shaped[Tensor, "B *F"],
    k: int | float,
    window: int = 1,
    *,
    adjust: Chance = "unrelated",
    diversity: int = 0,
    graph: FeatureGraph | None = None,
    reduce: Reduce = channel_sum,
) -> LensResult:
    """`lens_recall` with everything that is behind it: the published value, the chance level, what was achieved.

    observed = |N_w(S) and T| / k, with S, T the top-k sets of a and b and N_w the union of windows of radius w.

    | adjust        | chance level c, for each row i                  | what it answers                                |
    |---------------|-------------------------------------------------|------------------------------------------------|
    | `"uniform"`   | abs(N_w(S_i)) / n                               | better than k positions drawn at random?       |
    | `"unrelated"` | mean over j != i of abs(N_w(S_i) and T_j) / k   | better than the maps of other rows?            |

    "uniform" is exact for a T drawn uniformly, and an approximation with `diversity`. It is the weakest level: data
    are centred, and two unrelated centred maps of 28 x 28 pixels score .98, still .97 after it (k = 100, w = 1).
    "unrelated" takes the other rows of the batch as the maps of other images, each row of `a` against every other row
    of `b`; give it at least some dozens of rows of different images, and never two rows of the same image. Rows that
    are NaN are left out of the mean.

    Cost: that of `topk_mask` twice (with `diversity`, of `diverse_topk`) and a few passes over one byte a position;
    "unrelated" adds one matrix-vector product, for the mean over the other rows is linear in them.

    Args:
        a: maps (B, *F); windows are drawn around their top k.
        b: maps of the same inputs, (B, *F); their top k are counted.
        k: count (int), or fraction of the positions (float in (0, 1)).
        window: radius w in positions, or edges of the graph; 0 is plain top-k intersection.
        adjust: which chance level.
        diversity: radius in which one pick blocks the others (`diverse_topk`); 0 for none. Published as the same as
            `window`.
        graph: neighbourhoods for maps (B, p) of features; made by `rightreasons.priors.feature_graph`.
        reduce: maps to one value for each position; see `channel_sum`.

    Returns:
        The overlap with its chance level, in the dtype of the maps (half precision: float32).

    Raises:
        InputError: bad k, window, diversity or adjust; non-finite maps; "unrelated" with a single row.
        ShapeError: maps of different shape, or of a shape without space.

    Example:
        >>> import torch
        >>> a = torch.tensor([[9.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 9.0]])
        >>> result = lens(a, a.roll(1, 1), k=1, window=1)
        >>> result.observed, result.chance, result.adjusted
        (tensor([1., 0.]), tensor([1., 0.]), tensor([nan, 0.]))
    """
    a, b = checked_pair(a, b, "lens", reduce)
    return _lens("lens", a, b, k, window, adjust, diversity, graph)


@checked
def lens_recall(
    a: Shaped[Tensor, "B *F"],
    b: Shaped[Tensor, "B *F"],
    k: int | float,
    window: int = 1,
    *,
    adjust: Chance | None = None,
    diversity: int = 0,
    graph: FeatureGraph | None = None,
    reduce: Reduce = channel_sum,
) -> Float[Tensor, "B"]:
    """The share of b's top k that lies in a window around a's top k: w-LENS-recall@k [kamath2024].

    |N_w(S) and T| / k, S of the original map a, T of the perturbed map b.

    The name is the paper's; seen as retrieval of a's neighbourhood by T it would be called precision. Published values
    are `adjust=None`, and w-LENS-recall@k-div is `diversity=window`. Unrelated white noise scores .69 at 28 x 28, k =
    100, w = 1, so a value means little without its chance level: see `lens`, of which this is one field.

    Args:
        a: maps (B, *F), the original.
        b: maps (B, *F), the perturbed.
        k: count (int), or fraction of the positions (float in (0, 1)).
        window: radius w in positions, or edges of the graph.
        adjust: None as published, or the chance level to take out: "uniform" or "unrelated".
        diversity: radius in which one pick blocks the others; 0 for none.
        graph: neighbourhoods for maps (B, p) of features; made by `rightreasons.priors.feature_graph`.
        reduce: maps to one value for each position; see `channel_sum`.

    Returns:
        (B,), 1 is best; NaN where a map is constant, fewer than k positions exist, or the chance level exceeds .99.

    Raises:
        InputError: bad k, window, diversity or adjust; non-finite maps; "unrelated" with a single row.
        ShapeError: maps of different shape, or of a shape without space.

    Example:
        >>> import torch
        >>> a = torch.tensor([[0.0, 9.0, 0.0, 0.0, 0.0]])
        >>> lens_recall(a, a.roll(1, 1), k=1, window=0), lens_recall(a, a.roll(1, 1), k=1, window=1)
        (tensor([0.]), tensor([1.]))
    """
    a, b = checked_pair(a, b, "lens_recall", reduce)
    result = _lens("lens_recall", a, b, k, window, adjust, diversity, graph)
    return result.observed if adjust is None else result.adjusted


@checked
def lens_precision(
    a: Shaped[Tensor, "B *F"],
    b: Shaped[Tensor, "B *F"],
    k: int | float,
    window: int = 1,
    *,
    adjust: Chance | None = None,
    diversity: int = 0,
    graph: FeatureGraph | None = None,
    reduce: Reduce = channel_sum,
) -> Float[Tensor, "B"]:
    """The share of a's top k that lies in a window around b's top k: w-LENS-prec@k [kamath2024].

    |S and N_w(T)| / k = `lens_recall(b, a, ...)`, its chance level included: the windows stay where they are, and the
    set that is counted is replaced.

    Args:
        a: maps (B, *F), the original.
        b: maps (B, *F), the perturbed.
        k: count (int), or fraction of the positions (float in (0, 1)).
        window: radius w in positions, or edges of the graph.
        adjust: None as published, or the chance level to take out: "uniform" or "unrelated".
        diversity: radius in which one pick blocks the others; 0 for none.
        graph: neighbourhoods for maps (B, p) of features; made by `rightreasons.priors.feature_graph`.
        reduce: maps to one value for each position; see `channel_sum`.

    Returns:
        (B,), 1 is best; NaN as in `lens_recall`.

    Raises:
        InputError: bad k, window, diversity or adjust; non-finite maps; "unrelated" with a single row.
        ShapeError: maps of different shape, or of a shape without space.

    Example:
        >>> import torch
        >>> a, b = torch.tensor([[3.0, 2.0, 0.0, 0.0, 0.0]]), torch.tensor([[3.0, 0.0, 0.0, 0.0, 2.0]])
        >>> lens_precision(a, b, k=2, window=1), lens_recall(a, b, k=2, window=1)
        (tensor([1.]), tensor([0.5000]))
    """
    a, b = checked_pair(a, b, "lens_precision", reduce)
    result = _lens("lens_precision", b, a, k, window, adjust, diversity, graph)
    return result.observed if adjust is None else result.adjusted


@checked
def topk_intersection(
    a: Shaped[Tensor, "B *F"],
    b: Shaped[Tensor, "B *F"],
    k: int | float,
    *,
    adjust: Chance | None = None,
    diversity: int = 0,
    graph: FeatureGraph | None = None,
    reduce: Reduce = channel_sum,
) -> Float[Tensor, "B"]:
    """The share of the k most important positions that two maps have in common [ghorbani2019].

    |S and T| / k, S and T the top-k sets of a and b: `lens_recall` with window 0. Sets, not lists: the order within the
    k does not count [fagin2003].

    A shift of a smooth map by a pixel or two halves it, so random noise looks like a strong attack [kamath2024].
    `diversity` gives the published top-k-div intersection. Chance is k / n ("uniform").

    Args:
        a: maps (B, *F).
        b: maps (B, *F).
        k: count (int), or fraction of the positions (float in (0, 1)).
        adjust: None as published, or the chance level to take out: "uniform" or "unrelated"; see `lens`.
        diversity: radius in which one pick blocks the others; 0 for none.
        graph: neighbourhoods of `diversity` for maps (B, p) of features.
        reduce: maps to one value for each position; see `channel_sum`.

    Returns:
        (B,), 1 is best; NaN as in `lens_recall`.

    Raises:
        InputError: bad k, diversity or adjust; non-finite maps; "unrelated" with a single row.
        ShapeError: maps of different shape, or of a shape without space.

    Example:
        >>> import torch
        >>> a, b = torch.tensor([[4.0, 3.0, 2.0, 1.0]]), torch.tensor([[4.0, 1.0, 2.0, 3.0]])
        >>> topk_intersection(a, b, k=2), topk_intersection(a, b, k=2, adjust="uniform")
        (tensor([0.5000]), tensor([0.]))
    """
    a, b = checked_pair(a, b, "topk_intersection", reduce)
    result = _lens("topk_intersection", a, b, k, 0, adjust, diversity, graph)
    return result.observed if adjust is None else result.adjusted


def _lens(
    metric: str,
    a: Float[Tensor, "B *S"],
    b: Float[Tensor, "B *S"],
    k: int | float,
    window: int,
    adjust: Chance | None,
    diversity: int,
    graph: FeatureGraph | None,
) -> LensResult:
    checked_window(window, metric)
    checked_window(diversity, metric, "diversity")
    checked_space(a, metric, graph)
    _check_adjust(adjust, len(a), metric)
    k = checked_count(k, a[0].numel(), metric)
    (around, found_a), (counted, found_b) = (
        spread_out(maps.detach(), k, diversity, graph) for maps in (a, b)
    )
    achieved_B = torch.minimum(found_a, found_b).masked_fill(~(varies(a) & varies(b)), 0)
    valid_B = achieved_B == k
    near_Bn, counted_Bn = dilated(around, window, graph).flatten(1), counted.flatten(1)
    observed_B = nan_unless(valid_B, marks(near_Bn & counted_Bn).to(a.dtype) / k)
    chance_B = nan_unless(valid_B, _chance(near_Bn, counted_Bn, valid_B, k, adjust, a.dtype))
    return LensResult(observed_B, chance_B, _adjusted(observed_B, chance_B), achieved_B)


def _check_adjust(adjust: Chance | None, rows: int, metric: str) -> None:
    if adjust not in (None, "uniform", "unrelated"):
        raise InputError(f"{metric}: adjust must be one of None, 'uniform', 'unrelated'; got {adjust!r}.")
    if adjust == "unrelated" and rows < 2:
        raise InputError(
            f"{metric}: adjust='unrelated' compares with the maps of other rows, and the batch has {rows}. Pass the "
            "maps of many images at once, or use adjust='uniform'."
        )


def _chance(
    near: Bool[Tensor, "B n"],
    counted: Bool[Tensor, "B n"],
    valid: Bool[Tensor, "B"],
    k: int,
    adjust: Chance | None,
    dtype: torch.dtype,
) -> Float[Tensor, "B"]:
    if adjust is None:
        return torch.zeros(len(near), dtype=dtype, device=near.device)
    if adjust == "uniform":
        return marks(near).to(dtype) / near.shape[1]
    total_n = (counted & valid[:, None]).to(dtype).sum(0)
    own_B = marks(near & counted)
    others = valid.sum() - 1  # of a valid row; 0 makes the level NaN
    return (near.to(dtype) @ total_n - own_B) / (k * others)


def _adjusted(observed: Tensor, chance: Tensor) -> Tensor:
    return ((observed - chance) / (1 - chance)).masked_fill(chance > _HIGHEST_CHANCE, torch.nan)
