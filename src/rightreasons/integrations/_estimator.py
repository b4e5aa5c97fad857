"""Base class of the scikit-learn estimators."""

import copy
from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from rightreasons import models, priors, tasks, training
from rightreasons.attribution import Attribution, Complete, ExpectedGradients
from rightreasons.core._errors import InputError, MissingExtraError
from rightreasons.core._inputs import as_tuple
from rightreasons.core._suggest import did_you_mean
from rightreasons.integrations._weighted import WeightedPrior, WeightedTask

try:
    from sklearn.base import BaseEstimator
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise MissingExtraError(
        "these estimators need scikit-learn 1.6 or later: pip install 'rightreasons[train]'"
    ) from error

_PRIORS: dict[str, Callable[[], priors.Prior]] = {"gini": priors.Gini, "l1": priors.L1, "l2": priors.L2}
_ROWS_EXPLAINED = 256  # for feature_importance_
ROWS_AT_ONCE = 4096
_MOST_REFERENCES = 1000


class AttributionPriorEstimator(BaseEstimator):
    """What the estimators share; each says its task and its labels."""

    _batch_size: int | None = 32  # what "auto" stands for

    def __init__(  # what scikit-learn passes is checked where it is used
        self,
        prior: Any = "l1",
        weight: Any = 0.1,
        *,
        attribution: Any = None,
        network: Any = None,
        hidden: Any = (32,),
        task: Any = None,
        epochs: Any = 40,
        batch_size: Any = "auto",
        lr: Any = 0.01,
        weight_decay: Any = 0.0,
        prior_lr: Any = None,
        prior_weight_decay: Any = None,
        validation_fraction: Any = 0.0,
        patience: Any = None,
        random_state: Any = None,
        verbose: Any = False,
    ) -> None:
        self.prior = prior
        self.weight = weight
        self.attribution = attribution
        self.network = network
        self.hidden = hidden
        self.task = task
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.prior_lr = prior_lr
        self.prior_weight_decay = prior_weight_decay
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.verbose = verbose

    def attribute(self, X: Any, y: Any = None, *, samples: int = 100) -> np.ndarray:
        """Expected gradients of the prediction, with training rows as references.

        Args:
            X: rows, (n, p).
            y: for more than two classes, the class whose log-odds are explained in each row; None: the predicted one.
            samples: draws; the maps sum to prediction minus mean prediction of the references for any number.

        Returns:
            (n, p), in the unit of a regression's label, of log-odds, or of the log-hazard.
        """
        x = self._seen(X)
        return self._maps(x, self._target(x, y), samples).numpy()

    def _maps(self, x: Tensor, target: Tensor | None, samples: int) -> Tensor:
        method = ExpectedGradients(self.references_, samples=samples, estimator=Complete())
        generator = torch.Generator().manual_seed(0)
        maps = method(self.network_, x, target, generator=generator, chunk=ROWS_AT_ONCE)
        return as_tuple(maps)[0] * self._unit()

    def _target(self, x: Tensor, y: Any) -> Tensor | None:
        """Which output is explained in each row."""
        return None

    def _unit(self) -> float:
        return 1.0

    def _fit(
        self, x: np.ndarray, y: Tensor, weights: np.ndarray | None, task: tasks.Task, outputs: int
    ) -> None:
        """Train on rows whose labels the task reads; weights have mean 1."""
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.mean_, self.scale_ = moments(x, weights)
        X = self._standardised(x)
        self.network_ = models.seeded(lambda: self._built(X.shape[1], outputs), seed).double()
        self.prior_ = self._chosen_prior()
        data, task = _carrying(X, y, weights, task)
        train, validation = self._split(len(X), seed)
        size = self._batch_size if self.batch_size == "auto" else self.batch_size
        if isinstance(size, str):
            raise InputError(f"batch_size must be a number of rows, None for all, or 'auto'; got {size!r}.")
        objective = training.Objective(self.network_, task, self._terms(X[train], weights is not None))
        fitted = training.fit(
            objective,
            tuple(part[train] for part in data),
            validation=tuple(part[validation] for part in data) if len(validation) else None,
            epochs=self.epochs,
            batch_size=size,
            optimizer=self._optimizer(objective),
            seed=seed,
            patience=self.patience,
            precision="64-true",
            drop_last=size is not None and len(train) > size and len(train) % size == 1,
            progress=bool(self.verbose),
        )
        self.network_.eval()
        self.history_, self.n_epochs_ = fitted.history, len(fitted.history)
        self._explain(X[train], task.explained(data[1][train]), seed)

    def _explain(self, x: Tensor, target: Tensor | None, seed: int) -> None:
        """References and importances, from training rows."""
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        self.references_ = x[order[:_MOST_REFERENCES].sort().values]
        rows = order[:_ROWS_EXPLAINED]
        maps = self._maps(x[rows], None if target is None else target[rows], samples=50)
        self.feature_importance_ = maps.abs().mean(0).numpy()

    def _built(self, features: int, outputs: int) -> nn.Module:
        if self.network is None:
            if not isinstance(self.hidden, Iterable):
                raise InputError(
                    f"hidden lists the units of each hidden layer, such as (32,); got {self.hidden!r}."
                )
            return models.MLP(features, tuple(self.hidden), outputs)
        return (
            copy.deepcopy(self.network)
            if isinstance(self.network, nn.Module)
            else self.network(features, outputs)
        )

    def _chosen_prior(self) -> Any:
        if isinstance(self.prior, str):
            if self.prior not in _PRIORS:
                raise InputError(f"there is no prior {self.prior!r}. {did_you_mean(self.prior, _PRIORS)}")
            return _PRIORS[self.prior]()
        if self.prior is not None and not callable(self.prior):
            raise InputError(
                f"prior must be one of rr.priors, a function of maps, 'l1', 'l2', 'gini' or None; got {self.prior!r}."
            )
        if not isinstance(self.prior, priors.LearnedPrior):
            return copy.deepcopy(self.prior)
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            raise InputError(
                "meta-features are matched to columns by name, and X has no column names. Fit on a frame; in a "
                "pipeline, make_pipeline(...).set_output(transform='pandas') keeps names."
            )
        return self.prior.on(self.prior.meta_features.aligned(list(names), unmatched="ignore")).double()

    def _terms(self, references: Tensor, weighted: bool) -> list[training.Term]:
        if self.prior_ is None:
            return []
        per_row = weighted and not getattr(self.prior_, "coupled", False)
        prior = WeightedPrior(self.prior_) if per_row else self.prior_
        method: Attribution = ExpectedGradients(references) if self.attribution is None else self.attribution
        return [training.Penalty(method, prior, self.weight, label=type(self.prior_).__name__)]

    def _optimizer(self, objective: training.Objective) -> torch.optim.Optimizer:
        own = {"lr": self.prior_lr, "weight_decay": self.prior_weight_decay}
        own = {name: value for name, value in own.items() if value is not None}
        learns = isinstance(self.prior_, nn.Module) and any(p.requires_grad for p in self.prior_.parameters())
        groups = objective.parameter_groups(terms=own if learns else None)
        return torch.optim.Adam(groups, lr=self.lr, weight_decay=self.weight_decay)

    def _split(self, count: int, seed: int) -> tuple[Tensor, Tensor]:
        if not 0 <= self.validation_fraction < 1:
            raise InputError(f"validation_fraction must lie in [0, 1); got {self.validation_fraction}.")
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        held = round(self.validation_fraction * count)
        if held and count - held < 2:
            raise InputError(
                f"validation_fraction={self.validation_fraction} leaves {count - held} of {count} rows to train on. "
                "Use less, or more rows."
            )
        return order[held:].sort().values, order[:held].sort().values

    def _standardised(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy((x - self.mean_) / self.scale_)

    def _seen(self, X: Any) -> Tensor:
        check_is_fitted(self)
        x: Any = validate_data(self, X, dtype=np.float64, reset=False)
        return self._standardised(x)

    @torch.no_grad()
    def _outputs(self, X: Any) -> Tensor:
        return torch.cat([self.network_(rows) for rows in self._seen(X).split(ROWS_AT_ONCE)])


def task_or(given: Any, default: tasks.Task) -> tasks.Task:
    return default if given is None else tasks.task_from(given)


def moments(x: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the columns; 1 where a column is constant."""
    mean = np.average(x, axis=0, weights=weights)
    scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))
    largest = np.abs(x).max(axis=0)
    return mean, np.where(scale > 1e-12 * largest, scale, 1.0)


def kept(
    estimator: Any, X: np.ndarray, y: np.ndarray, sample_weight: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Rows that count, and their weights with mean 1; None if all count alike."""
    if sample_weight is None:
        return X, y, None
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    there = weights > 0
    if there.sum() < 2:
        raise InputError(f"at least two rows must have a positive sample_weight; got {int(there.sum())}.")
    X, y, weights = X[there], y[there], weights[there] / weights[there].mean()
    return X, y, None if np.ptp(weights) == 0 else weights


def _carrying(
    X: Tensor, y: Tensor, weights: np.ndarray | None, task: tasks.Task
) -> tuple[tuple[Tensor, ...], tasks.Task]:
    """Rows for `training.fit`, with weights for the task in the labels and for the prior as guidance."""
    if weights is None:
        return (X, y), task
    each = torch.from_numpy(weights)
    return (X, torch.stack([y.double(), each], dim=1), each), cast(tasks.Task, WeightedTask(task, y.dtype))
