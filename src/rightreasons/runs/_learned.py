"""What a prior that learned in a fit says of features and meta-features, as plain numbers for the result file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from rightreasons import training
from rightreasons.priors import LearnedPrior, partial_dependence

_SOURCES, _POINTS = 12, 21


def learned_by(terms: Sequence[training.Term]) -> dict[str, Any]:
    """{"learned": ...} of the first term whose prior learned; empty without one.

    Importance g of every feature, and partial dependence on the twelve meta-features that move g most.
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


@torch.no_grad()
def _described(prior: LearnedPrior) -> dict[str, Any]:
    found = [partial_dependence(prior, source, _POINTS) for source in prior.meta_features.sources]
    found.sort(key=lambda each: -float(each.mean.max() - each.mean.min()))
    return {
        "features": list(prior.meta_features.features),
        "signed": prior.signed,
        "importance": prior.importance().tolist(),
        "dependence": {
            each.source: {
                "values": each.values.tolist(),
                "levels": list(each.levels),
                "mean": each.mean.tolist(),
            }
            for each in found[:_SOURCES]
        },
    }
