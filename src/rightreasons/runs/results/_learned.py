"""What a learned prior says of features and meta-features, as plain numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from rightreasons import training
from rightreasons.priors import LearnedPrior, explain_importance, partial_dependence, top_features

_SOURCES, _POINTS = 12, 21
_TOP, _CURVES, _FEW, _DIGITS = 30, 6, 500, 6


def learned_by(terms: Sequence[training.Term]) -> dict[str, Any]:
    """{"learned": ...} of the first term whose prior learned; empty without one.

    Importance g of every feature; partial dependence on the twelve meta-features that move g most, with the curves of
    six features; and for the thirty features on top what each of those adds to g, by expected gradients.
    """
    for term in terms:
        prior = getattr(term, "prior", None)
        while prior is not None and not isinstance(prior, nn.Module):
            prior = getattr(prior, "prior", None)
        if isinstance(prior, LearnedPrior) and any(p.requires_grad for p in prior.network.parameters()):
            return {"learned": _described(prior)}
    return {}


def importances(learned: Sequence[Mapping[str, Any]]) -> tuple[list[str], Float[np.ndarray, "splits p"]]:
    """g on each split of the features that all splits have: an indicator of missing values may be in some only."""
    of = [dict(zip(each["features"], each["importance"], strict=True)) for each in learned]
    features = [name for name in of[0] if all(name in each for each in of)]
    return features, np.array([[each[name] for name in features] for each in of])


def _described(prior: LearnedPrior) -> dict[str, Any]:
    features = prior.meta_features.features
    found = [partial_dependence(prior, source, _POINTS) for source in _moving(prior)]
    shown = torch.linspace(0, len(features) - 1, min(_CURVES, len(features))).long().tolist()
    return {
        "features": list(features),
        "signed": prior.signed,
        "importance": _rounded(prior.importance().detach()),
        "dependence": {
            each.source: {
                "values": each.values.tolist(),
                "levels": list(each.levels),
                "mean": each.mean.tolist(),
                "curves": {features[i]: _rounded(each.curves[i]) for i in shown},
            }
            for each in found
        },
        "explained": _explained(prior, [each.source for each in found]),
    }


def _moving(prior: LearnedPrior) -> list[str]:
    """The meta-features that move g most, in a few hundred of the features: there may be hundreds of them, too."""
    names = prior.meta_features.features
    few = prior.on(prior.meta_features.aligned(names[:: max(1, len(names) // _FEW)], unmatched="ignore"))
    ends = {source: partial_dependence(few, source, _POINTS).mean for source in few.meta_features.sources}
    return sorted(ends, key=lambda source: -float(ends[source].max() - ends[source].min()))[:_SOURCES]


def _explained(prior: LearnedPrior, sources: Sequence[str]) -> dict[str, dict[str, float]]:
    """For each feature on top what each of these meta-features adds to its g."""
    names = [each.feature for each in top_features(prior, min(_TOP, len(prior.meta)))]
    added_nq = explain_importance(prior, names)
    of = [column.source for column in prior.meta_features.columns]
    added = {
        source: added_nq[:, [i for i, name in enumerate(of) if name == source]].sum(1) for source in sources
    }
    values = torch.stack(list(added.values()), 1)
    return {
        name: dict(zip(sources, _rounded(row), strict=True)) for name, row in zip(names, values, strict=True)
    }


def _rounded(values: Tensor) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values.tolist()]
