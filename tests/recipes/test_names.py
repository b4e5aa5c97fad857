import pytest
import torch

from rightreasons import attribution, models, priors
from rightreasons.core._errors import MissingExtraError
from rightreasons.core._extras import require
from rightreasons.recipes import _names

NEEDED = {
    "multiclass": {"classes": 3},
    "multilabel": {"labels": 2},
    "ramp": {"last": 5},
    "fourier_smoothness": {"limit": 4},
}


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, names in _names.KINDS.items() for n in names])
def test_every_name_resolves_and_resolving_twice_changes_nothing(kind: str, name: str) -> None:
    given = NEEDED.get(name, {})
    once = _names.resolved(kind, name, given)
    assert _names.resolved(kind, name, once) == once


def test_what_is_built_has_the_fields() -> None:
    fields = _names.resolved("prior", "total_variation", {"dims": 1})
    assert _names.build("prior", "total_variation", fields) == priors.TotalVariation(dims=1)


def test_what_the_data_decide_is_not_filled_in() -> None:
    assert "outputs" not in _names.resolved("model", "cnn", {})
    assert _names.resolved("model", "cnn", {"outputs": 3})["outputs"] == 3


def test_models_are_those_of_the_package() -> None:
    assert tuple(_names.KINDS["model"]) == models.names()


def test_optimizers_are_made_with_their_fields() -> None:
    make = _names.optimizer("sgd", _names.resolved("optimizer", "sgd", {"lr": 0.5}))
    made = make([torch.nn.Parameter(torch.zeros(2))])
    assert isinstance(made, torch.optim.SGD)
    assert made.defaults["lr"] == 0.5


def test_a_missing_extra_says_the_pip_line() -> None:
    with pytest.raises(
        MissingExtraError, match=r"no_such_package not installed\. pip install 'rightreasons\[cli\]'"
    ):
        require("cli", "no_such_package", "json")


def test_every_attribution_and_prior_of_the_package_has_a_name() -> None:
    methods = {getattr(attribution, name) for name in attribution.__all__}
    methods = {each for each in methods if hasattr(each, "axioms")}
    assert {entry.make for entry in _names.KINDS["attribution"].values()} == methods
    beliefs = {entry.make.__name__ for entry in _names.KINDS["prior"].values()}
    own = {name for name in priors.__all__ if hasattr(getattr(priors, name), "coupled")}
    assert own - beliefs <= {"Prior", "Grouped", "LearnedPrior"}  # a protocol, `on: columns`, and one to come
