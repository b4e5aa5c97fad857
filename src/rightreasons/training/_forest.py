"""Peers of decision trees, grown by scikit-learn and kept as tensors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rightreasons.core._errors import InputError, MissingExtraError
from rightreasons.models import Trees
from rightreasons.tasks import Binary, MultiClass, Regression, Task

Labelled = tuple[Float[Tensor, "_ p"], Shaped[Tensor, "..."]]


@final
@dataclass(frozen=True)
class GradientBoosting:
    """Gradient boosting by trees [friedman2001], as many rounds as are best on validation rows.

    The number of rounds is to it what the epoch is to a network: all are grown, and those up to the best are kept.

    Cost: rounds x outputs trees.

    Args:
        rate: shrinkage of each tree.
        rounds: most rounds.
        depth: of a tree.
        subsample: share of the rows that a tree is grown on.

    Raises:
        InputError: a number out of range; when fitted, another task than binary, multi-class or regression.
    """

    rate: float = 0.1
    rounds: int = 200
    depth: int = 3
    subsample: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("rate", self.rate), ("subsample", self.subsample)):
            if not 0 < value <= 1:
                raise InputError(f"GradientBoosting: {name} is in (0, 1]; got {value}.")
        _require_counts(self, "rounds", "depth")

    def fit(
        self, task: Task, train: Labelled, validation: Labelled, *, outputs: int = 1, seed: int = 0
    ) -> tuple[Trees, int]:
        """The trees, and how many rounds they are.

        Raises: InputError for another task than binary, multi-class or regression, or a class without rows.
        """
        require_learnable(self, task, train[1])
        ensemble = _sklearn().GradientBoostingRegressor if isinstance(task, Regression) else None
        ensemble = ensemble or _sklearn().GradientBoostingClassifier
        grown = ensemble(
            learning_rate=self.rate,
            n_estimators=self.rounds,
            max_depth=self.depth,
            subsample=self.subsample,
            random_state=seed % 2**32,
        ).fit(*_arrays(train), sample_weight=_row_weights(task, train[1]))
        stages = grown.estimators_.reshape(self.rounds, -1)
        x = validation[0].numpy()
        best = max(
            enumerate(_staged(grown, x), start=1),
            key=lambda stage: (_score(task, torch.from_numpy(stage[1]), validation[1]), -stage[0]),
        )[0]
        parts = [_tensors(stages[r, k], k, outputs) for r in range(best) for k in range(outputs)]
        trees = Trees(**_stacked(parts), offset=torch.zeros(outputs, dtype=torch.float64), scale=self.rate)
        # What boosting starts from is all that its raw outputs have beyond its trees.
        raw = torch.from_numpy(next(_staged(grown, x[:1], skip=best - 1)))
        trees.get_buffer("offset").copy_(
            raw.double().reshape(-1) - trees(validation[0][:1]).double().reshape(-1)
        )
        return trees, best


@final
@dataclass(frozen=True)
class RandomForest:
    """Random forest [breiman2001]: mean of trees grown on bootstrap samples, a share of the features at each node.

    Cost: as many trees, to the last leaf.

    Args:
        features: share of the features that a node may ask for.
        trees: how many.
        least: fewest rows of a leaf.

    Raises:
        InputError: a number out of range; when fitted, another task than binary, multi-class or regression.
    """

    features: float = 0.3
    trees: int = 300
    least: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.features <= 1:
            raise InputError(f"RandomForest: features is a share in (0, 1]; got {self.features}.")
        _require_counts(self, "trees", "least")

    def fit(
        self, task: Task, train: Labelled, validation: Labelled, *, outputs: int = 1, seed: int = 0
    ) -> tuple[Trees, int]:
        """The trees, and how many; validation rows play no part.

        Raises: InputError for another task than binary, multi-class or regression, or a class without rows.
        """
        require_learnable(self, task, train[1])
        numeric = isinstance(task, Regression)
        forest = _sklearn().RandomForestRegressor if numeric else _sklearn().RandomForestClassifier
        grown = forest(
            n_estimators=self.trees,
            max_features=self.features,
            min_samples_leaf=self.least,
            random_state=seed % 2**32,
        ).fit(*_arrays(train), sample_weight=_row_weights(task, train[1]))
        parts = [_tensors(tree) for tree in grown.estimators_]
        outputs = parts[0]["value"].shape[1]  # a binary forest has a probability for each of two classes
        link = "identity" if numeric else "logit" if isinstance(task, Binary) else "log"
        offset = torch.zeros(outputs, dtype=torch.float64)
        return Trees(**_stacked(parts), offset=offset, scale=1 / self.trees, link=link), self.trees


def _require_counts(peer: object, *names: str) -> None:
    for name in names:
        value = getattr(peer, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{type(peer).__name__}: {name} is a whole number of at least 1; got {value!r}.")


def require_learnable(peer: object, task: Task, y: Tensor) -> None:
    """Raise an InputError unless trees can learn this task from these labels."""
    classes = 2 if isinstance(task, Binary) else getattr(task, "classes", 0)
    if classes and len(y.unique()) < classes:
        raise InputError(
            f"{type(peer).__name__} learns the classes that it sees, and only {len(y.unique())} of {classes} are among "
            "the training rows."
        )
    if not isinstance(task, Binary | MultiClass | Regression):
        raise InputError(
            f"{type(peer).__name__} is for binary, multi-class and regression tasks; got {type(task).__name__}. "
            "Leave the arm out, or use a linear peer, which takes any task: lasso, ridge, elastic_net (ElasticNet)."
        )


def _arrays(rows: Labelled) -> tuple[np.ndarray, np.ndarray]:
    return rows[0].numpy(), rows[1].reshape(len(rows[1])).numpy()


def _row_weights(task: Task, y: Tensor) -> np.ndarray | None:
    weights = getattr(task, "weights", None)
    return None if weights is None else np.asarray(weights)[y.reshape(len(y)).long().numpy()]


def _staged(grown: Any, x: np.ndarray, skip: int = 0) -> Iterator[np.ndarray]:
    """Raw outputs after each round."""
    staged = grown.staged_decision_function if hasattr(grown, "decision_function") else grown.staged_predict
    for number, outputs in enumerate(staged(x)):
        if number >= skip:
            yield outputs


def _score(task: Task, outputs: Tensor, y: Tensor) -> float:
    value = task.metrics(outputs, y)[task.headline]
    value = value if value == value else -float("inf")
    return value if task.higher_is_better else -value


def _tensors(estimator: Any, output: int = 0, outputs: int = 1) -> dict[str, Tensor]:
    """A fitted tree: leaves name themselves, values (N, K) stand in the column of their output."""
    tree = estimator.tree_
    own = torch.arange(tree.node_count)
    leaf = torch.from_numpy(tree.children_left) < 0
    value = torch.from_numpy(np.array(tree.value[:, 0, :]))
    if value.shape[1] == 1 and outputs > 1:
        value = torch.zeros(len(value), outputs, dtype=torch.float64).index_copy(
            1, torch.tensor([output]), value
        )
    return {
        "feature": torch.from_numpy(np.array(tree.feature)).clamp(min=0),
        "threshold": torch.from_numpy(np.array(tree.threshold)),
        "left": torch.where(leaf, own, torch.from_numpy(tree.children_left)),
        "right": torch.where(leaf, own, torch.from_numpy(tree.children_right)),
        "value": value,
    }


def _stacked(parts: Sequence[dict[str, Tensor]]) -> dict[str, Any]:
    return {name: pad_sequence([part[name] for part in parts], batch_first=True) for name in parts[0]}


def _sklearn() -> Any:
    try:
        import sklearn.ensemble
    except ImportError as error:
        raise MissingExtraError("trees need scikit-learn: pip install 'rightreasons[train]'") from error
    return sklearn.ensemble
