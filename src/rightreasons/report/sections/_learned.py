"""What learned priors learned, compared with permuted meta-features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from rightreasons import stats
from rightreasons.report._blocks import Figure, Section, Table, Text
from rightreasons.report._run_view import Source
from rightreasons.report._style import MUTED, RULE, Look, drawn, panels, rows_of_panels, to_svg, width_of
from rightreasons.report._words import interval, metric_name, number, signed
from rightreasons.runs.results._comparisons import difference, within
from rightreasons.runs.results._learned import importances

_TOP, _PANELS = 10, 8
_LOW, _HIGH = 0.05, 0.95
_CONFIDENCE = 0.95

Learned = Sequence[Mapping[str, Any]]


def section(source: Source) -> Section | None:
    """None where no arm learned a prior."""
    controls = {arm.name for arm in source.recipe.arms if any(term.control is not None for term in arm.terms)}
    own = [arm for arm in source.arms if arm.get("learned") and arm["name"] not in controls]
    if not own:
        return None
    blocks = [block for arm in own for block in _of_arm(source, arm)]
    return Section("learned", "What the learned priors learned", blocks)


def _of_arm(source: Source, arm: Mapping[str, Any]) -> list[Any]:
    name, learned = arm["name"], arm["learned"]
    blocks: list[Any] = [Text(f"{name}: {sentence}") for sentence in sentences(source.metrics, name)]
    curves = dependence(learned)
    if curves:
        blocks.append(
            Figure(
                dependence_figure(curves, source.styles[name], name),
                f"{name}: importance g of a feature as each meta-feature changes, the others as they are, mean over "
                f"features; line: mean over {len(learned)} splits, band: 5 to 95 % of them; thin: single features. "
                "Signs are kept: below zero means, for a signed prior, that the feature lowers the output.",
            )
        )
    blocks += [_top(learned, name), Text(_stability(learned), note=True)]
    return [*blocks, *_held_against(source, arm)]


def sentences(metrics: Mapping[str, Any], name: str) -> list[str]:
    """Whether the real meta-features beat the permuted ones, in one sentence; none without that control.

    The corrected paired test of the test scores on the same splits; fewer than ten splits: an interval only.
    """
    scores = {arm["name"]: arm["test"][metrics["headline"]] for arm in metrics["arms"]}
    control = f"{name}: permuted meta-features"
    if control not in scores:
        return []
    metric = metric_name(metrics["headline"])
    if metrics["splits"] < 2:
        return [
            f"whether the real meta-features beat permuted ones cannot be told from one split ({metric})."
        ]
    found = difference(scores[name], scores[control], metrics["rows"], _CONFIDENCE)
    sign = 1 if metrics["higher_is_better"] else -1
    ends = within(found, metrics["headline"], of_difference=True)
    numbers = f"{signed(found['difference'])} {metric}, {_CONFIDENCE:.0%} interval {interval(ends)}"
    if found["p"] is None:
        return [
            f"the real meta-features against permuted ones: {numbers}, from {found['n']} splits, too few for a test."
        ]
    better = found["p"] < 1 - _CONFIDENCE and sign * found["difference"] > 0
    verdict = "beat" if better else "do not beat"
    return [
        f"the real meta-features {verdict} permuted ones: {numbers}, p = {number(found['p'])}, not adjusted."
    ]


@dataclass(frozen=True)
class Curve:
    """How g depends on one meta-feature.

    Args:
        values: of the meta-feature, (values,).
        levels: names of categories; empty for a number.
        runs: mean of g over features, on each split, (splits, values).
        features: g of some single features, mean over splits, (features, values).
    """

    values: np.ndarray
    levels: tuple[str, ...]
    runs: np.ndarray
    features: np.ndarray


def dependence(learned: Learned) -> dict[str, Curve]:
    """For the meta-features that every split found among those that move g most.

    Where splits saw other values, as of a statistic of training rows, the values that all of them saw.
    """
    shared = set.intersection(*(set(each["dependence"]) for each in learned))
    found = {
        name: _curve_of([each["dependence"][name] for each in learned])
        for name in learned[0]["dependence"]
        if name in shared
    }
    return dict([(name, curve) for name, curve in found.items() if curve is not None][:_PANELS])


def _curve_of(curves: Learned) -> Curve | None:
    """None where splits have other categories."""
    first = curves[0]
    if any(curve["levels"] != first["levels"] for curve in curves):
        return None
    grid = np.array(first["values"])
    if any(curve["values"] != first["values"] for curve in curves):
        low = max(min(curve["values"]) for curve in curves)
        grid = np.linspace(low, min(max(curve["values"]) for curve in curves), len(grid))
    runs = np.array([np.interp(grid, curve["values"], curve["mean"]) for curve in curves])
    names = [name for name in first.get("curves", {}) if all(name in curve["curves"] for curve in curves)]
    single = [[np.interp(grid, curve["values"], curve["curves"][name]) for curve in curves] for name in names]
    features = np.array(single).mean(1) if single else np.empty((0, len(grid)))
    return Curve(grid, tuple(first["levels"]), runs, features)


def dependence_figure(curves: Mapping[str, Curve], look: Look, arm: str) -> str:
    """A panel for each meta-feature: partial dependence of g with a band over splits, and curves of single features."""
    with drawn(width_of(len(curves)), 2.4 * rows_of_panels(len(curves)) + 0.2) as figure:
        found = panels(figure, list(curves), sharey=True)
        for axes, curve in zip(found, curves.values(), strict=True):
            axes.axhline(0, color=RULE, linewidth=1)
            _draw(axes, curve, look)
        for axes in found[::4]:
            axes.set_ylabel("Importance g")
        moved = ", ".join(
            f"{name} by {signed(float(curve.runs.mean(0)[-1] - curve.runs.mean(0)[0]), 4)}"
            for name, curve in curves.items()
        )
        return to_svg(
            figure,
            f"learned-{arm}",
            f"What {arm} learned",
            f"From the first value to the last g changes: {moved}.",
        )


def _draw(axes: Axes, curve: Curve, look: Look) -> None:
    values, levels, mean = curve.values, curve.levels, curve.runs.mean(0)
    low, high = np.quantile(curve.runs, [_LOW, _HIGH], axis=0)
    axes.plot(values, curve.features.T, color=MUTED, linewidth=0.7, alpha=0.6)
    if levels or len(values) == 2:
        axes.errorbar(
            values, mean, [mean - low, high - mean], color=look.colour, marker=look.marker, linestyle="none"
        )
        axes.set_xticks(values, levels or ("no", "yes"), color=MUTED, fontsize=8)
        axes.set_xlim(values[0] - 0.5, values[-1] + 0.5)
        return
    axes.plot(values, mean, color=look.colour, linewidth=2)
    axes.fill_between(values, low, high, color=look.colour, alpha=0.2, linewidth=0)


def _top(learned: Learned, name: str) -> Table:
    features, values = importances(learned)
    mean, spread = values.mean(0), values.std(0, ddof=min(1, len(values) - 1))
    count = min(_TOP, len(features))
    on_top = np.argsort(-_sizes(learned, values), axis=1, kind="stable")[:, :count]
    often = np.bincount(on_top.ravel(), minlength=len(features))
    order = np.argsort(-_sizes(learned, mean), kind="stable")[:count]
    rows = [
        [
            features[i],
            _short(float(mean[i])),
            _short(float(spread[i])).lstrip("+"),
            f"{often[i]} of {len(values)}",
            _reasons(learned, features[i]),
        ]
        for i in order
    ]
    return Table(
        ["Feature", "g", "Standard deviation", f"Splits with it in the top {count}", "Most of it from"],
        rows,
        f"{name}: features the prior expects to matter most, by {_by(learned)}, mean over splits. Last: what the two "
        "meta-features that move it most add to g, compared with all features (expected gradients).",
        frozenset({4}),
        code=True,
    )


def _short(value: float) -> str:
    """Three digits with their sign, however small the number: g is as small as attributions are.

    >>> _short(-0.00012345), _short(0.25)
    ('\N{MINUS SIGN}0.000123', '+0.25')
    """
    return f"{value:+.3g}".replace("-", "−")


def _reasons(learned: Learned, feature: str) -> str:
    """What two meta-features add to g of a feature, mean over splits that say so of it."""
    of = [each["explained"][feature] for each in learned if feature in each.get("explained", {})]
    names = [name for name in of[0] if all(name in each for each in of)] if of else []
    added = {name: float(np.mean([each[name] for each in of])) for name in names}
    most = sorted(added, key=lambda name: -abs(added[name]))[:2]
    return ", ".join(f"{name} {_short(added[name])}" for name in most) or "–"


def _stability(learned: Learned) -> str:
    values = _sizes(learned, importances(learned)[1])
    if min(values.shape) < 2:
        return "One split shows no spread."
    found = stats.rank_stability(values, min(_TOP, values.shape[1]))
    same = "all features alike on a split" if np.isnan(found.spearman) else number(found.spearman, 2)
    return (
        f"Two splits agree on the order of {_by(learned)} with a rank correlation of {same} on average, and share "
        f"{found.overlap:.0%} of their top {found.k} (unrelated orders: {found.chance:.0%})."
    )


def _held_against(source: Source, arm: Mapping[str, Any]) -> list[Any]:
    """How well features that matter were found, and the sets that those on top belong to."""
    found = arm.get("held_against") or {}
    blocks: list[Any] = []
    if "recovery" in found:
        blocks.append(Text(recovery(source.arms, arm["name"])))
    if found.get("enrichment"):
        blocks.append(_enrichment(found, arm["name"], source.recipe.explain.sets or ""))
        blocks += [Text(_ADVICE, note=True)] if _told(source, arm["name"]) else []
    elif "enrichment" in found:
        blocks.append(Text(f"{arm['name']}: g ranks no features on top, so no sets were looked for."))
    return blocks


_ADVICE = (
    "The prior was given these sets as meta-features, so that they are enriched says what g learned, and is no "
    "evidence from elsewhere."
)


def _told(source: Source, name: str) -> bool:
    """Whether the arm's prior knew the sets that were looked for."""
    sets = source.recipe.explain.sets
    terms = [term for arm in source.recipe.arms if arm.name == name for term in arm.terms if term.prior]
    return any(term.prior and term.prior.fields.get("sets") == sets for term in terms)


