"""A prior that learns: trained by the objective, with a rate of its own, through checkpoints."""

from functools import partial

import pytest
import torch

import rightreasons as rr
from rightreasons import InputError, priors, tasks, training

P = 20
NAMES = [f"g{i}" for i in range(P)]
ADAM = partial(torch.optim.Adam, lr=0.01)


def problem(rows=80, seed=0):
    """Only the first five features matter, and a meta-feature says so."""
    x = torch.randn(rows, P, generator=torch.Generator().manual_seed(seed))
    return x, x[:, :5].sum(1)


def meta():
    known = torch.zeros(P)
    known[:5] = 1
    return priors.MetaFeatures.from_table({"known": known.numpy()}, NAMES, names=NAMES)


def objective(prior=None, weight=0.3, **fields):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(P, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    prior = prior or priors.LearnedPrior(meta(), "mlp", signed=False)
    penalty = training.Penalty(rr.ExpectedGradients(problem(16, 1)[0]), prior, weight, **fields)
    return training.Objective(model, tasks.Regression(), [penalty])


def weights(of):
    return torch.cat([p.detach().flatten() for p in of.parameters()])


@pytest.mark.parametrize(("level", "distance"), [("sample", "l1"), ("global", "l1"), ("sample", "l2")])
def test_it_finds_out_that_what_is_known_matters(level, distance):
    prior = priors.LearnedPrior(meta(), "linear", signed=False, distance=distance, level=level)
    trained = objective(prior)
    training.fit(trained, problem(), epochs=150, batch_size=40, optimizer=ADAM)
    importance = prior.importance().detach()
    assert importance[:5].min() > 2 * importance[5:].abs().max()


def test_groups_are_the_model_and_what_terms_learn():
    trained = objective()
    model, learned = trained.parameter_groups(model={"weight_decay": 0.1}, terms={"lr": 1e-4})
    assert model["weight_decay"] == 0.1
    assert "lr" not in model
    assert learned["lr"] == 1e-4
    own = list(trained.terms[0].prior.parameters())
    assert [id(p) for p in learned["params"]] == [id(p) for p in own]
    everything = {id(p) for group in (model, learned) for p in group["params"]}
    assert everything == {id(p) for p in trained.parameters()}


def test_a_rate_of_zero_holds_the_prior_still():
    trained = objective()
    before = trained.terms[0].prior.importance().detach()
    optimizer = torch.optim.Adam(trained.parameter_groups(terms={"lr": 0.0}), lr=0.01)
    training.fit(trained, problem(), epochs=2, optimizer=optimizer)
    assert torch.equal(trained.terms[0].prior.importance().detach(), before)


def test_a_prior_on_columns_is_trained_too():
    names = [f"c{i}" for i in range(10)]
    known = priors.MetaFeatures.from_table({"a": list(range(10))}, names, names=names)
    learned = priors.LearnedPrior(known, signed=False)
    grouped = priors.Grouped(learned, {name: (2 * i, 2 * i + 1) for i, name in enumerate(names)})
    trained = objective(grouped)
    assert len(trained.parameter_groups()) == 2
    training.fit(trained, problem(), epochs=2, batch_size=40, optimizer=ADAM)
    assert learned.importance().any()


def test_without_terms_that_learn_there_is_one_group():
    names = [f"x{i}" for i in range(20)]
    known = priors.MetaFeatures.from_table({"a": list(range(20))}, names, names=names)
    zero = objective(priors.LearnedPrior(known, "zero"))  # a control takes the options of what it controls
    assert len(zero.parameter_groups(terms={"lr": 0.1})) == 1
    plain = objective(priors.L1())
    assert len(plain.parameter_groups()) == 1
    with pytest.raises(
        InputError, match=r"terms=.'lr': 0.1. are options for terms that learn.*none of .'L1'. does"
    ):
        plain.parameter_groups(terms={"lr": 0.1})
    with pytest.raises(
        InputError, match="terms: lr must be finite and not negative, or training would go uphill; got -1"
    ):
        zero.parameter_groups(terms={"lr": -1})
    with pytest.raises(InputError, match="model: weight_decay must be finite and not negative"):
        zero.parameter_groups({"weight_decay": -0.1})


def test_an_optimizer_of_something_else_is_refused():
    trained, other = objective(), objective()
    for groups, got in (
        (other.parameter_groups(), "holds 0 of them and 10 others"),
        (trained.parameter_groups()[:1], "holds 4 of them and 0 others"),
    ):
        with pytest.raises(InputError, match=f"the 10 trainable parameters of this objective, and {got}"):
            training.fit(trained, problem(), epochs=1, optimizer=torch.optim.SGD(groups, lr=0.1))


def test_a_broken_run_ends_where_an_unbroken_one_does(tmp_path):
    def run(epochs, directory):
        trained = objective()
        optimizer = torch.optim.Adam(trained.parameter_groups(terms={"lr": 3e-3}), lr=0.01)
        training.fit(
            trained, problem(), validation=problem(20, 2), epochs=epochs, batch_size=32, optimizer=optimizer,
            directory=directory,
        )  # fmt: skip
        return weights(trained)

    expected = run(6, None)
    run(3, tmp_path)
    assert torch.equal(run(6, tmp_path), expected)


@pytest.mark.parametrize("change", ["meta-features", "rate of the prior"])
def test_a_checkpoint_of_another_prior_is_refused(tmp_path, change):
    def run(changed):
        trained = objective(
            priors.LearnedPrior(meta().permuted(torch.Generator().manual_seed(1)), "mlp", signed=False)
            if changed and change == "meta-features"
            else None
        )
        groups = trained.parameter_groups(
            terms={"lr": 1e-3 if changed and change != "meta-features" else 1e-4}
        )
        training.fit(
            trained, problem(), epochs=2, optimizer=torch.optim.Adam(groups, lr=0.01), directory=tmp_path
        )

    run(False)
    with pytest.raises(InputError, match="checkpoint of another run"):
        run(True)


def test_both_engines_give_the_same_gradient():
    found = []
    for engine in (training.DoubleBackprop(), training.Recompute(16)):
        trained = objective()
        trained.engine = engine
        trained(*problem(), generator=torch.Generator().manual_seed(0)).total.backward()
        found.append(torch.cat([p.grad.flatten() for p in trained.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_rows_and_draws_go_with_it():
    rows = objective(rows=0.25)
    assert rows(*problem()).total.isfinite()
    with pytest.raises(InputError, match="depends on the batch as a whole"):
        objective(priors.LearnedPrior(meta(), level="global"), rows=0.25)
    assert objective(priors.LearnedPrior(meta(), distance="l2"), draws=2)(*problem()).total.isfinite()
    with pytest.raises(InputError, match="has no bilinear form"):
        objective(priors.LearnedPrior(meta(), distance="l1"), draws=2)
