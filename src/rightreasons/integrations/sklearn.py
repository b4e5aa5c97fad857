"""Networks trained with a prior on their attributions, as estimators of scikit-learn.

    model = make_pipeline(SimpleImputer(), AttributionPriorClassifier(prior=priors.Gini(), weight=0.1)).fit(X, y)
    maps = model[-1].attribute(X)

They work in pipelines, searches and cross-validation, with arrays and with frames. Inputs and numeric labels are
standardised inside, with the mean and spread of the training rows, so weights of priors mean the same in any units;
attributions are given in units of the prediction (or of its log-odds), whatever the inputs were scaled by.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rightreasons import tasks
from rightreasons.core._errors import InputError
from rightreasons.integrations._estimator import AttributionPriorEstimator, kept, moments, task_or

# After the module above, which says how to install what is missing.
from sklearn.base import ClassifierMixin, RegressorMixin  # isort: skip
from sklearn.utils.multiclass import check_classification_targets  # isort: skip
from sklearn.utils.validation import validate_data  # isort: skip

__all__ = ["AttributionPriorClassifier", "AttributionPriorRegressor", "AttributionPriorSurvival"]


class AttributionPriorClassifier(ClassifierMixin, AttributionPriorEstimator):
    """A network that classifies, trained with a prior on its attributions.

    Two classes are one logit, more are one logit each. By default the prior is on one draw of expected gradients of
    each row's own class, with training rows as references.

    Cost: fit takes about three times as long as without a prior; memory of the training rows.

    Args:
        prior: what is believed of attributions: any of `rr.priors`, one of "l1", "l2" and "gini", or None. With a
            `LearnedPrior` X has to be a frame, whose columns the meta-features are matched to by name; rows about
            columns that an earlier step left out are ignored.
        weight: of the prior: a number, "auto", or what else `training.Penalty` takes.
        attribution: method whose maps the prior sees; None: `ExpectedGradients` of the training rows. Baselines and
            references are given in standardised units.
        network: a module, which is copied, or a function (features, outputs) -> module; None: an `MLP`.
        hidden: units of the hidden layers of that MLP.
        task: another task of `rr.tasks` or loss; None: cross-entropy.
        epochs: passes over the rows.
        batch_size: rows of a step, None for all, or "auto" for 32.
        lr: learning rate of Adam.
        weight_decay: of the network.
        prior_lr: learning rate of a prior that learns; None: that of the network.
        prior_weight_decay: of a prior that learns; None: that of the network.
        validation_fraction: of the rows, kept out of training; the best epoch on them is kept.
        patience: epochs without a better validation metric before stopping.
        random_state: seed or generator of initial weights, order of rows and draws.
        verbose: show a progress bar.

    Attributes:
        classes_: labels, sorted.
        feature_importance_: (p,), mean size of the attributions of at most 256 training rows, in log-odds.
        network_: the trained network, on standardised inputs.
        prior_: the prior, trained if it learns.
        references_: (R, p), standardised training rows that attributions refer to, at most 1,000.
        mean_: (p,), of the training rows.
        scale_: (p,), their standard deviation; 1 for a constant column.
        history_: one record for each epoch.
        n_epochs_: epochs trained.
        n_features_in_: p.
        feature_names_in_: names of the columns, if X was a frame.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(100, 3))
        >>> model = AttributionPriorClassifier(epochs=10, random_state=0).fit(
        ...     X, np.where(X[:, 0] > 0, "high", "low")
        ... )
        >>> model.predict([[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]])
        array(['high', 'low'], dtype='<U4')
        >>> int(model.feature_importance_.argmax()), model.attribute(X[:5]).shape
        (0, (5, 3))
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "AttributionPriorClassifier":
        """Train.

        Args:
            X: (n, p) finite numbers.
            y: (n,) labels of at least two classes.
            sample_weight: (n,), how much each row counts, in the task and in priors that are means over rows; rows of
                weight 0 are left out.

        Raises:
            ValueError: what cannot be used; it says why.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        X, y, weights = kept(self, X, y, sample_weight)
        self.classes_, labels = np.unique(y, return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            raise InputError(
                f"a classifier needs rows of at least two classes; got one class, {self.classes_[0]!r}."
            )
        default = tasks.Binary() if count == 2 else tasks.MultiClass(count)
        self._fit(
            X, torch.from_numpy(labels), weights, task_or(self.task, default), 1 if count == 2 else count
        )
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """(n, classes), probabilities in the order of `classes_`.

        With `sample_weight`, or weights in the task, they are those of the weighted rows, as elsewhere in scikit-learn.
        """
        z = self._outputs(X)
        if len(self.classes_) > 2:
            return z.softmax(1).numpy()
        positive = z.reshape(-1).sigmoid()
        return torch.stack([1 - positive, positive], dim=1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """(n,), the most probable class."""
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]

    def _target(self, x: Tensor, y: Any) -> Tensor | None:
        if len(self.classes_) == 2:
            return None
        if y is None:
            with torch.no_grad():
                return self.network_(x).argmax(1)
        given = np.asarray(y)
        index = np.searchsorted(self.classes_, given).clip(max=len(self.classes_) - 1)
        unknown = given[self.classes_[index] != given]
        if len(unknown):
            raise InputError(
                f"y holds {str(unknown[0])!r}, which is none of the classes {self.classes_.tolist()}: no output stands "
                "for it."
            )
        return torch.from_numpy(index)


class AttributionPriorRegressor(RegressorMixin, AttributionPriorEstimator):
    """A network that predicts a number, trained with a prior on its attributions.

    Labels are standardised for training, so the prior's weight means the same in any unit; predictions and
    attributions are in the unit of y. See `AttributionPriorClassifier` for the arguments and what else is learned.

    Attributes:
        feature_importance_: (p,), mean size of the attributions of at most 256 training rows, in the unit of y.
        y_mean_: mean of the training labels.
        y_scale_: their standard deviation; 1 if they are constant.
        network_: the trained network, from standardised inputs to standardised labels.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(100, 3))
        >>> model = AttributionPriorRegressor(random_state=0).fit(X, 1000 + 300 * X[:, 0])
        >>> model.score(X, 1000 + 300 * X[:, 0]) > 0.95
        True
        >>> maps = model.attribute(X)
        >>> bool(np.allclose(maps.sum(1), model.predict(X) - model.predict(X).mean(), atol=1.0))
        True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "AttributionPriorRegressor":
        """Train.

        Args:
            X: (n, p) finite numbers.
            y: (n,) numbers.
            sample_weight: (n,), how much each row counts, in the task and in priors that are means over rows; rows of
                weight 0 are left out.

        Raises:
            ValueError: what cannot be used; it says why.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        X, y, weights = kept(self, X, np.asarray(y, dtype=np.float64), sample_weight)
        mean, scale = moments(y[:, None], weights)
        self.y_mean_, self.y_scale_ = float(mean[0]), float(scale[0])
        labels = torch.from_numpy((y - self.y_mean_) / self.y_scale_)
        self._fit(X, labels, weights, task_or(self.task, tasks.Regression()), 1)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """(n,), in the unit of y."""
        return (self._outputs(X).reshape(-1) * self.y_scale_ + self.y_mean_).numpy()

    def _unit(self) -> float:
        return self.y_scale_


class AttributionPriorSurvival(AttributionPriorEstimator):
    """A network that predicts a log-hazard, trained by Cox's likelihood with a prior on its attributions.

    y is the structured array that scikit-survival uses, one field of truth values (was the event seen) and one of
    times; scikit-survival is not needed. The risk set is the batch: with batch_size="auto" all rows are one batch, so
    take more epochs than for the other estimators. Rows have no weights: the likelihood is no mean over rows. See
    `AttributionPriorClassifier` for the arguments and what else is learned.

    Attributes:
        feature_importance_: (p,), mean size of the attributions of at most 256 training rows, in log-hazard.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(200, 3))
        >>> y = np.zeros(200, dtype=[("event", bool), ("time", float)])
        >>> y["event"], y["time"] = True, rng.exponential(np.exp(-2 * X[:, 0]))
        >>> AttributionPriorSurvival(random_state=0).fit(X, y).score(X, y) > 0.8
        True
    """

    _batch_size = None

    def fit(self, X: Any, y: Any) -> "AttributionPriorSurvival":
        """Train.

        Args:
            X: (n, p) finite numbers.
            y: (n,) structured: truth values and times of at least 0.

        Raises:
            ValueError: what cannot be used; it says why.
        """
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        labels = _survival_labels(y, len(X))
        if not bool(labels[:, 1].any()):
            raise InputError(
                f"Cox's likelihood compares who had the event with who was at risk, and none of {len(X)} did."
            )
        self._fit(X, labels, None, task_or(self.task, tasks.Survival()), 1)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """(n,), the log-hazard up to a constant: the higher, the earlier."""
        return self._outputs(X).reshape(-1).numpy()

    def score(self, X: Any, y: Any) -> float:
        """Harrell's concordance index."""
        risk = torch.from_numpy(self.predict(X))
        return tasks.Survival().metrics(risk, _survival_labels(y, len(risk)))["concordance"]


def _survival_labels(y: Any, rows: int) -> Tensor:
    """(n, 2), time and event."""
    fields = getattr(getattr(y, "dtype", None), "names", None) or ()
    events = [name for name in fields if y.dtype[name].kind == "b"]
    if len(fields) != 2 or len(events) != 1:
        raise InputError(
            "y must be a structured array of one field of truth values (was the event seen) and one of times, got "
            f"{getattr(y, 'dtype', type(y).__name__)}. np.array(list(zip(event, time)), dtype=[('event', bool), "
            "('time', float)]) makes one."
        )
    if len(y) != rows:
        raise InputError(f"X has {rows} rows and y has {len(y)}.")
    times = next(name for name in fields if name not in events)
    return torch.from_numpy(np.stack([y[times].astype(float), y[events[0]].astype(float)], axis=1))
