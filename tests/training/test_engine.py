"""`Recompute` against `DoubleBackprop` over networks, methods, chunks and priors; both against finite differences."""

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal
from torch.nn.utils.parametrize import cached

import rightreasons as rr
from rightreasons import priors, tasks, training
from rightreasons.core._errors import DifferentiabilityError, InputError
from rightreasons.core._inputs import as_tuple
from rightreasons.training import DoubleBackprop, Penalty, Recompute
from tests.networks import CLASSES, FEATURES, NETWORKS, Network, Recurrent, labels, normed

EXACT = 1e-10  # float64: the engines sum in a different order, nothing else
BATCH = 5


class Stacked(Recurrent):
    """Two recurrent layers with dropout between them."""

    def __init__(self) -> None:
        super().__init__(nn.LSTM)
        self.rnn = nn.LSTM(FEATURES, 5, num_layers=2, dropout=0.5, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, CLASSES)


class Encoder(nn.Module):
    """PyTorch's own transformer layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(FEATURES, 2, 8, dropout=0.3, batch_first=True)
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x).mean(1))


ALL = {
    **NETWORKS,
    "orthogonal": Network("orthogonal", lambda: normed(orthogonal)),
    "lstm dropout": Network("lstm dropout", Stacked, ((4, FEATURES),), "rnn"),
    "encoder": Network("encoder", Encoder, ((4, FEATURES),), "layer", smooth=False),
}


def _methods(network: Network) -> dict[str, Any]:
    at, references = network.at, network.inputs(7, seed=3)
    eg = rr.ExpectedGradients
    methods = {
        "gradient": rr.Gradient(output="log_probability", at=at),
        "input x gradient": rr.InputTimesGradient(at=at),
        "integrated": rr.IntegratedGradients(steps=3, output="probability", at=at),
        "expected": eg(references, at=at),
        "expected k=3": eg(references, samples=3, at=at),
        "batch k=3": eg("batch", samples=3, at=at),
        "shared": eg(references, samples=3, draws="shared", estimator=rr.Independent(), at=at),
        "control variate": eg(references, samples=10, estimator=rr.ControlVariate(), at=at),
    }
    if at is None:
        methods["complete"] = eg(references, samples=10, estimator=rr.Complete())
    return methods


METHODS = [*_methods(NETWORKS["mlp tanh"])]


@dataclass(frozen=True)
class Squares:
    """Half the mean square of each row's map: smooth, so that rounding is all that differs."""

    coupled: bool = False

    def __call__(self, maps: Tensor, guidance: Tensor | None = None) -> Tensor:
        return maps.flatten(1).square().sum(1).mean() / 2


def _objective(
    model: nn.Module, penalty: Penalty, engine: training.Engine, task: Any = None
) -> training.Objective:
    return training.Objective(
        copy.deepcopy(model), task or tasks.MultiClass(CLASSES), [penalty], engine=engine
    )


def _gradients(
    model: nn.Module,
    penalty: Penalty,
    engine: training.Engine,
    x: Any,
    *,
    alone: bool = False,
    **call: Any,
) -> dict[str, Tensor | None]:
    """Gradients of one training step, or of the penalty without the task."""
    torch.manual_seed(3)  # dropout of the task pass
    objective = _objective(model, penalty, engine)
    losses = objective(x, labels(as_tuple(x)[0].shape[0]), generator=torch.Generator().manual_seed(5), **call)
    (losses.penalties[penalty.name] if alone else losses.total).backward()
    return {name: p.grad for name, p in objective.model.named_parameters()}


def _same(a: dict[str, Tensor | None], b: dict[str, Tensor | None], tolerance: float = EXACT) -> None:
    assert {n: g is None for n, g in a.items()} == {n: g is None for n, g in b.items()}
    scale = max(float(g.norm()) for g in a.values() if g is not None)
    assert scale > 0
    for name, g in a.items():
        other = b[name]
        if g is not None and other is not None:
            assert (g - other).norm() <= tolerance * max(float(g.norm()), 1e-3 * scale), name


def _agree(model: nn.Module, penalty: Penalty, x: Any, *chunks: int | None, **call: Any) -> None:
    expected = _gradients(model, penalty, DoubleBackprop(), x, **call)
    for chunk in chunks:
        _same(expected, _gradients(model, penalty, Recompute(chunk), x, **call))


