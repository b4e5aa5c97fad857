"""Threads that share a model: each gets what it would get alone, or one clear line."""

import copy
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rightreasons as rr
from rightreasons import priors, tasks, training
from rightreasons.core._errors import InputError
from tests.attribution.helpers import assert_same_state, relative, seeded, state

WAIT = 20.0
ROUNDS = 25

METHODS = (
    rr.Gradient(),
    rr.Gradient(at="0"),
    rr.IntegratedGradients(steps=3),
    rr.SmoothGrad(samples=2),
    rr.NoiseGrad(samples=2, sigma=1.0),
    rr.FusionGrad(samples=2, input_samples=2, sigma=1.0),
    rr.NoiseGrad(rr.LRP(), samples=2, sigma=1.0),
    rr.LRP(),
    rr.LRP(rules=(("Linear", rr.ZPlus()),)),
    rr.DeepLift(),
    rr.GuidedBackprop(),
)
every_method = pytest.mark.parametrize("method", METHODS, ids=repr)


def network() -> nn.Sequential:
    layers = (nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3))
    return nn.Sequential(*layers).double()


@pytest.fixture
def model() -> nn.Sequential:
    made = network()
    made(torch.randn(16, 4, dtype=torch.float64))  # statistics of its own
    return made


@pytest.fixture
def x() -> Tensor:
    return torch.randn(5, 4, dtype=torch.float64)