def recovery(arms: Sequence[Mapping[str, Any]], name: str) -> str:
    """How well an arm's g, and that of its controls, tells features that matter from others, in a sentence."""
    own = next(arm for arm in arms if arm["name"] == name)["held_against"]
    others = [
        f"{arm['name'].removeprefix(name + ': ')} {_auc(arm['held_against']['recovery'])}"
        for arm in arms
        if arm["name"].startswith(f"{name}: ") and arm.get("held_against")
    ]
    control = f" Its controls: {', '.join(others)}." if others else ""
    return (
        f"{name}: g tells the {own['relevant']} features that are known to matter from the other "
        f"{own['features'] - own['relevant']} with an AUC of {_auc(own['recovery'])} (mean over splits and range; 0.5 "
        f"is chance).{control}"
    )


def _auc(values: Sequence[float]) -> str:
    return f"{number(float(np.mean(values)), 2)} ({number(min(values), 2)} to {number(max(values), 2)})"


def _enrichment(found: Mapping[str, Any], name: str, file: str) -> Table:
    rows = [
        [
            each["name"],
            f"{len(each['chosen'])} of {each['size']}",
            number(each["expected"], 1),
            _p(each["p"]),
            _p(each["adjusted"]),
        ]
        for each in found["enrichment"][:_TOP]
    ]
    return Table(
        ["Set", "Members on top", "Expected", "p", "Adjusted p"],
        rows,
        f"{name}: sets of {file} among the {found['top']} features on top, of {found['features']}; hypergeometric "
        f"test, adjusted over the {found['tested']} sets tested (Benjamini-Hochberg); at most {_TOP} are shown.",
    )


def _p(value: float) -> str:
    return f"{value:.1e}" if value < 0.001 else number(value)


def _sizes(learned: Learned, values: np.ndarray) -> np.ndarray:
    """How much g says that features matter: a prior without signs learns a size, and less than none is none."""
    return np.abs(values) if learned[0].get("signed", True) else values


def _by(learned: Learned) -> str:
    return "|g|" if learned[0].get("signed", True) else "g"
