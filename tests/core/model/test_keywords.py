"""Keywords as long as the batch: which reading the model has of them, and what is said when it has two."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons import attacks, priors, tasks, training
from rightreasons.core.model._keywords import keywords

B = 4
X = torch.randn(B, B, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
V = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
METHOD = rr.IntegratedGradients(steps=8)

SHARED: dict[str, tuple[Callable[..., Tensor], Tensor]] = {
    "weights of features": (lambda x, w: (x * w).sum(1).square(), V),
    "a matrix": (lambda x, w: (x @ w).square().sum(1), torch.outer(V, V)),
    "a symmetric function": (lambda x, w: (x.square() * w.mean()).sum(1), V),
    "one equal at both ends": (lambda x, w: (x.square() * w.mean()).sum(1), V[[0, 1, 2, 0]]),
    "a table": (lambda x, w: w[(x[:, 0] > 0).long() + 2] * x.square().sum(1), V),
}
PER_ROW: dict[str, tuple[Callable[..., Tensor], Tensor]] = {
    "scale": (lambda x, w: x.square().sum(1) * w, V),
    "mask": (lambda x, w: (x * w).square().sum(1), (X > 0).double()),
    "index": (lambda x, w: x.square().gather(1, w[:, None])[:, 0], torch.tensor([0, 2, 3, 1])),
    "constant": (lambda x, w: x.square().sum(1) * w, torch.ones(B)),
}


@pytest.mark.parametrize("chunk", [None, 1, 2, 3])
@pytest.mark.parametrize("name", SHARED)
def test_what_all_rows_share_is_not_taken_for_per_row(name: str, chunk: int | None) -> None:
    model, value = SHARED[name]
    alone = torch.cat([METHOD(model, row[None], model_kwargs={"w": rr.Shared(value)}) for row in X])
    torch.testing.assert_close(METHOD(model, X, model_kwargs={"w": value}, chunk=chunk), alone)
    torch.testing.assert_close(METHOD(model, X, model_kwargs={"w": rr.Shared(value)}, chunk=chunk), alone)


@pytest.mark.parametrize("chunk", [None, 1, 2, 3])
@pytest.mark.parametrize("name", PER_ROW)
def test_what_follows_the_rows_still_does(name: str, chunk: int | None) -> None:
    model, value = PER_ROW[name]
    alone = torch.cat([METHOD(model, X[i : i + 1], model_kwargs={"w": value[i : i + 1]}) for i in range(B)])
    torch.testing.assert_close(METHOD(model, X, model_kwargs={"w": value}, chunk=chunk), alone)
    torch.testing.assert_close(METHOD(model, X, model_kwargs={"w": rr.PerRow(value)}, chunk=chunk), alone)


def test_a_single_row_with_a_keyword_of_length_one() -> None:
    shared = METHOD(lambda x, w: (x * w).square().sum(1), X[:1], model_kwargs={"w": V[1:2]})
    torch.testing.assert_close(shared, 4 * METHOD(lambda x: x.square().sum(1), X[:1]))
    own = METHOD(lambda x, w: x.square().sum(1) * w, X[:1], model_kwargs={"w": V[1:2]})
    torch.testing.assert_close(own, 2 * METHOD(lambda x: x.square().sum(1), X[:1]))


def test_one_keyword_of_each_kind() -> None:
    def model(x: Tensor, w: Tensor, scale: Tensor, unused: int) -> Tensor:
        return (x * w).square().sum(1) * scale

    found = keywords(model, (X,), {"w": V, "scale": V.flip(0), "unused": 3})
    assert found.per_row == {"scale"}
    assert found.evaluations > 0
    table = keywords(
        lambda x, w, labels: w[labels] * x.sum(1), (X,), {"w": V, "labels": torch.tensor([0, 3, 2, 0])}
    )
    assert table.per_row == {"labels"}


@pytest.mark.parametrize("kinds", [("w", "scale"), ("w",), ("scale",), ()], ids=str)
def test_a_model_that_refuses_few_rows_is_judged_by_the_order_of_all(kinds: tuple[str, ...]) -> None:
    def model(x: Tensor, **given: Tensor) -> Tensor:
        if len(x) != B:
            raise KeyError("no such size")
        return (x * given.get("w", V)).square().sum(1) * given.get("scale", V[0])

    values = {name: {"w": V, "scale": V.flip(0)}[name] for name in kinds}
    assert keywords(model, (X,), values).per_row == set(kinds) - {"w"}
    wanted = 2 * X * V.square() * values.get("scale", V[:1])[:, None]
    torch.testing.assert_close(rr.Gradient()(model, X, model_kwargs=values), wanted)


def test_nothing_runs_to_find_out_where_the_batch_runs_as_it_was_given() -> None:
    sizes: list[int] = []

    def model(x: Tensor, w: Tensor) -> Tensor:
        sizes.append(len(x))
        return (x * w).square().sum(1)

    mask = (X[:, :3] > 0).double()
    for method in (rr.Gradient(), rr.IntegratedGradients(steps=1), rr.SmoothGrad(samples=1)):
        method(model, X[:, :3], model_kwargs={"w": mask})
    penalty = training.Penalty(rr.ExpectedGradients("batch"), priors.L1())
    step = training.Step(outputs=X, task=tasks.Regression(), model_kwargs={"w": mask})
    scale = nn.Parameter(torch.ones((), dtype=torch.float64))
    penalty(lambda x, w: scale * model(x, w), X[:, :3], V, step=step).backward()
    assert sizes == [B, B, B, B]
    assert METHOD.explain(model, X[:, :3], model_kwargs={"w": mask}).evaluations.forward == sum(sizes[4:])
    assert sizes[4:] != [B, 8 * B], "where a row runs several times it has to be known"


def test_nothing_runs_where_there_is_no_doubt() -> None:
    def model(*_: Any, **__: Any) -> Tensor:
        raise AssertionError("ran")

    for values in ({"w": V[:3]}, {"w": rr.Shared(V), "v": rr.PerRow(V)}, {"w": 4, "v": None}, {}):
        assert keywords(model, (X,), values).evaluations == 0
    assert keywords(model, (X,), {"v": rr.PerRow(V)}).per_row == {"v"}


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(B, 2).double()

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.inner(x * w)


def test_two_readings_that_fit_and_differ_are_refused_by_name() -> None:
    def model(x: Tensor, w: Tensor) -> Tensor:
        return x.sum(1) * (
            w[0] if len(w) > len(x) else w[: len(x)].flip(0).cumsum(0)[0] if len(x) > 2 else w[0]
        )

    with pytest.raises(
        rr.InputError, match=r"model_kwargs w may follow the 4 rows or be shared.*rr.PerRow\(value\)"
    ):
        keywords(model, (X,), {"w": V})


def test_what_is_declared_per_row_has_the_rows() -> None:
    with pytest.raises(
        rr.ShapeError, match=r"model_kwargs\['w'\] is declared PerRow but has shape \(3,\) for 4 rows"
    ):
        rr.Gradient()(lambda x, w: x.sum(1), X, model_kwargs={"w": rr.PerRow(V[:3])})


def test_the_random_state_is_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    keywords(lambda x, w: (x * w).sum(1) + 0 * torch.rand(len(x)), (X,), {"w": V})
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("rows", [1.0, 0.75])
@pytest.mark.parametrize("declared", [False, True])
def test_penalties_read_keywords_alike(rows: float, declared: bool) -> None:
    torch.manual_seed(0)
    model, y = Scaled(), torch.arange(B) % 2
    term = training.Penalty(rr.Gradient(), priors.L2(), rows=rows)
    objective = training.Objective(model, tasks.MultiClass(2), [term])
    given = {"w": rr.Shared(V) if declared else V}
    losses = objective(X, y, generator=torch.Generator().manual_seed(0), model_kwargs=given)
    chosen = torch.arange(B)
    if rows < 1:
        chosen = torch.randperm(B, generator=torch.Generator().manual_seed(0))[:3].sort().values
    maps = model.inner.weight[y[chosen]] * V
    torch.testing.assert_close(losses.penalties["L2"], maps.square().sum(1).mean())


def test_a_penalty_of_the_callers_own_gets_keywords_as_the_model_takes_them() -> None:
    def method(model: Any, x: Tensor, target: Any, *, model_kwargs: Any, **_: Any) -> Tensor:
        assert all(isinstance(value, Tensor) for value in model_kwargs.values())
        return model(x, **model_kwargs)

    torch.manual_seed(0)
    term = training.Penalty(method, priors.L2(), rows=0.75)
    objective = training.Objective(Scaled(), tasks.MultiClass(2), [term])
    assert objective(X, torch.arange(B) % 2, model_kwargs={"w": rr.Shared(V)}).total.isfinite()


@pytest.mark.parametrize("chunk", [None, 1, 2])
def test_attacks_read_keywords_alike(chunk: int | None) -> None:
    torch.manual_seed(0)
    model = Scaled()
    y = model(X, V).argmax(1).detach()

    def bound(x: Tensor) -> Tensor:
        return model(x, V)

    found, wanted = (
        attacks.PGD(eps=0.5, steps=3).run(
            net, X, y, generator=torch.Generator().manual_seed(0), chunk=chunk, model_kwargs=given
        )
        for net, given in ((model, {"w": V}), (bound, None))
    )
    torch.testing.assert_close(found.adversarial, wanted.adversarial)
    attack = attacks.TopK(k=2, eps=0.5, steps=2, surrogate=None)
    method = rr.InputTimesGradient()
    results = [
        attack(
            net,
            X,
            y,
            attribution=method,
            generator=torch.Generator().manual_seed(0),
            chunk=chunk,
            model_kwargs=given,
        )
        for net, given in ((model, {"w": V}), (bound, None))
    ]
    torch.testing.assert_close(results[0].maps, results[1].maps)
    torch.testing.assert_close(results[0].adversarial, results[1].adversarial)
