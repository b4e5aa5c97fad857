"""Results of an attack on attributions, per row, with failed attacks kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import nan
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Status(StrEnum):
    """How the attack on a row ended.

    | status       | meaning                                                            | adversarial, after         |
    |--------------|--------------------------------------------------------------------|----------------------------|
    | `better`     | an iterate kept the label and moved the measure                    | the best such iterate      |
    | `no_gain`    | iterates kept the label, none moved the measure                    | the input, its clean value |
    | `label_lost` | no iterate kept the label                                          | the input, its clean value |
    | `excluded`   | misclassified before, or its clean map has no defined measure      | the input, its clean value |
    """

    BETTER = "better"
    NO_GAIN = "no_gain"
    LABEL_LOST = "label_lost"
    EXCLUDED = "excluded"


class AttackEvaluations(NamedTuple):
    """Model rows that ran, over all rows, restarts and steps.

    Attributes:
        direction: forward in a surrogate, each followed by a gradient and its gradient.
        judging: forward in the true model for the maps that are judged, each followed by a gradient.
        prediction: forward in the true model for labels and, with a gradient, for the way back to a lost one.
    """

    direction: int
    judging: int
    prediction: int


class Summary(NamedTuple):
    """An attack in numbers; a failed attack is never quietly counted as robustness.

    Attributes:
        attacked: rows that were not excluded.
        excluded: rows that were.
        failure_rate: share of the attacked rows with status `no_gain` or `label_lost`.
        before: mean measure of the attacked rows' clean maps.
        better: mean measure over the rows with status `better`.
        all: mean measure over all attacked rows, failures at their clean value.
    """

    attacked: int
    excluded: int
    failure_rate: float
    before: float
    better: float
    all: float


@dataclass(frozen=True, eq=False)
class AttributionAttackResult:
    """Perturbed inputs whose prediction is kept and whose map is not.

    Attributes:
        adversarial: (B, *F); the input itself where the attack failed or the row was excluded.
        before: the attack's measure of the clean map, (B,).
        after: the measure of the map at `adversarial`, on the true model, (B,).
        status: one for each row.
        clean_maps: maps of the inputs, as attributed.
        maps: maps of `adversarial`.
        lower_is_stronger: whether a smaller measure is a stronger attack.
        evaluations: model rows that ran.
        unsmoothed: piecewise operations that the surrogate met and left as they are, such as max_pool2d.
    """

    adversarial: Float[Tensor, "B *F"]
    before: Float[Tensor, "B"]
    after: Float[Tensor, "B"]
    status: tuple[Status, ...]
    clean_maps: Tensor
    maps: Tensor
    lower_is_stronger: bool
    evaluations: AttackEvaluations
    unsmoothed: tuple[str, ...]

    @staticmethod
    def joined(parts: "Sequence[AttributionAttackResult]") -> "AttributionAttackResult":
        """The results of one attack on several batches as that of one batch.

        Args:
            parts: in order, at least one, with inputs and maps of one shape.
        """
        first = parts[0]
        evaluations = (sum(each) for each in zip(*(part.evaluations for part in parts), strict=True))
        return AttributionAttackResult(
            adversarial=torch.cat([part.adversarial for part in parts]),
            before=torch.cat([part.before for part in parts]),
            after=torch.cat([part.after for part in parts]),
            status=tuple(status for part in parts for status in part.status),
            clean_maps=torch.cat([part.clean_maps for part in parts]),
            maps=torch.cat([part.maps for part in parts]),
            lower_is_stronger=first.lower_is_stronger,
            evaluations=AttackEvaluations(*evaluations),
            unsmoothed=tuple(sorted({name for part in parts for name in part.unsmoothed})),
        )

    def rows(self, *statuses: Status) -> Bool[Tensor, "B"]:
        """Which rows ended with one of these."""
        return torch.tensor([status in statuses for status in self.status], device=self.before.device)

    @property
    def summary(self) -> Summary:
        """Failure rate and means."""
        attacked, better = ~self.rows(Status.EXCLUDED), self.rows(Status.BETTER)
        count = int(attacked.sum())
        return Summary(
            attacked=count,
            excluded=len(self.status) - count,
            failure_rate=1 - int(better.sum()) / count if count else nan,
            before=_mean(self.before[attacked]),
            better=_mean(self.after[better]),
            all=_mean(self.after[attacked]),
        )


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else nan
