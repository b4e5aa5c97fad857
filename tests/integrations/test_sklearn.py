"""Estimators of scikit-learn: its own checks, pipelines, searches, frames, weights, attributions, survival."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rightreasons as rr
from rightreasons import InputError, priors, tasks
from rightreasons.integrations.sklearn import (
    AttributionPriorClassifier,
    AttributionPriorRegressor,
    AttributionPriorSurvival,
)

SOURCE = Path(rr.__file__).parent.parent
QUICK = {"epochs": 10, "random_state": 0}
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": "a row of weight 2 is one row that counts twice, two rows are two "
    "draws of batches and references; without draws the two agree, see "
    "test_weights_are_repetitions_where_nothing_is_drawn"
}


CHECKS = """
import json, torch
from sklearn.utils.estimator_checks import check_estimator
from rightreasons.integrations.sklearn import AttributionPriorClassifier, AttributionPriorRegressor

torch.set_num_threads(1)
found = check_estimator({estimator}(epochs=12), expected_failed_checks={expected}, on_fail=None, on_skip=None)
print(json.dumps([[each["check_name"], each["status"], str(each["exception"])[:300]] for each in found]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["AttributionPriorClassifier", "AttributionPriorRegressor"])
def test_checks_of_scikit_learn(estimator):
    """In a process of its own, without our run-time checks of types, which make hundreds of fits slow."""
    code = CHECKS.format(estimator=estimator, expected=EXPECTED_FAILURES)
    environment = {**os.environ, "RIGHTREASONS_TYPECHECK": "0", "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    status = {name: state for name, state, _ in found}
    assert [each for each in found if each[1] == "failed"] == []
    assert len(found) > 50
    assert {name for name, state in status.items() if state == "xfail"} == set(EXPECTED_FAILURES)
    assert {name for name, state in status.items() if state == "skipped"} <= {"check_array_api_input"}


def data(rows=120, seed=0):
    """Feature 0 counts twice as much as 1; 2 and 3 not at all. In units of their own."""
    X = np.random.default_rng(seed).normal(size=(rows, 4))
    signal = 2 * X[:, 0] - X[:, 1]
    return X * [1, 1000, 1, 0.01] + [0, 5000, 0, 0], signal


def frame(rows=120):
    X, signal = data(rows)
    return pd.DataFrame(X, columns=list("abcd")), signal


def labelled(classes=3):
    X, signal = data(240)
    return X, np.array(["low", "mid", "top"])[:classes][np.digitize(signal, [-1, 1] if classes == 3 else [0])]


@pytest.mark.parametrize("classes", [2, 3])
def test_classifier(classes):
    X, y = labelled(classes)
    model = AttributionPriorClassifier(epochs=15, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.85
    assert model.predict_proba(X).shape == (240, classes)
    assert np.allclose(model.predict_proba(X).sum(1), 1)
    importance = model.feature_importance_
    assert importance[0] > importance[1] > 2 * max(importance[2:])


def test_attributions_are_complete_and_in_the_unit_of_the_label():
    X, signal = data()
    model = AttributionPriorRegressor(random_state=0).fit(X, 50 * signal + 7)
    maps = model.attribute(X)
    gap = maps.sum(1) - (model.predict(X) - model.predict(X).mean())
    assert np.abs(gap).max() < 1e-6 * np.abs(model.predict(X)).max()
    expected = 50 * 2 * (X[:, 0] - X[:, 0].mean())
    assert np.corrcoef(maps[:, 0], expected)[0, 1] > 0.98


def test_attributions_of_a_class_that_is_asked_for():
    X, y = labelled()
    model = AttributionPriorClassifier(**QUICK).fit(X, y)
    own = model.attribute(X[:9])
    assert np.allclose(own, model.attribute(X[:9], model.predict(X[:9])))
    assert not np.allclose(own, model.attribute(X[:9], ["low"] * 9))
    with pytest.raises(InputError, match="y holds 'zzz', which is none of the classes .'low', 'mid', 'top'."):
        model.attribute(X[:9], ["zzz"] * 9)


def test_the_prior_does_what_it_says():
    X, signal = data()
    free = AttributionPriorRegressor(prior=None, **QUICK).fit(X, signal)
    held = AttributionPriorRegressor(prior="l1", weight=20.0, **QUICK).fit(X, signal)
    assert held.feature_importance_.sum() < 0.5 * free.feature_importance_.sum()
    assert free.prior_ is None
    assert "penalty/L1" in held.history_[-1]


@pytest.mark.parametrize(
    "prior",
    [
        None,
        "gini",
        "l2",
        priors.GraphLaplacian(np.eye(4)[::-1]),
        priors.Monotone(torch.tensor([1.0, -1, 0, 0])),
    ],
)
def test_any_prior(prior):
    X, signal = data(60)
    assert AttributionPriorRegressor(prior=prior, **QUICK).fit(X, signal).predict(X).shape == (60,)


def test_any_attribution_task_and_network():
    X, signal = data(60)
    settings = {"attribution": rr.IntegratedGradients(steps=3), "task": torch.nn.functional.l1_loss}
    made = AttributionPriorRegressor(
        network=lambda p, outputs: torch.nn.Linear(p, outputs), task=tasks.Regression()
    )
    assert isinstance(clone(made).set_params(**QUICK).fit(X, signal).network_, torch.nn.Linear)
    network = torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Flatten(0))
    before = network[0].weight.detach().clone()
    AttributionPriorRegressor(network=network, **settings, **QUICK).fit(X, signal)
    assert torch.equal(network[0].weight, before)


def test_a_learned_prior_is_matched_to_columns_by_name():
    X, signal = frame()
    meta = priors.MetaFeatures.from_table({"known": [0, 0, 1, 2]}, list("dcba"), names=list("dcba"))
    prior = priors.LearnedPrior(meta, signed=False)
    made = AttributionPriorRegressor(prior=prior, weight=0.3, prior_lr=0.05, epochs=30, random_state=0)
    model = made.fit(X, signal)
    assert model.prior_.meta_features.features == ("a", "b", "c", "d")
    importance = model.prior_.importance().detach().numpy()
    assert importance[0] > importance[1] > max(importance[2:])
    assert not prior.network.weight.equal(model.prior_.network.weight.float())  # the caller's is left alone
    with pytest.raises(InputError, match="X has no column names. Fit on a frame"):
        clone(made).fit(X.to_numpy(), signal)
    with pytest.raises(InputError, match="1 features have none .'e'"):
        clone(made).fit(X.rename(columns={"d": "e"}), signal)


def test_a_learned_prior_after_feature_selection():
    X, signal = frame()
    meta = priors.MetaFeatures.from_table({"known": [0, 0, 1, 2]}, list("dcba"), names=list("dcba"))
    made = AttributionPriorRegressor(prior=priors.LearnedPrior(meta, signed=False), **QUICK)
    line = make_pipeline(SelectKBest(f_regression, k=3), made).set_output(transform="pandas").fit(X, signal)
    known = line[-1].prior_.meta_features
    assert len(known.features) == 3
    assert set(known.features) > {"a", "b"}
    assert known.values[known.features.index("a")] == meta.values[3]


def test_pipelines_searches_and_frames():
    X, signal = frame()
    line = make_pipeline(StandardScaler(), AttributionPriorRegressor(**QUICK)).set_output(transform="pandas")
    search = GridSearchCV(line, {"attributionpriorregressor__weight": [0.01, 10.0]}, cv=3).fit(X, signal)
    assert search.best_params_ == {"attributionpriorregressor__weight": 0.01}
    last = search.best_estimator_[-1]
    assert list(last.feature_names_in_) == list("abcd")
    with pytest.raises(ValueError, match="feature names should match"):
        last.predict(X[list("dcba")])
    assert np.allclose(pickle.loads(pickle.dumps(search)).predict(X), search.predict(X))


def test_weights_are_repetitions_where_nothing_is_drawn():
    X, signal = data(40)
    weights = np.random.default_rng(1).integers(0, 4, 40)
    settings = {
        "attribution": rr.IntegratedGradients(steps=4), "batch_size": None, "epochs": 25, "random_state": 0,
        "prior": "l1", "weight": 0.3,
    }  # fmt: skip
    once = AttributionPriorRegressor(**settings).fit(X, signal, sample_weight=weights)
    often = AttributionPriorRegressor(**settings).fit(X.repeat(weights, 0), signal.repeat(weights))
    assert np.allclose(once.predict(X), often.predict(X), rtol=1e-6, atol=1e-8)
    plain = AttributionPriorRegressor(**settings).fit(X, signal)
    assert not np.allclose(once.predict(X), plain.predict(X), rtol=1e-3)


@pytest.mark.parametrize("prior", ["l1", "gini"])
def test_weights_of_classes(prior):
    X, y = labelled()
    X, y = X[::2], y[::2]
    weights = np.where(y == "mid", 50.0, 1.0)
    plain = AttributionPriorClassifier(prior=prior, **QUICK).fit(X, y)
    tilted = AttributionPriorClassifier(prior=prior, **QUICK).fit(X, y, sample_weight=weights)
    assert (tilted.predict(X) == "mid").sum() > (plain.predict(X) == "mid").sum()


def test_weights_reach_the_prior():
    """Only heavy rows have a loss worth the name of the prior: with the weights elsewhere, it shrinks another map."""
    X = np.random.default_rng(0).normal(size=(60, 2))
    heavy = np.arange(60) < 30
    X[heavy, 1] = 0.0  # where rows are heavy only feature 0 varies
    y = X.sum(1)
    settings = {"weight": 3.0, "attribution": rr.IntegratedGradients(steps=4), "epochs": 60, "random_state": 0,
                "network": torch.nn.Linear(2, 1)}  # fmt: skip
    found = [
        AttributionPriorRegressor(**settings)
        .fit(X, y, sample_weight=weights)
        .network_.weight.detach()
        .numpy()[0]
        for weights in (np.where(heavy, 1.0, 1e-3), np.where(heavy, 1e-3, 1.0))
    ]
    assert found[0][0] != pytest.approx(found[1][0], rel=0.05)


def test_validation_keeps_the_best_epoch_and_patience_stops():
    X, signal = data()
    model = AttributionPriorRegressor(validation_fraction=0.25, patience=3, epochs=300, random_state=0)
    model.fit(X, signal + np.random.default_rng(0).normal(size=120))
    assert model.n_epochs_ < 300
    assert "validation" in model.history_[0]


def survival(rows=150):
    X, signal = data(rows)
    y = np.zeros(rows, dtype=[("died", "?"), ("days", "<f8")])
    y["days"] = np.random.default_rng(2).exponential(np.exp(-signal))
    y["died"] = np.arange(rows) % 4 != 0
    return X, y


def test_survival():
    X, y = survival()
    model = AttributionPriorSurvival(prior="gini", epochs=60, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.8
    assert model.feature_importance_.argmax() == 0
    assert model.attribute(X).shape == X.shape
    search = GridSearchCV(AttributionPriorSurvival(**QUICK), {"weight": [0.01, 0.1]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.5
    reordered = np.array(list(zip(y["days"], y["died"], strict=True)), dtype=[("t", float), ("e", bool)])
    again = AttributionPriorSurvival(prior="gini", epochs=60, random_state=0).fit(X, reordered)
    assert np.array_equal(again.predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("estimator", "y", "arguments", "message"),
    [
        (AttributionPriorClassifier(), ["a"] * 20, {}, "at least two classes; got one class, .*'a'"),
        (AttributionPriorClassifier(prior="l7"), ["a", "b"] * 10, {}, "no prior 'l7'. "),
        (AttributionPriorRegressor(validation_fraction=1.0), range(20), {}, r"must lie in \[0, 1\); got 1.0"),
        (
            AttributionPriorRegressor(),
            range(20),
            {"sample_weight": [1] + [0] * 19},
            "at least two rows.*got 1",
        ),
        (
            AttributionPriorSurvival(),
            range(20),
            {},
            "y must be a structured array of one field of truth values",
        ),
        (
            AttributionPriorSurvival(),
            np.array([(False, 1.0)] * 20, dtype=[("e", "?"), ("t", float)]),
            {},
            "none of 20 did",
        ),
        (
            AttributionPriorRegressor(prior=3),
            range(20),
            {},
            "prior must be one of rr.priors, a function of maps.*got 3",
        ),
        (
            AttributionPriorRegressor(hidden=16),
            range(20),
            {},
            r"hidden lists the units.*such as \(32,\); got 16",
        ),
        (AttributionPriorRegressor(batch_size="all"), range(20), {}, "None for all, or 'auto'; got 'all'"),
        (
            AttributionPriorRegressor(validation_fraction=0.97),
            range(20),
            {},
            "leaves 1 of 20 rows to train on",
        ),
        (AttributionPriorRegressor(patience=2), range(20), {}, "waits for a better validation metric"),
        (AttributionPriorSurvival(), survival(19)[1], {}, "X has 20 rows and y has 19"),
    ],
)
def test_refusals(estimator, y, arguments, message):
    with pytest.raises(InputError, match=message):
        estimator.fit(np.random.default_rng(0).normal(size=(20, 3)), y, **arguments)


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    import importlib
    import sys

    import rightreasons.integrations._estimator as module

    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(
        rr.MissingExtraError, match="need scikit-learn 1.6 or later: pip install 'rightreasons"
    ):
        importlib.reload(module)
    monkeypatch.undo()
