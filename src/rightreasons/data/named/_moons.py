"""Two moons among noise columns (synthetic)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rightreasons.core._errors import MissingExtraError
from rightreasons.data._dataset import Column

_ROWS, _NOISE = 1000, 0.1


def two_moons(nuisance: int, seed: int = 0) -> tuple[Tensor, Tensor, tuple[Column, ...]]:
    """1,000 rows whose first two columns are the moons, of noise .1, and the others standard normal [weinberger2020].

    Returns: (1000, 2 + nuisance), classes, and columns x1, x2, n1, n2, ...

    Raises: MissingExtraError if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import make_moons
    except ImportError as error:
        raise MissingExtraError("scikit-learn is not installed: pip install 'rightreasons[train]'") from error
    moons, y = make_moons(_ROWS, noise=_NOISE, random_state=seed)
    noise: Any = np.random.default_rng(seed).normal(size=(_ROWS, nuisance))
    x = torch.from_numpy(np.concatenate([moons, noise], axis=1)).float()
    names = ("x1", "x2", *(f"n{i + 1}" for i in range(nuisance)))
    return x, torch.from_numpy(y), tuple(Column(name) for name in names)
