import rightreasons.priors
from tests.priors.cases import CASES


def test_every_public_prior_has_a_case():
    public = [getattr(rightreasons.priors, name) for name in rightreasons.priors.__all__]
    priors = {
        thing for thing in public if hasattr(thing, "coupled") and thing is not rightreasons.priors.Prior
    }
    assert {type(case.prior) for case in CASES} == priors


def test_names_are_unique():
    names = [case.name for case in CASES]
    assert len(set(names)) >= len(names) - 1  # the default level of Gini is also written out
