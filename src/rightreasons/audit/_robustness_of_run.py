"""Robustness of the explanations of a finished run."""

import torch
from torch import Tensor

from rightreasons import data
from rightreasons.attacks._loop import magnitude
from rightreasons.audit._attack_registry import ByGroup, attack_of, cheaper, over_channels
from rightreasons.audit._robustness import Progress, Robustness, robustness
from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError
from rightreasons.core.model._memory import within_memory
from rightreasons.metrics import Reduce
from rightreasons.runs import Trained
from rightreasons.tasks import Binary, MultiClass


@within_memory("the attack", "Attack fewer rows (--rows).")
@checked
def robustness_of_run(
    trained: Trained,
    *,
    eps: float,
    attack: str = "top-k",
    attribution: str | None = None,
    k: int | float = 0.1,
    window: int = 1,
    norm: str = "linf",
    steps: int = 50,
    restarts: int = 1,
    rows: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Robustness:
    """Attack what a run's network says about its test rows; see `robustness`.

    In a table only numbers are perturbed, by eps in units of what the network sees (standard deviations, as tables are
    standardised), and maps of features made from one column are added up to that column's. Channels of
    sequences are added up, and windows lie along their length. Methods that average over points are climbed by few of
    them.

    Args:
        trained: from `rr.load`; its data must still be there.
        eps: radius in units of the network's inputs.
        attack: one of `attack_names`.
        attribution: a name as in recipes; None: the recipe's method.
        k: positions that count, or their share.
        window: radius of windows, in pixels or places of a sequence; of no use in a table.
        norm: "linf", "l2" or "l1".
        steps: of the search.
        restarts: independent starts of each row.
        rows: how many test rows, drawn at random.
        seed: of rows, starts and draws.
        progress: see `robustness`.

    Raises:
        InputError: the run's labels are not classes, its inputs are words, or what `robustness` refuses.
        RecipeError: there is no attribution of that name.
        DataError: the run's data are gone.
    """
    if not isinstance(trained.task, Binary | MultiClass):
        raise InputError(
            f"An attack on an explanation keeps the predicted class, and {trained.run.path} predicts none: its task is "
            f"{type(trained.task).__name__}. Attack a decision: rr.audit.robustness with a model of f(x) - threshold."
        )
    if rows < 2:
        raise InputError(f"rows must be at least 2, because chance is measured on other rows; got {rows}.")
    test = trained.parts.test
    if not test.x.is_floating_point():
        raise InputError(
            f"{test.name!r} holds words, which cannot be moved by eps. Attack numbers or pixels."
        )
    generator = torch.Generator().manual_seed(seed)
    index = torch.randperm(len(test), generator=generator)[:rows]
    method = trained.method(attribution)
    search, direction = cheaper(
        attack_of(
            attack,
            eps=eps,
            k=k,
            window=window,
            norm=norm,
            steps=steps,
            restarts=restarts,
            bounds=test.bounds,
            mask=_numbers(test),
            reduce=_reduction(test),
            space=not test.columns,
        ),
        method,
    )
    return robustness(
        trained.model,
        test.x[index],
        test.y[index],
        attribution=method,
        attack=search,
        k=k,
        window=window,
        direction=direction,
        generator=generator,
        progress=progress,
    )


def _numbers(rows: data.DataSet) -> Tensor | None:
    """Features of a table that may change; None where all may."""
    if not rows.columns:
        return None
    numbers = torch.tensor([column.source is None for column in rows.columns])
    if not bool(numbers.any()):
        raise InputError(f"{rows.name!r} has categories only: none of its features can be moved by eps.")
    return numbers


def _reduction(rows: data.DataSet) -> Reduce:
    """One value for each column of a table, each place of a sequence (channels, length), each pixel."""
    if rows.columns:
        return ByGroup(tuple(rows.groups.values()))
    return over_channels if rows.x.dim() == 3 else magnitude