def _penalty(method: Any, network: str = "", prior: Any = None, **fields: Any) -> Penalty:
    return Penalty(method, prior or Squares(), 0.7, input=0 if network == "two inputs" else None, **fields)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ALL)
def test_engines_agree(name: str, method: str) -> None:
    network = ALL[name]
    methods = _methods(network)
    if method not in methods:
        pytest.skip("f at the references is not one number where an inner layer is explained")
    _agree(network.make(), _penalty(methods[method], name), network.inputs(BATCH), 4)


@pytest.mark.parametrize("name", ["mlp relu", "cnn", "lstm dropout", "transformer", "tokens", "two inputs"])
@pytest.mark.parametrize("alone", [False, True])
def test_engines_agree_for_every_chunk(name: str, alone: bool) -> None:
    network = ALL[name]
    penalty = _penalty(_methods(network)["expected k=3"], name)
    _agree(network.make(), penalty, network.inputs(BATCH), None, 1, 4, 7, 100, alone=alone)


def test_inner_layers_that_are_not_first() -> None:
    network = ALL["cnn smooth"]
    method = rr.ExpectedGradients(network.inputs(7, seed=3), samples=3, at="norm")
    _agree(network.make(), _penalty(method), network.inputs(BATCH), None, 4)


@pytest.mark.parametrize(
    "prior",
    [
        priors.Gini(),
        priors.Gini("sample"),
        priors.L1(),
        priors.L2(),
        priors.L2("global"),
        priors.GraphLaplacian(torch.ones(FEATURES, FEATURES).fill_diagonal_(0), level="global"),
    ],
    ids=repr,
)
def test_engines_agree_for_coupled_and_per_row_priors(prior: Any) -> None:
    network = ALL["mlp tanh"]
    method = rr.ExpectedGradients(network.inputs(7, seed=3), samples=3)
    _agree(network.make(), _penalty(method, prior=prior), network.inputs(BATCH), None, 4)


@pytest.mark.parametrize("name", ["mlp relu", "transformer", "two inputs", "tokens"])
def test_engines_agree_on_a_quarter_of_the_rows(name: str) -> None:
    network = ALL[name]
    _agree(
        network.make(),
        _penalty(_methods(network)["batch k=3"], name, rows=0.25),
        network.inputs(9),
        None,
        1,
    )


def test_engines_agree_on_two_draws() -> None:
    network = ALL["cnn smooth"]
    penalty = _penalty(_methods(network)["expected"], prior=priors.L2(), draws=2)
    _agree(network.make(), penalty, network.inputs(BATCH), None, 2)


@pytest.mark.parametrize("method", ["expected k=3", "control variate", "integrated", "gradient"])
def test_engines_agree_with_masks(method: str) -> None:
    network = ALL["transformer"]
    mask = torch.arange(5)[None] >= torch.tensor([5, 3, 2, 4, 1])[:, None]
    penalty = _penalty(_methods(network)[method], rows=0.6)
    _agree(network.make(), penalty, network.inputs(BATCH), None, 2, model_kwargs={"mask": mask, "scale": 0.5})


def test_engines_agree_on_gradients_of_the_inputs() -> None:
    network = ALL["cnn smooth"]
    method, grads = _methods(network)["expected k=3"], []
    for engine in (DoubleBackprop(), Recompute(4)):
        torch.manual_seed(3)
        x = network.inputs(BATCH).requires_grad_()
        objective = _objective(network.make(), _penalty(method), engine)
        objective(x, labels(BATCH), generator=torch.Generator().manual_seed(5)).total.backward()
        grads.append({"x": x.grad})
    _same(*grads)


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute(4)], ids=repr)
@pytest.mark.parametrize("name", ["mlp tanh", "cnn smooth", "gru", "transformer", "tokens", "weight norm"])
def test_gradients_against_finite_differences(name: str, engine: training.Engine) -> None:
    network = ALL[name]
    model, x, y = network.make().eval(), network.inputs(BATCH), labels(BATCH)
    objective = _objective(model, _penalty(_methods(network)["expected k=3"]), engine)

    def total() -> Tensor:
        return objective(x, y, generator=torch.Generator().manual_seed(5)).total

    total().backward()
    trained = [p for p in objective.model.parameters() if p.grad is not None]
    directions = [torch.randn_like(p) for p in trained]
    slope = sum((p.grad * d).sum() for p, d in zip(trained, directions, strict=True))

    def moved(step: float) -> Tensor:
        with torch.no_grad():
            for p, d in zip(trained, directions, strict=True):
                p.add_(step * d)
            return total()

    step = 1e-5
    difference = (moved(step) - moved(-2 * step)) / (2 * step)
    assert float(difference) == pytest.approx(float(slope), rel=1e-6)


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute()], ids=repr)
@pytest.mark.parametrize("name", ["cnn", "spectral norm"])
def test_buffers_and_modes_after_a_step_are_those_of_a_plain_step(name: str, engine: training.Engine) -> None:
    network = ALL[name]
    model, x, y = network.make(), network.inputs(BATCH), labels(BATCH)
    next(iter(model.children())).eval()
    plain = copy.deepcopy(model)
    tasks.MultiClass(CLASSES).loss(plain(x), y).backward()
    objective = _objective(model, _penalty(_methods(network)["expected k=3"]), engine)
    objective(x, y).total.backward()
    for (key, a), b in zip(plain.named_buffers(), objective.model.buffers(), strict=True):
        assert torch.equal(a, b), key
    modes = [[m.training for m in net.modules()] for net in (plain, objective.model)]
    assert modes[0] == modes[1]


