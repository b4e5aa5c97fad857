"""Attributions of a chosen fit, and which of them are stored.

What is kept, under which name (n rows explained, e examples shown, K classes or labels):

    y, rows, ids      labels of the n rows, their positions among the test rows, their names if they have any
    target            the output explained for each row, where the network has several
    maps              tables: (n, original columns); other data: (e, *shape of a map)
    inputs, outputs   of the e examples; not kept for tables
    importance        mean magnitude over rows: of each column, pixel or position; of texts, of each word
    class_maps        (K, *) mean map of the rows of each class or label, channels of pictures and words added up
    class_counts      (K,) how many rows that is
"""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from rightreasons import attribution, data, priors, tasks
from rightreasons.data.splitting._splits import drawn
from rightreasons.recipes import Recipe
from rightreasons.runs.execution._fit import outputs_of

_AT_ONCE = 2000  # model rows
_CLASSES = 20
"""Mean maps are kept of so many classes at most: of pictures they are as large as the pictures."""

Kept = dict[str, np.ndarray]


def explained(
    recipe: Recipe,
    model: nn.Module,
    task: tasks.Task,
    method: Any,
    test: data.DataSet,
    seed: int,
) -> tuple[dict[str, Any], Kept]:
    """Figures for the summary, and the arrays that are saved; the seed decides rows and draws."""
    started = perf_counter()
    rows = _rows(test, recipe, seed)
    draws = torch.Generator().manual_seed(seed)
    x, y = test.x[rows], test.y[rows]
    target = task.explained(y)
    explanation = _explanation(method, model, x, target, draws)
    if not isinstance(explanation.maps, Tensor):
        raise TypeError("models of recipes have one input")
    result: dict[str, Any] = {"explained_rows": len(rows), "explain_seconds": perf_counter() - started}
    result |= completeness(explanation.maps, explanation.gap)
    kept: Kept = {"y": y.numpy(), "rows": rows.numpy()}
    if test.ids:
        kept["ids"] = np.array([test.ids[i] for i in rows.tolist()])
    if target is not None:
        kept["target"] = target.numpy()
    maps = of_inputs(explanation.maps, x)
    if test.columns:
        names, maps = data.sum_groups(maps, test.groups)
        result["features"], kept["maps"] = list(names), maps.numpy()
    else:
        shown = slice(min(recipe.explain.examples, len(rows)))
        kept |= {"maps": maps[shown].numpy(), "inputs": x[shown].numpy()}
        kept["outputs"] = outputs_of(model, x[shown]).numpy() if recipe.explain.examples else np.zeros(0)
        result["total_variation"] = _variation(maps, x, test)
    per_place = _by_word(maps, x, len(test.vocabulary)) if test.vocabulary else maps
    importance = per_place.abs().mean(0)
    result["gini"] = float(priors.gini_coefficient(importance.flatten()))
    kept["importance"] = importance.numpy()
    return result, kept | _class_means(per_place, _classes(y, target), _count(test, task))


def unexplained(test: data.DataSet) -> tuple[dict[str, Any], Kept]:
    """The same for a model that has no attributions: no figure, no map."""
    nothing = dict.fromkeys(("gap", "relative_gap", "gini"))
    named = {"features": list(test.groups)} if test.columns else {}
    return {"explained_rows": 0, "explain_seconds": 0.0, **nothing, **named}, {"rows": np.zeros(0, np.int64)}


def _rows(test: data.DataSet, recipe: Recipe, seed: int) -> Int64[Tensor, " n"]:
    """Which test rows are explained, drawn by class: the examples that are shown, then the others as they lie."""
    examples_shown = 0 if test.columns else recipe.explain.examples
    found = drawn(test, max(recipe.explain.rows, examples_shown), seed)
    shown = found[examples(test.y[found], examples_shown)]
    return torch.cat([shown, found[~torch.isin(found, shown)].sort().values])


