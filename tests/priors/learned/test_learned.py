"""The learned prior: what it computes is in the conformance suite; here networks, copies, controls and refusals."""

import pytest
import torch
from torch import nn

from rightreasons import InputError, ShapeError
from rightreasons.priors import LearnedPrior, MetaFeatures, controls

NAMES = [f"g{i}" for i in range(12)]


def meta(seed: int = 0) -> MetaFeatures:
    drawn = torch.randn(12, 2, generator=torch.Generator().manual_seed(seed)).numpy()
    return MetaFeatures.from_table({"a": drawn[:, 0], "b": drawn[:, 1]}, NAMES, names=NAMES)


@pytest.mark.parametrize(
    ("network", "parameters"), [("linear", 3), ("mlp", 65), ("constant", 1), ("zero", 0)]
)
def test_networks_by_name(network, parameters):
    prior = LearnedPrior(meta(), network)
    assert sum(p.numel() for p in prior.parameters()) == parameters
    assert prior.importance().shape == (12,)
    assert not prior.importance().any()  # training starts at the control g = 0


def test_own_networks_may_give_a_column_or_not_and_any_precision():
    values = meta().values
    column = LearnedPrior(meta(), nn.Linear(2, 1).double())
    flat = LearnedPrior(meta(), nn.Sequential(nn.Linear(2, 1), nn.Flatten(0)))
    assert column.importance().dtype == torch.float64
    torch.testing.assert_close(flat.importance(), flat.network[0](values)[:, 0])
    with pytest.raises(ShapeError, match=r"a number for each feature, .12,. or .12, 1.; got .12, 3."):
        LearnedPrior(meta(), nn.Linear(2, 3)).importance()


def test_it_learns_what_the_maps_are():
    truth = 2 * meta().values[:, 0] - 1
    maps = truth + 0.1 * torch.randn(64, 12)
    prior = LearnedPrior(meta(), distance="l2")
    optimizer = torch.optim.LBFGS(prior.parameters(), max_iter=50)

    def closure():
        optimizer.zero_grad()
        value = prior(maps)
        value.backward()
        return value

    optimizer.step(closure)
    torch.testing.assert_close(prior.importance().detach(), truth, atol=0.1, rtol=0)


def test_gradients_reach_maps_and_network():
    prior = LearnedPrior(meta(), "mlp")
    maps = torch.randn(5, 12, requires_grad=True)
    prior(maps).backward()
    assert maps.grad.abs().sum() > 0
    assert all(p.grad is not None for p in prior.parameters())


def test_a_copy_on_other_meta_features_has_the_same_weights():
    prior = LearnedPrior(meta(), "mlp", signed=False, distance="l2", level="global")
    other = prior.on(meta(1))
    assert other.network is not prior.network
    torch.testing.assert_close(other.importance(), prior.importance_at(meta(1).values))
    assert (other.signed, other.distance, other.level) == (False, "l2", "global")
    with pytest.raises(ShapeError, match="the network reads 2 meta-features; got 1"):
        prior.on(MetaFeatures.from_sets({"s": NAMES[:3]}, NAMES))


def test_controls_differ_from_the_prior_in_one_thing_each():
    prior = LearnedPrior(meta(), "mlp", signed=False)
    found = controls(prior, torch.Generator().manual_seed(0))
    assert list(found) == ["none", "zero", "constant", "permuted", "random"]
    assert found["none"] is None
    rest = [found[name] for name in ("zero", "constant", "permuted", "random")]
    assert all(control.signed is False and control.level == "sample" for control in rest)
    for name in ("permuted", "random"):
        same = [torch.equal(a, b) for a, b in zip(found[name].parameters(), prior.parameters(), strict=True)]
        assert all(same)
        assert not torch.equal(found[name].meta, prior.meta)
    again = controls(prior, torch.Generator().manual_seed(1))
    assert not torch.equal(again["permuted"].meta, found["permuted"].meta)


def test_repr_tells_meta_features_apart_so_that_a_run_does_not_resume_on_others():
    assert repr(LearnedPrior(meta())) != repr(LearnedPrior(meta(1)))
    assert repr(LearnedPrior(meta())) == repr(LearnedPrior(meta()))
    assert "network=Linear(in_features=2" in repr(LearnedPrior(meta()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"network": "forest"},
            "network must be 'linear', 'mlp', 'constant', 'zero' or a module; got 'forest'",
        ),
        (
            {"meta_features": torch.zeros(3, 2)},
            "meta_features must be a MetaFeatures; got torch's Tensor",
        ),
        ({"signed": "no"}, "signed must be True or False; got 'no'"),
        ({"distance": "l3"}, "distance must be one of 'l1', 'l2'; got 'l3'"),
        ({"level": "batch"}, "level must be one of 'sample', 'global'; got 'batch'"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_refusals(arguments, message):
    with pytest.raises(InputError, match=message):
        LearnedPrior(**{"meta_features": meta(), **arguments})


def test_maps_of_other_features_are_refused():
    with pytest.raises(ShapeError, match=r"meta-features of 12 features and needs maps with as many; got 5"):
        LearnedPrior(meta())(torch.ones(3, 5))


def test_no_bilinear_form_is_said():
    with pytest.raises(InputError, match="signed=False, distance='l2'. is not quadratic in signed maps"):
        _ = LearnedPrior(meta(), signed=False, distance="l2").bilinear