def test_batch_norm_counts_one_batch() -> None:
    network = ALL["cnn"]
    for engine in (DoubleBackprop(), Recompute(2)):
        objective = _objective(network.make(), _penalty(_methods(network)["expected k=3"]), engine)
        before = int(objective.model.norm.num_batches_tracked)
        objective(network.inputs(BATCH), labels(BATCH)).total.backward()
        assert int(objective.model.norm.num_batches_tracked) == before + 1


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute(2)], ids=repr)
def test_hooks_on_parameters_fire_once(engine: training.Engine) -> None:
    network, fired = ALL["mlp tanh"], []
    objective = _objective(network.make(), _penalty(_methods(network)["expected k=3"]), engine)
    for name, p in objective.model.named_parameters():
        p.register_hook(lambda grad, name=name: fired.append(name))
    objective(network.inputs(BATCH), labels(BATCH)).total.backward()
    assert sorted(fired) == sorted(name for name, _ in objective.model.named_parameters())


def test_a_generator_gives_the_same_draws_whichever_engine_and_leaves_the_global_state() -> None:
    network = ALL["mlp tanh"]
    penalty = _penalty(_methods(network)["batch k=3"], rows=0.6)
    values = []
    for engine in (DoubleBackprop(), Recompute(), Recompute(2)):
        state = torch.get_rng_state()
        objective = _objective(network.make(), penalty, engine)
        losses = objective(network.inputs(BATCH), labels(BATCH), generator=torch.Generator().manual_seed(1))
        losses.total.backward()
        assert torch.equal(state, torch.get_rng_state())
        values.append(losses.total.item())
    assert values == pytest.approx([values[0]] * 3, rel=1e-12)


def test_the_global_state_gives_the_same_draws_whichever_engine() -> None:
    network, values = ALL["mlp tanh"], []
    for engine in (DoubleBackprop(), Recompute(2)):
        torch.manual_seed(4)
        objective = _objective(network.make(), _penalty(_methods(network)["batch k=3"]), engine)
        objective(network.inputs(BATCH), labels(BATCH)).total.backward()
        values.append(torch.rand(()))
    assert values[0] == values[1]


def test_randomness_inside_the_model_is_replayed_in_backward() -> None:
    class Noisy(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input * (1 + torch.rand(FEATURES, dtype=input.dtype)))

    model = Noisy(nn.Linear(FEATURES, 5), nn.Tanh(), nn.Linear(5, CLASSES)).double()
    network = ALL["mlp tanh"]
    _agree(model, _penalty(_methods(network)["expected"]), network.inputs(BATCH), None)


def test_recompute_refuses_buffers_that_moved() -> None:
    network = ALL["cnn"]
    objective = _objective(network.make(), _penalty(_methods(network)["expected"]), Recompute())
    losses = objective(network.inputs(BATCH), labels(BATCH))
    objective.model(network.inputs(BATCH))
    with pytest.raises(DifferentiabilityError, match="buffers changed between a penalty's forward"):
        losses.total.backward()


