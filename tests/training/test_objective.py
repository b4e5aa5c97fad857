import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons import priors, tasks, training
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.training import Auto, DoubleBackprop, Objective, Penalty, Ramp, Recompute
from tests.networks import CLASSES, NETWORKS, labels

NETWORK = NETWORKS["mlp tanh"]
X, Y = NETWORK.inputs(6), labels(6)
TASK = tasks.MultiClass(CLASSES)


def penalty(weight: Any = 0.5, prior: Any = None, **fields: Any) -> Penalty:
    return Penalty(rr.Gradient(), prior or priors.L2(), weight, **fields)


def objective(*terms: Any, engine: Any = None) -> Objective:
    return Objective(NETWORK.make(), TASK, terms, engine=engine)


def norm(loss: Tensor, model: nn.Module) -> float:
    """Of the gradient, by backward on parameters without one."""
    for p in model.parameters():
        p.grad = None
    loss.backward(retain_graph=True)
    total = sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None)
    return total**0.5


def test_total_is_task_plus_weighted_penalties() -> None:
    got = objective(penalty(), penalty(2.0, priors.L1(), label="small"))(X, Y)
    maps = rr.Gradient()(NETWORK.make(), X, Y)
    assert got.penalties["L2"].item() == pytest.approx(float(priors.L2()(maps)))
    assert got.penalties["small"].item() == pytest.approx(float(maps.abs().mean()))
    assert got.task.item() == pytest.approx(float(TASK.loss(NETWORK.make()(X), Y).detach()))
    wanted = got.task + 0.5 * got.penalties["L2"] + 2 * got.penalties["small"]
    torch.testing.assert_close(got.total, wanted)
    assert got.weights == {"L2": 0.5, "small": 2.0}
    assert got.gradient_ratios is None


def test_without_terms_it_is_the_task() -> None:
    got = objective()(X, Y)
    assert torch.equal(got.total, got.task)


def test_a_loss_function_is_a_task() -> None:
    got = Objective(NETWORK.make(), nn.functional.cross_entropy, [penalty()])(X, Y)
    torch.testing.assert_close(got.total, objective(penalty())(X, Y).total)


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute(2)], ids=repr)
def test_values_without_gradients(engine: training.Engine) -> None:
    terms = objective(penalty(), engine=engine)
    expected = terms(X, Y)
    with torch.no_grad():
        got = terms(X, Y)
    assert not got.total.requires_grad
    torch.testing.assert_close(got.total, expected.total.detach())
    got = terms.eval()(X, Y)
    torch.testing.assert_close(got.total, expected.total)
    with torch.inference_mode():
        torch.testing.assert_close(terms(X, Y).total.clone(), expected.total.detach())


def test_every_third_step_and_only_training_counts() -> None:
    terms = objective(penalty(every=3))
    terms.eval()(X, Y)
    terms.train()
    assert [bool(terms(X, Y).penalties) for _ in range(7)] == [True, False, False, True, False, False, True]
    assert terms.step == 7
    assert terms.eval()(X, Y).penalties


def test_a_weight_of_zero_costs_nothing() -> None:
    def explode(*_: Any, **__: Any) -> Tensor:
        raise AssertionError

    terms = objective(Penalty(explode, priors.L2(), 0.0))
    assert terms(X, Y).penalties == {}


def test_warm_up() -> None:
    terms = objective(penalty(Ramp(end=1.0, last=2)))
    got = [terms(X, Y).weights for _ in range(4)]
    assert got == [{}, {"L2": 0.5}, {"L2": 1.0}, {"L2": 1.0}]


@pytest.mark.parametrize("weight", [lambda step: -1.0, lambda step: float("nan")])
def test_functions_of_the_step_that_give_no_weight(weight: Callable[[int], float]) -> None:
    with pytest.raises(InputError, match=r"finite and not negative; 'L2' has .* at step 0"):
        objective(penalty(weight))(X, Y)


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute(2)], ids=repr)
@pytest.mark.parametrize(("weight", "ratio"), [("auto", 1.0), (Auto(0.25), 0.25), (Auto(3.0, at=2), 3.0)])
def test_auto_weight_gives_the_stated_ratio(weight: Any, ratio: float, engine: training.Engine) -> None:
    terms = objective(penalty(weight), engine=engine)
    at = weight.at if isinstance(weight, Auto) else 0
    for _ in range(at):
        assert terms(X, Y).penalties == {}
    got = terms(X, Y)
    measured = got.weights["L2"] * norm(got.penalties["L2"], terms.model) / norm(got.task, terms.model)
    assert measured == pytest.approx(ratio)
    with torch.no_grad():
        for p in terms.model.parameters():
            p.mul_(2)
    assert terms(X, Y).weights == got.weights


def test_auto_weight_is_off_before_it_is_measured_in_eval_mode() -> None:
    terms = objective(penalty("auto")).eval()
    assert terms(X, Y).penalties == {}
    terms.train()(X, Y)
    assert terms.eval()(X, Y).penalties


def test_auto_weight_of_a_flat_penalty() -> None:
    class Flat:
        coupled = False

        def __call__(self, maps: Tensor, guidance: Any = None) -> Tensor:
            return maps.sum() * 0

    with pytest.raises(InputError, match="that of 'Flat' 0"):
        objective(penalty("auto", Flat()))(X, Y)


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute(2)], ids=repr)
def test_gradient_ratios(engine: training.Engine) -> None:
    terms = objective(penalty(0.3), penalty(2.0, priors.L1()), engine=engine)
    got = terms(X, Y, gradient_ratios=True)
    assert all(p.grad is None for p in terms.model.parameters())
    task = norm(got.task, terms.model)
    for name, value in got.penalties.items():
        expected = got.weights[name] * norm(value, terms.model) / task
        assert got.gradient_ratios[name] == pytest.approx(expected)


