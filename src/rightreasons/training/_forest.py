"""Tree peers: random forest and gradient boosting, grown by scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, MissingExtraError
from rightreasons.models import Trees
from rightreasons.tasks import Binary, MultiClass, Regression, Task

_PATIENCE = 50
"""Rounds that boosting goes on without a better score on validation rows."""
Labelled = tuple[Float[Tensor, "_ p"], Shaped[Tensor, "..."]]


@final
@checked
@dataclass(frozen=True)
class GradientBoosting:
    """Gradient boosting by trees [friedman2001] on histograms, as many rounds as are best on validation rows.

    The number of rounds is to it what the epoch is to a network: those up to the least validation log loss (of numbers,
    squared error) are kept, so that probabilities come true; growing ends once the last 50 rounds brought nothing.

    Cost: rounds x outputs trees, each a pass over the rows and their features in `bins` bins: 420 rows of 765 features
    in ten classes take about 2 s for 60 rounds, where sorted values take 34 s.

    Args:
        rate: shrinkage of each tree.
        rounds: most rounds.
        depth: of a tree.
        least: fewest rows of a leaf.
        bins: values of a feature that are told apart, at most 255.

    Raises:
        InputError: a number out of range; when fitted, another task than binary, multi-class or regression.
    """

    rate: float = 0.1
    rounds: int = 200
    depth: int = 3
    least: int = 10
    bins: int = 64

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise InputError(f"GradientBoosting: rate is in (0, 1]; got {self.rate}.")
        _require_counts(self, "rounds", "depth", "least", "bins")
        if not 2 <= self.bins <= 255:
            raise InputError(f"GradientBoosting: bins is in 2..255; got {self.bins}.")

    def fit(
        self, task: Task, train: Labelled, validation: Labelled, *, outputs: int = 1, seed: int = 0
    ) -> tuple[Trees, int]:
        """The trees, and how many rounds they are.

        Raises: InputError for another task than binary, multi-class or regression, or a class without rows.
        """
        require_learnable(self, task, train[1])
        grown, best = self._grown(task, train, validation, seed)
        stages = grown._predictors[:best]
        trees = Trees(
            **_stacked([_of_nodes(stage[k].nodes, k, outputs) for stage in stages for k in range(outputs)]),
            offset=torch.zeros(outputs, dtype=torch.float64),
        )
        # What boosting starts from is all that its raw outputs have beyond its trees.
        first = validation[0][:1]
        raw = torch.from_numpy(_staged(grown, first.numpy())[best - 1])
        trees.get_buffer("offset").copy_(raw.double().reshape(-1) - trees(first).double().reshape(-1))
        return trees, best

    def _grown(self, task: Task, train: Labelled, validation: Labelled, seed: int) -> tuple[Any, int]:
        """The ensemble, with the number of its rounds that is best; on one thread, since threads change last digits."""
        from threadpoolctl import threadpool_limits  # which scikit-learn brings

        ensemble = _sklearn()
        kind = "Regressor" if isinstance(task, Regression) else "Classifier"
        grown = getattr(ensemble, f"HistGradientBoosting{kind}")(
            learning_rate=self.rate, max_depth=self.depth, max_leaf_nodes=None, min_samples_leaf=self.least,
            max_bins=self.bins, early_stopping=False, warm_start=True, random_state=seed % 2**32,
        )  # fmt: skip
        x, y = _arrays(train)
        weights, best, rounds = _row_weights(task, train[1]), 0, 0
        with threadpool_limits(limits=1):
            while rounds < self.rounds and rounds - best < _PATIENCE:
                rounds = min(self.rounds, rounds + _PATIENCE)
                grown.set_params(max_iter=rounds).fit(x, y, sample_weight=weights)
                stages = _staged(grown, validation[0].numpy())
                scores = [_score(task, torch.from_numpy(each), validation[1]) for each in stages]
                best = 1 + max(range(len(scores)), key=scores.__getitem__)  # the first of equals
        return grown, best


@final
@checked
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


def _staged(grown: Any, x: np.ndarray) -> list[np.ndarray]:
    """Raw outputs after each round."""
    staged = grown.staged_decision_function if hasattr(grown, "decision_function") else grown.staged_predict
    return list(staged(x))


def _score(task: Task, outputs: Tensor, y: Tensor) -> float:
    """Larger is better."""
    metrics = task.metrics(outputs, y)
    value = -metrics["log_loss"] if "log_loss" in metrics else metrics[task.headline]
    return value if value == value else -float("inf")


def _of_nodes(nodes: np.ndarray, output: int, outputs: int) -> dict[str, Tensor]:
    """A tree grown on histograms: leaves name themselves, values (N, K) stand in the column of their output."""
    own, leaf = torch.arange(len(nodes)), torch.from_numpy(nodes["is_leaf"].astype(bool))
    value = torch.zeros(len(nodes), outputs, dtype=torch.float64)
    value[:, output] = torch.from_numpy(nodes["value"].copy())
    left, right = (torch.from_numpy(nodes[side].astype(np.int64)) for side in ("left", "right"))
    return {
        "feature": torch.from_numpy(nodes["feature_idx"].copy()).clamp(min=0),
        "threshold": torch.from_numpy(nodes["num_threshold"].copy()),
        "left": torch.where(leaf, own, left),
        "right": torch.where(leaf, own, right),
        "value": value,
    }


def _tensors(estimator: Any) -> dict[str, Tensor]:
    """A fitted tree of a forest: leaves name themselves, values are (N, K)."""
    tree = estimator.tree_
    own = torch.arange(tree.node_count)
    leaf = torch.from_numpy(tree.children_left) < 0
    return {
        "feature": torch.from_numpy(np.array(tree.feature)).clamp(min=0),
        "threshold": torch.from_numpy(np.array(tree.threshold)),
        "left": torch.where(leaf, own, torch.from_numpy(tree.children_left)),
        "right": torch.where(leaf, own, torch.from_numpy(tree.children_right)),
        "value": torch.from_numpy(np.array(tree.value[:, 0, :])),
    }


def _stacked(parts: Sequence[dict[str, Tensor]]) -> dict[str, Any]:
    return {name: pad_sequence([part[name] for part in parts], batch_first=True) for name in parts[0]}


def _sklearn() -> Any:
    try:
        import sklearn.ensemble
    except ImportError as error:
        raise MissingExtraError("trees need scikit-learn: pip install 'rightreasons[train]'") from error
    return sklearn.ensemble