def test_double_backprop_does_not_care_whether_batch_norm_moved() -> None:
    network, grads = ALL["cnn"], []
    for moves in (False, True):
        objective = _objective(network.make(), _penalty(_methods(network)["expected"]), DoubleBackprop())
        losses = objective(network.inputs(BATCH), labels(BATCH), generator=torch.Generator().manual_seed(1))
        if moves:
            objective.model(10 * network.inputs(BATCH))
        losses.penalties["Squares"].backward()
        grads.append({name: p.grad for name, p in objective.model.named_parameters()})
    _same(*grads)


def test_recompute_refuses_parameters_that_moved() -> None:
    network = ALL["mlp tanh"]
    objective = _objective(network.make(), _penalty(_methods(network)["expected"]), Recompute())
    losses = objective(network.inputs(BATCH), labels(BATCH))
    with torch.no_grad():
        next(objective.model.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        losses.penalties["Squares"].backward()


def test_recompute_refuses_third_order() -> None:
    network = ALL["mlp tanh"]
    objective = _objective(network.make(), _penalty(_methods(network)["expected"]), Recompute())
    value = objective(network.inputs(BATCH), labels(BATCH)).penalties["Squares"]
    grads = torch.autograd.grad(value, [*objective.model.parameters()], create_graph=True, allow_unused=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        sum(g.sum() for g in grads if g is not None).backward()


def test_recompute_refuses_models_sharded_layer_by_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sharded(nn.Linear):
        pass

    monkeypatch.setattr("torch.distributed.fsdp.FSDPModule", Sharded)
    network = ALL["mlp tanh"]
    model = nn.Sequential(Sharded(FEATURES, 5), nn.Linear(5, CLASSES)).double()
    objective = _objective(model, _penalty(_methods(network)["expected"]), Recompute())
    with pytest.raises(DifferentiabilityError, match="sharded layer by layer"):
        objective(network.inputs(BATCH), labels(BATCH))


def test_recompute_refuses_foreign_callables_by_name() -> None:
    def my_saliency(model: Any, inputs: Any, target: Any, **_: Any) -> Tensor:
        return inputs

    network = ALL["mlp tanh"]
    objective = _objective(network.make(), _penalty(my_saliency), Recompute())
    with pytest.raises(InputError, match=r"my_saliency.*is not one.*engine=DoubleBackprop"):
        objective(network.inputs(BATCH), labels(BATCH))


def test_recompute_refuses_models_that_are_no_modules() -> None:
    network = ALL["mlp tanh"]
    model = network.make()
    with pytest.raises(DifferentiabilityError, match=r"must be an nn\.Module"):
        Recompute().maps(rr.Gradient(), lambda x: model(x), network.inputs(BATCH), labels(BATCH))


@pytest.mark.parametrize("chunk", [0, -1])
def test_recompute_refuses_chunks_without_rows(chunk: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        Recompute(chunk)


class Detached(nn.Module):
    """Its parameters are used without being recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.inner.weight.detach().T).square()


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute()], ids=repr)
def test_maps_that_no_parameter_reaches_are_an_error(engine: training.Engine) -> None:
    objective = training.Objective(
        Detached().double(), lambda z, y: z.square().mean(), [_penalty(rr.Gradient())], engine=engine
    )
    x = ALL["mlp tanh"].inputs(BATCH)
    with pytest.raises(DifferentiabilityError, match=r"silently\s+train\s+nothing"):
        objective(x, labels(BATCH)).total.backward()


@pytest.mark.parametrize("name", ["mlp tanh", "transformer", "cnn smooth"])
@pytest.mark.parametrize("inside", [True, False])
def test_autocast(name: str, inside: bool) -> None:
    """bf16 in the network, float32 around it; the direction of the gradient survives (cosine at least .99)."""
    network = ALL[name]
    model, x = network.make(torch.float32).eval(), network.inputs(16, dtype=torch.float32)
    penalty = _penalty(rr.ExpectedGradients(network.inputs(7, seed=3, dtype=torch.float32), samples=3))
    exact = _flat(_gradients(model, penalty, DoubleBackprop(), x, alone=True))
    for engine in (DoubleBackprop(), Recompute(16), Recompute()):
        objective = _objective(model, penalty, engine)
        with torch.autocast("cpu", torch.bfloat16):
            losses = objective(x, labels(16), generator=torch.Generator().manual_seed(5))
            value = losses.penalties["Squares"]
            if inside:
                value.backward()
        if not inside:
            value.backward()
        assert losses.outputs.dtype == torch.bfloat16
        assert value.dtype == torch.float32
        got = _flat({name: p.grad for name, p in objective.model.named_parameters()})
        assert torch.nn.functional.cosine_similarity(got, exact, dim=0) >= 0.99


def _flat(grads: dict[str, Tensor | None]) -> Tensor:
    flat = torch.cat([g.flatten() for g in grads.values() if g is not None]).double()
    return flat / flat.norm()


@pytest.mark.parametrize("chunk", [None, 3])
def test_autocast_backward_outside_is_backward_inside(chunk: int | None) -> None:
    network, grads = ALL["transformer"], []
    x = network.inputs(BATCH, dtype=torch.float32)
    penalty = _penalty(rr.ExpectedGradients("batch", samples=3))
    for inside in (True, False):
        objective = _objective(network.make(torch.float32).eval(), penalty, Recompute(chunk))
        with torch.autocast("cpu", torch.bfloat16):
            value = objective(x, labels(BATCH), generator=torch.Generator().manual_seed(5)).penalties[
                "Squares"
            ]
            if inside:
                value.backward()
        if not inside:
            value.backward()
        grads.append({name: p.grad for name, p in objective.model.named_parameters()})
    _same(*grads, tolerance=1e-6)


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute(2)], ids=repr)
def test_accumulating_two_halves_equals_the_batch(engine: training.Engine) -> None:
    network = ALL["mlp tanh"]
    x, y = network.inputs(6), labels(6)
    penalty = _penalty(rr.IntegratedGradients(steps=3))
    whole = _objective(network.make(), penalty, engine)
    whole(x, y).total.backward()
    halves = _objective(network.make(), penalty, engine)
    for rows in (slice(0, 3), slice(3, 6)):
        (halves(x[rows], y[rows]).total / 2).backward()
    grads = [{n: p.grad for n, p in objective.model.named_parameters()} for objective in (whole, halves)]
    _same(*grads)


def test_the_way_is_the_only_difference_from_textbook_double_backprop() -> None:
    """One loop over rows and draws with plain autograd, no package code between."""
    network = ALL["cnn smooth"]
    model, x, y = network.make().eval(), network.inputs(BATCH), labels(BATCH)
    method = rr.IntegratedGradients(steps=2, rule=rr.Right())
    total = torch.zeros((), dtype=torch.float64)
    for row, label in zip(x, y, strict=True):
        phi = torch.zeros_like(row)
        for j in (1, 2):
            z = (row * j / 2).requires_grad_()
            (g,) = torch.autograd.grad(model(z[None])[0, label], z, create_graph=True)
            phi = phi + row * g / 2
        total = total + phi.square().sum() / 2 / BATCH
    expected = dict(
        zip(
            dict(model.named_parameters()),
            torch.autograd.grad(total, [*model.parameters()], allow_unused=True),
            strict=True,
        )
    )
    for engine in (DoubleBackprop(), Recompute(3)):
        got = _gradients(model, _penalty(method), engine, x, alone=True)
        zero = {n: None if got[n] is None else g for n, g in expected.items()}
        _same(zero, got)


def test_maps_without_gradients_have_no_graph() -> None:
    network = ALL["mlp tanh"]
    with torch.no_grad():
        for engine in (DoubleBackprop(), Recompute()):
            maps = engine.maps(rr.Gradient(), network.make(), network.inputs(BATCH), labels(BATCH))
            assert not maps.requires_grad


def test_every_engine_is_a_value() -> None:
    engines: list[Callable[[], Any]] = [DoubleBackprop, Recompute, lambda: Recompute(3)]
    for a, b in itertools.product(engines, engines):
        assert (a() == b()) == (a is b)
    assert repr(Recompute(3)) == "Recompute(chunk=3)"


# Parameters that are held more than once, or made of others ----------------------------------------------------------


class Siamese(nn.Module):
    """One module under two names, and its weight in another module."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(FEATURES, FEATURES)
        self.right = self.left
        self.tied, self.head = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, CLASSES)
        self.tied.weight = self.left.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.left(x) - self.right(x.flip(1)).tanh() * self.tied(x)).tanh())