def examples(y: Shaped[Tensor, "..."], count: int) -> Int64[Tensor, " n"]:
    """The first rows of each class in turn, so that every class is shown before any is shown twice."""
    if y.is_floating_point() or y.ndim > 1:
        return torch.arange(min(count, len(y)))
    turn: dict[int, int] = {}
    order = []
    for position, label in enumerate(y.tolist()):
        turn[label] = turn.get(label, -1) + 1
        order.append((turn[label], label, position))
    return torch.tensor([position for _, _, position in sorted(order)[:count]], dtype=torch.int64)


def _explanation(
    method: attribution.Attribution,
    model: nn.Module,
    x: Tensor,
    target: Tensor | None,
    generator: torch.Generator,
) -> attribution.Explanation:
    """Maps and how far they are from complete, in pieces of bounded memory."""
    if isinstance(method, attribution.ExpectedGradients):
        known = attribution.reference_output(model, method)
        return method.explain(model, x, target, reference_output=known, generator=generator, chunk=_AT_ONCE)
    return method.explain(model, x, target, generator=generator, chunk=_AT_ONCE)


def completeness(maps: Tensor, gap: Tensor | None) -> dict[str, float | None]:
    """How far maps are from adding up: before any projection, as a share of what they must add up to."""
    if gap is None:
        return {"gap": None, "relative_gap": None}
    total = maps.flatten(1).sum(1) + gap  # a projected map already adds up, so this is off by one gap at most
    size = float(total.abs().mean())
    return {"gap": float(gap.abs().mean()), "relative_gap": float(gap.abs().mean()) / size if size else None}


def of_inputs(maps: Float[Tensor, "n ..."], x: Shaped[Tensor, "n *F"]) -> Float[Tensor, "n ..."]:
    """Maps of vectors that positions were turned into, added up to one number for each position.

    Maps of other layers stay as they are. Completeness is kept: nothing is left out.

    >>> of_inputs(torch.ones(1, 3, 5), torch.zeros(1, 3, dtype=torch.int64)).tolist()
    [[5.0, 5.0, 5.0]]
    """
    if maps.ndim > x.ndim and maps.shape[: x.ndim] == x.shape:  # words
        return maps.flatten(x.ndim).sum(-1)
    if maps.ndim == x.ndim == 3 and maps.shape != x.shape and maps.shape[1] == x.shape[2]:  # (n, L, width)
        return maps.sum(2)[:, None]
    return maps


def _variation(maps: Tensor, x: Tensor, test: data.DataSet) -> float | None:
    """Total variation over space or time, where maps have any."""
    dims = x.ndim - 2
    if test.vocabulary or dims not in (1, 2) or maps.ndim != x.ndim:
        return None
    return float(priors.TotalVariation(dims=dims)(maps))


def _by_word(maps: Float[Tensor, "n L"], x: Int64[Tensor, "n L"], words: int) -> Float[Tensor, "n V"]:
    """For each row the attribution of each word, its occurrences added up."""
    return maps.new_zeros(len(maps), words).scatter_add(1, x, maps)


def _classes(y: Tensor, target: Tensor | None) -> Tensor | None:
    """The class or label of each map; None where labels are no classes."""
    if target is not None:
        return target
    return None if y.is_floating_point() or y.ndim > 1 else y


def _count(test: data.DataSet, task: tasks.Task) -> int:
    return len(test.classes) or int(getattr(task, "labels", 0))


def _class_means(maps: Tensor, classes: Tensor | None, count: int) -> Kept:
    if classes is None or not count:
        return {}
    summed = maps.sum(1) if maps.ndim == 4 else maps
    chosen: Sequence[Tensor] = [summed[classes == k] for k in range(min(count, _CLASSES))]
    nothing = torch.zeros_like(summed[0])
    return {
        "class_maps": torch.stack([each.mean(0) if len(each) else nothing for each in chosen]).numpy(),
        "class_counts": np.array([len(each) for each in chosen]),
    }