class Halting(nn.ReLU):
    """Has the thread that explains wait in the middle of its first forward pass until the other one is done."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.go, self.explainer = threading.Event(), threading.Event(), [0]

    def forward(self, input: Tensor) -> Tensor:
        if threading.get_ident() in self.explainer and not self.inside.is_set():
            self.inside.set()
            assert self.go.wait(WAIT)
        return super().forward(input)


@contextmanager
def explained_meanwhile(model: nn.Sequential, explain: Callable[[], Any]) -> Iterator["Future[Any]"]:
    """Inside, another thread is in the middle of `explain`; afterwards it goes on."""
    halting = Halting()
    model[2] = halting

    def run() -> Any:
        halting.explainer.append(threading.get_ident())
        return explain()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run)
        try:
            assert halting.inside.wait(WAIT) or future.exception() is None
            yield future
        finally:
            halting.go.set()


@pytest.mark.parametrize(
    "wrap", [lambda m: m, lambda m: lambda x: m(x), lambda m: m.forward], ids=["m", "f", "b"]
)
@every_method
def test_a_model_that_is_being_explained_predicts_and_trains_as_ever(
    method: rr.Attribution, wrap: Any, model: nn.Sequential, x: Tensor
) -> None:
    needs_module = isinstance(method, rr.NoiseGrad | rr.FusionGrad) or getattr(method, "at", None) is not None
    if wrap(model) is not model and needs_module:
        pytest.skip("needs a module")
    alone = method(copy.deepcopy(model), x, 1, generator=seeded())
    wanted, other = copy.deepcopy(model).eval()(x), nn.BatchNorm1d(4).double()
    with explained_meanwhile(model, lambda: method(wrap(model), x, 1, generator=seeded())) as maps:
        assert torch.equal(method(model, x, 1, generator=seeded()), alone), "explained twice at once"
        assert all(part.training for part in model.modules())
        model.eval()
        assert torch.equal(model(x), wanted)
        model.train()
        other(x)
        assert other.num_batches_tracked == 1, "somebody else's model trains"
    assert torch.equal(maps.result(WAIT), alone)
    assert all(p.grad is None for p in model.parameters())


def test_predictions_meanwhile_know_nothing_of_noise_on_weights(model: nn.Sequential, x: Tensor) -> None:
    model.eval()
    wanted, before = model(x), [p.detach().clone() for p in model.parameters()]
    with explained_meanwhile(model, lambda: rr.NoiseGrad(samples=1, sigma=1.0)(model, x, 1)):
        assert torch.equal(model(x), wanted)
    assert all(map(torch.equal, model.parameters(), before))


@pytest.mark.parametrize("engine", [training.DoubleBackprop(), training.Recompute()], ids=repr)
def test_a_step_of_training_is_the_same_while_the_model_is_explained(
    engine: training.Engine, x: Tensor
) -> None:
    def step(model: nn.Module) -> None:
        penalty = training.Penalty(rr.IntegratedGradients(steps=2), priors.L1())
        objective = training.Objective(model, tasks.MultiClass(3), [penalty], engine=engine)
        torch.manual_seed(0)
        objective(x, torch.arange(5) % 3).total.backward()

    model = network()
    twin = copy.deepcopy(model)
    step(twin)
    with explained_meanwhile(model, lambda: rr.LRP()(lambda v: model(v), x, 1)) as maps:
        step(model)
    for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert relative(mine.grad, theirs.grad) < 1e-12
    assert all(map(torch.equal, model.buffers(), twin.buffers()))
    with pytest.raises(InputError, match="written to while it was explained.*deepcopy"):
        maps.result(WAIT)  # the statistics of batch-norm moved in between


def test_weights_that_move_while_they_are_explained_are_noticed(x: Tensor) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.ReLU(), nn.Linear(6, 3)).double()
    with explained_meanwhile(model, lambda: rr.Gradient()(model, x, 1)) as maps, torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.9)
    with pytest.raises(InputError, match="no one model. If another thread trains it"):
        maps.result(WAIT)
    rr.Gradient()(model, x, 1)


def test_many_threads_explain_one_model_at_once(model: nn.Sequential, x: Tensor) -> None:
    before = state(model)
    alone = [method(copy.deepcopy(model), x, 1, generator=seeded()) for method in METHODS]

    def explain(number: int) -> bool:
        method = METHODS[number % len(METHODS)]
        return torch.equal(method(model, x, 1, generator=seeded()), alone[number % len(METHODS)])

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(explain, range(3 * len(METHODS))))
    assert_same_state(state(model), before)


def test_training_is_the_same_beside_threads_that_explain_the_model_and_others(x: Tensor) -> None:
    """With real steps: whoever explains the model gets a map of one moment, or is told that there is none."""
    inputs, labels = torch.randn(32, 4, dtype=torch.float64), torch.arange(32) % 3
    done = threading.Event()
    other = network().eval()
    alone = rr.LRP()(copy.deepcopy(other), x, 1)

    def trained(model: nn.Module) -> nn.Module:
        model[3].p = 0.0  # dropout draws from the one random state of all threads
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(ROUNDS):
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
        return model

    def explained(model: nn.Sequential) -> None:
        while not done.is_set():
            assert torch.equal(rr.LRP()(lambda v: other(v), x, 1), alone)
            for method in (rr.Gradient(), rr.NoiseGrad(samples=1), rr.LRP(), rr.Gradient(at="0")):
                try:
                    assert method(model, x, 1, generator=seeded()).isfinite().all()
                except InputError as error:
                    if "If another thread trains it" not in str(error):
                        raise

    first = network()
    twin = copy.deepcopy(first)
    wanted = trained(twin)
    with ThreadPoolExecutor(3) as pool:
        explaining = [pool.submit(explained, first) for _ in range(2)]
        try:
            got = trained(first)
        finally:
            done.set()
        for future in explaining:
            future.result(WAIT)
    assert all(map(torch.equal, got.state_dict().values(), wanted.state_dict().values()))
    assert nn.Module.__call__.__name__ == "_wrapped_call_impl"


def test_the_switch_of_cudnn_is_found_as_it_was_by_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = nn.GRU(4, 3, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.recurrent(x)[0].sum(1)

    monkeypatch.setattr(torch.backends.cudnn, "is_available", lambda: True)
    model, x = Net(), torch.randn(2, 3, 4)
    alone = rr.Gradient()(model, x, 1)
    with ThreadPoolExecutor(4) as pool:
        assert all(
            torch.equal(maps, alone) for maps in pool.map(lambda _: rr.Gradient()(model, x, 1), range(40))
        )
    assert torch.backends.cudnn.enabled