def _orthogonal(kind: str) -> nn.Module:
    first = orthogonal(nn.Linear(FEATURES, FEATURES), "weight", kind)
    return nn.Sequential(first, nn.Tanh(), nn.Linear(FEATURES, CLASSES))


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute(4)], ids=repr)
@pytest.mark.parametrize("name", ["siamese", "householder", "matrix_exp", "cayley"])
def test_gradients_of_shared_and_orthogonal_weights_are_those_of_finite_differences(
    name: str, engine: training.Engine
) -> None:
    """The Householder map keeps signs on the diagonal of its matrix and truncates them to integers: it jumps there, and
    has derivative zero."""
    model = Siamese() if name == "siamese" else _orthogonal(name)
    x, generator = torch.randn(BATCH, FEATURES, dtype=torch.float64), torch.Generator().manual_seed(1)
    penalty = _penalty(rr.IntegratedGradients(steps=3))
    objective = training.Objective(model.double(), tasks.MultiClass(CLASSES), [penalty], engine=engine)
    held = {part: dict(part._parameters) for part in model.modules()}
    losses = objective(x, labels(BATCH))
    parameters = list(model.parameters())
    grads = torch.autograd.grad(losses.penalties["Squares"], parameters, allow_unused=True)
    assert {part: dict(part._parameters) for part in model.modules()} == held, "the optimizer's own"
    compared = 0
    for p, grad in zip(parameters, grads, strict=True):
        direction = torch.randn(p.shape, generator=generator, dtype=p.dtype)
        if name == "householder" and p is parameters[1]:
            direction = direction.tril(-1)
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                p.add_(step * direction)
            values.append(objective(x, labels(BATCH)).penalties["Squares"])
            with torch.no_grad():
                p.sub_(step * direction)
        expected = float((values[0] - values[1]).detach()) / 2e-5
        got = 0.0 if grad is None else float((grad * direction).sum())
        assert abs(got - expected) <= 1e-6 * max(1.0, abs(expected))
        compared += abs(expected) > 1e-3
    assert compared >= 2