def test_gradient_ratios_of_a_task_without_gradient_are_infinite() -> None:
    terms = Objective(NETWORK.make(), lambda z, y: z.sum() * 0, [penalty()])
    assert terms(X, Y, gradient_ratios=True).gradient_ratios == {"L2": float("inf")}


def test_gradient_ratios_need_gradients() -> None:
    with torch.no_grad(), pytest.raises(InputError, match="none are recorded"):
        objective(penalty())(X, Y, gradient_ratios=True)


def test_state_goes_round() -> None:
    terms = objective(penalty(Auto(at=1)))
    for _ in range(3):
        terms(X, Y)
    other = objective(penalty(Auto(at=1)))
    other.load_state_dict(safetensors.torch.load(safetensors.torch.save(terms.state_dict())))
    assert (other.step, other.measured) == (3, terms.measured)
    assert other(X, Y).weights == terms.measured


def test_guidance_by_name() -> None:
    class Weighted:
        coupled = False

        def __call__(self, maps: Tensor, guidance: Tensor | None = None) -> Tensor:
            return maps.square().mean() if guidance is None else (guidance * maps.square()).mean()

    terms = objective(penalty(prior=Weighted(), label="a"), penalty(prior=Weighted(), label="b"))
    mask = torch.rand_like(X)
    both, one, none = terms(X, Y, guidance=mask), terms(X, Y, guidance={"b": mask}), terms(X, Y)
    assert one.penalties["a"].item() == none.penalties["a"].item()
    assert one.penalties["b"].item() == both.penalties["b"].item() == both.penalties["a"].item()
    with pytest.raises(InputError, match=r"got 'c', the terms are \['a', 'b'\]"):
        terms(X, Y, guidance={"c": mask})


def test_names_are_unique() -> None:
    with pytest.raises(InputError, match=r"terms need different names.*label="):
        objective(penalty(), penalty())


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.full((6, 4), float("nan")).double(), InputError, "24 NaN or infinite"),
        (torch.zeros(0, 4).double(), InputError, "no rows"),
        (torch.tensor(1.0), ShapeError, "batch dimension"),
        ((torch.zeros(2, 4), torch.zeros(3, 4)), ShapeError, "same number of rows"),
    ],
)
def test_inputs_that_cannot_be_used(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        objective(penalty())(x, Y)


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute()], ids=repr)
def test_a_batch_of_one_has_no_other_rows(engine: training.Engine) -> None:
    terms = objective(Penalty(rr.ExpectedGradients("batch"), priors.L2()), engine=engine)
    with pytest.raises(InputError, match="needs at least 2 rows, got 1"):
        terms(X[:1], Y[:1])


def test_a_small_last_batch_still_has_other_rows() -> None:
    terms = objective(Penalty(rr.ExpectedGradients("batch"), priors.L2(), rows=0.25))
    for rows in (2, 3, 4):
        assert torch.isfinite(terms(X[:rows], Y[:rows]).total)


class Learned(nn.Module):
    """A prior with a parameter of its own."""

    coupled = False

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4).double())

    def forward(self, maps: Tensor, guidance: Tensor | None = None) -> Tensor:
        return (maps * self.scale).square().sum(1).mean()


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute(2)], ids=repr)
def test_a_prior_that_learns_is_trained_and_saved(engine: training.Engine) -> None:
    prior = Learned()
    terms = objective(penalty(1.0, prior), engine=engine)
    assert any(p is prior.scale for p in terms.parameters())
    assert any(key.endswith("scale") for key in terms.state_dict())
    terms(X, Y).total.backward()
    maps = rr.Gradient()(NETWORK.make(), X, Y)
    torch.testing.assert_close(prior.scale.grad, 2 * maps.square().mean(0))


def _accumulate(terms: Objective, halves: int = 2) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            terms.zero_grad()
            for _ in range(halves):
                terms(X, Y).total.backward()
            with torch.no_grad():
                for p in terms.model.parameters():
                    p.sub_(0.01)
    return [str(w.message) for w in caught]


def test_coupled_priors_under_accumulation_are_said_once() -> None:
    (message,) = _accumulate(objective(penalty(prior=priors.Gini())))
    assert "accumulated over micro-batches, but Gini depends on the batch as a whole" in message


@pytest.mark.parametrize(
    "terms",
    [objective(penalty()), objective(penalty(prior=priors.Gini("sample")))],
    ids=["L2", "Gini of each sample"],
)
def test_per_row_priors_under_accumulation_are_fine(terms: Objective) -> None:
    assert _accumulate(terms) == []


def test_coupled_priors_without_accumulation_are_fine() -> None:
    assert _accumulate(objective(penalty(prior=priors.Gini())), halves=1) == []


def test_two_forwards_without_gradients_between_are_fine() -> None:
    terms = objective(penalty(prior=priors.Gini()))
    terms(X, Y)
    terms(X, Y).total.backward()
    with torch.no_grad():
        terms(X, Y)


def test_everything_is_left_as_found_after_an_error() -> None:
    class Broken:
        coupled = False

        def __call__(self, maps: Tensor, guidance: Any = None) -> Tensor:
            raise ValueError("broken prior")

    terms = objective(penalty(prior=Broken()))
    before = copy.deepcopy(terms.model.state_dict())
    with pytest.raises(ValueError, match="broken prior"):
        terms(X, Y)
    assert all(m.training for m in terms.modules())
    assert terms.step == 0
    for key, value in terms.model.state_dict().items():
        assert torch.equal(value, before[key])
    terms.terms = (penalty(),)
    terms(X, Y).total.backward()
