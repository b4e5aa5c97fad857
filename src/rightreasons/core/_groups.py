"""Groups of features: map features back to the columns they were made from."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import ShapeError

_SHOWN = 20  # positions in a message


@checked
def sum_groups(
    maps: Float[Tensor, "*B p"], groups: Mapping[str, Sequence[int]]
) -> tuple[tuple[str, ...], Float[Tensor, "*B g"]]:
    """Sum maps of features back to the original columns, because one-hot columns are one piece of knowledge.

    Cost: one scatter-add. Differentiable in `maps`. A complete map stays complete: the total is unchanged.

    Args:
        maps: attributions, features last.
        groups: positions of the features of each original column, as `DataSet.groups`.

    Returns: names of the original columns, and their maps.

    Raises: ShapeError unless every feature belongs to exactly one group.

    >>> sum_groups(torch.tensor([[1.0, 2.0, 3.0]]), {"age": (0,), "sex": (1, 2)})
    (('age', 'sex'), tensor([[1., 5.]]))
    """
    positions = [position for members in groups.values() for position in members]
    if sorted(positions) != list(range(maps.shape[-1])):
        shown = f"{positions[:_SHOWN]}{' ...' if len(positions) > _SHOWN else ''}"
        raise ShapeError(
            f"Groups must cover each of the {maps.shape[-1]} features of the maps exactly once, got "
            f"{len(positions)} positions, {shown}. A feature left out would lose its share. Pass the `groups` of the "
            "data set the model was trained on."
        )
    numbers = [number for number, members in enumerate(groups.values()) for _ in members]
    group_of = torch.empty(maps.shape[-1], dtype=torch.int64)
    group_of[positions] = torch.tensor(numbers, dtype=torch.int64)
    total = maps.new_zeros(*maps.shape[:-1], len(groups))
    return tuple(groups), total.index_add(-1, group_of.to(maps.device), maps)