@pytest.mark.parametrize("engine", [DoubleBackprop(), Recompute(4)], ids=repr)
def test_parametrizations_that_are_cached_by_the_caller_make_no_difference(engine: training.Engine) -> None:
    model, x = _orthogonal("cayley").double(), torch.randn(BATCH, FEATURES, dtype=torch.float64)
    expected = _gradients(model, _penalty(rr.IntegratedGradients(steps=3)), engine, x)
    with cached():
        _same(expected, _gradients(model, _penalty(rr.IntegratedGradients(steps=3)), engine, x))


class Drawing(nn.Linear):
    """Notes the random state whenever it runs, and may draw."""

    draws, states = False, ()

    def forward(self, input: Tensor) -> Tensor:
        self.states.append(torch.get_rng_state())
        return super().forward(input) * (1 + torch.rand(()) * self.draws if self.draws else 1)


@pytest.mark.parametrize("draws", [False, True])
def test_recompute_restores_the_random_state_only_for_a_model_that_draws(draws: bool) -> None:
    """It is one for all threads: whoever draws while it is restored would draw the same again."""
    model, x = (
        nn.Sequential(Drawing(FEATURES, 4), nn.Tanh(), nn.Linear(4, CLASSES)).double(),
        torch.randn(BATCH, FEATURES),
    )
    model[0].draws, model[0].states = draws, []
    objective = training.Objective(
        model, tasks.MultiClass(CLASSES), [_penalty(rr.Gradient())], engine=Recompute()
    )
    torch.manual_seed(1)
    losses = objective(x.double(), labels(BATCH))
    forward = model[0].states[-1]
    torch.manual_seed(9)
    before = torch.get_rng_state()
    losses.penalties["Squares"].backward()
    assert torch.equal(model[0].states[-1], forward if draws else before)
    assert torch.equal(torch.get_rng_state(), before)


def test_buffers_that_forward_makes_are_no_change() -> None:
    class Lazily(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)
            self.register_buffer("positions", None)

        def forward(self, x: Tensor) -> Tensor:
            if self.positions is None:
                self.positions = torch.ones_like(x[:1])
            return self.layer((x + self.positions).square())

    torch.manual_seed(0)
    model, x, found = Lazily().double(), torch.randn(4, 3, dtype=torch.float64), []
    for engine in (training.DoubleBackprop(), training.Recompute()):
        model.zero_grad()
        maps = engine.maps(rr.Gradient(), model, x, 0)
        as_tuple(maps)[0].square().sum().backward()
        found.append(model.layer.weight.grad)
    wanted = 8 * ((x + 1) ** 2).sum(0) * model.layer.weight[0].detach()
    assert torch.allclose(found[0][0], wanted)
    assert torch.allclose(found[1], found[0])
    assert model.positions is None
