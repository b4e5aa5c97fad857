"""`Method.axioms` is what is measured: every True holds for all of a method's cases here, every False fails for one."""

import inspect
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons import attribution
from rightreasons.attribution.path._gaussian import blurred
from rightreasons.training import check_differentiable
from tests.attribution.helpers import relative, seeded

PLACES = (2, 6, 6)
"""Channels, height and width of the pictures."""


def conv(inputs: int, outputs: int, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2).double()


class Net(nn.Module):
    """Two convolutions and a head, with biases."""

    def __init__(self, seed: int, activation: Callable[[], nn.Module] = nn.ReLU) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(conv(2, 3), activation(), conv(3, 3), activation(), nn.Flatten())
        self.head = nn.Linear(108, 1).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, *PLACES, dtype=torch.float64)


REFERENCES = torch.randn(6, *PLACES, dtype=torch.float64, generator=seeded(8))
ZEROS = torch.zeros(6, *PLACES, dtype=torch.float64)

# As they come where nothing is said; a ReLU would hide what does not hold.
METHODS: dict[type, tuple[rr.Attribution, ...]] = {
    method: (method(**({"relu": False} if "relu" in inspect.signature(method).parameters else {})),)
    for method in rr.methods()
    if method is not rr.ExpectedGradients
} | {
    rr.IntegratedGradients: (
        rr.IntegratedGradients(steps=400),
        rr.IntegratedGradients(steps=400, baseline=0.3),
    ),
    rr.GuidedIG: (rr.GuidedIG(steps=200), rr.GuidedIG(steps=200, baseline=0.3)),
    rr.BlurIG: (rr.BlurIG(steps=400), rr.BlurIG(max_sigma=3.0, steps=200)),
    rr.ExpectedGradients: (
        rr.ExpectedGradients(REFERENCES, samples=64),
        rr.ExpectedGradients(REFERENCES, samples=2000, estimator=rr.Stratified()),
    ),
    rr.NoiseGrad: (rr.NoiseGrad(samples=4),),
    rr.FusionGrad: (rr.FusionGrad(samples=2, input_samples=2),),
    rr.DeepLift: (rr.DeepLift(), rr.DeepLift(references=REFERENCES)),
    rr.LRP: (rr.LRP(), rr.LRP(rule=rr.AlphaBeta()), rr.LRP(rule=rr.Gamma())),
}
ALL = [method for methods in METHODS.values() for method in methods]


def maps(method: rr.Attribution, model: nn.Module, x: Tensor) -> Tensor:
    found = method(model, x, generator=seeded())
    assert isinstance(found, Tensor)
    return found


def fitted(method: rr.Attribution, model: nn.Module) -> nn.Module:
    """The model, without its biases where the method is for such models only."""
    return rr.homogenize(model) if isinstance(method, rr.XGradient) else model


def from_zero(method: rr.Attribution) -> rr.Attribution:
    """The method with every baseline at 0."""
    if isinstance(method, rr.IntegratedGradients | rr.GuidedIG):
        return type(method)(steps=method.steps)
    if isinstance(method, rr.ExpectedGradients):
        return rr.ExpectedGradients(ZEROS, samples=method.samples, estimator=method.estimator)
    return rr.DeepLift(references=ZEROS) if isinstance(method, rr.DeepLift) else method


def near(found: Tensor, total: Tensor) -> bool:
    """Whether maps sum to the totals, up to sampling and quadrature."""
    return bool(((found.flatten(1).sum(1) - total).abs() < 0.03 * total.abs().max()).all())


def is_complete(method: rr.Attribution, x: Tensor) -> bool:
    model = fitted(method, Net(0))
    if isinstance(method, rr.BlurIG):
        base = blurred(x, torch.tensor([method.max_sigma])).squeeze(1)
        with torch.no_grad():
            return near(maps(method, model, x), model(x)[:, 0] - model(base)[:, 0])
    base = getattr(method, "references", None)
    base = getattr(method, "baseline", None) if base is None else base
    base = torch.as_tensor(0.0 if base is None else base, dtype=torch.float64)
    with torch.no_grad():
        start = model(base if base.dim() else base.expand(1, *PLACES)).mean()
        total = model(x)[:, 0] - start
    return near(maps(method, model, x), total)


def is_sensitive(method: rr.Attribution, x: Tensor) -> bool:
    """f is - relu(1 - x) at every place of the first channel: flat at x = 2, and yet not what it is at 0."""
    model = nn.Sequential(conv(2, 2, 1), nn.ReLU(), conv(2, 1, 1), nn.Flatten(), nn.Linear(36, 1).double())
    values = (
        -torch.eye(2),
        torch.ones(2),
        torch.tensor([-1.0, 0.0]),
        torch.zeros(1),
        torch.ones(36),
        torch.zeros(1),
    )
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), values, strict=True):
            parameter.copy_(value.reshape(parameter.shape))
    model = fitted(method, model)
    x = torch.zeros(1, *PLACES, dtype=torch.float64)
    x[0, 0, 2, 3] = -1.0 if isinstance(method, rr.XGradient) else 2.0
    with torch.no_grad():
        assert float((model(x) - model(torch.zeros_like(x))).abs()) == 1.0
    return bool(maps(from_zero(method), model, x)[0, 0, 2, 3].abs() > 1e-6)


class Left(nn.Module):
    """Reads the left half of the first channel only."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            conv(1, 3), nn.ReLU(), conv(3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(54, 1).double()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x[:, :1, :, :3])


def ignores_what_is_not_read(method: rr.Attribution, x: Tensor) -> bool:
    found = maps(method, fitted(method, Left()), x)
    return not found[..., 3:].any() and not found[:, 1:].any()


class Twins(nn.Module):
    """One function, written in two ways: x as relu(x) - relu(-x), tanh by the logistic, a maximum of three by twos."""

    def __init__(self, other_way: bool, bent: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.other_way, self.bent = other_way, bent
        self.first, self.last = conv(2, 3), nn.Linear(108, 1).double()
        self.twice, self.merge = conv(3, 6, 1), conv(6, 3, 1)
        self.same = conv(3, 3, 1)
        self.low, self.high = nn.Linear(108, 108).double(), nn.Linear(108, 108).double()
        eye = torch.eye(3, dtype=torch.float64)
        with torch.no_grad():
            for module in (self.twice, self.merge, self.same, self.low, self.high):
                module.bias.zero_()
            self.same.weight.copy_(eye[..., None, None])
            self.twice.weight.copy_(torch.cat([eye, -eye])[..., None, None])
            self.merge.weight.copy_(torch.cat([eye, -eye], 1)[..., None, None])
            self.low.weight.copy_(2 * torch.eye(108))
            self.high.weight.copy_(2 * torch.eye(108))
            self.high.bias.fill_(-1.0)

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x)
        z = self.merge(self.twice(z).relu()) if self.other_way else z
        a, b, c = x[:, 0], x[:, 1], x[:, 0].flip(1)
        if self.other_way:
            most = a + ((b + (c - b).relu()) - a).relu()
        else:
            most = c + ((a + (b - a).relu()) - c).relu()
        if not self.bent:
            z = self.same(z) if self.other_way else z
        elif self.other_way:
            z = self.same(self.high(self.low(z.flatten(1)).sigmoid()).unflatten(1, (3, 6, 6)))
        else:
            z = z.tanh()
        return self.last(z.flatten(1)) + most.sum((1, 2))[:, None]


def depends_on_the_function_only(method: rr.Attribution, x: Tensor) -> bool:
    bent = not isinstance(method, rr.XGradient)
    one, other = (fitted(method, Twins(other_way, bent)) for other_way in (False, True))
    torch.testing.assert_close(one(x), other(x))
    return relative(maps(method, one, x), maps(method, other, x)) < 1e-6


class Weighted(nn.Module):
    """2 f - 3 g, side by side or in one head on one body."""

    def __init__(self, f: Net, g: Net) -> None:
        super().__init__()
        self.f, self.g = f, g

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.f(x) - 3 * self.g(x)


def is_linear(method: rr.Attribution, x: Tensor) -> bool:
    f, g, h, both = Net(1), Net(2), Net(1), Net(1)
    with torch.no_grad():
        h.head.weight.normal_(generator=seeded())
        both.head.weight.copy_(2 * f.head.weight - 3 * h.head.weight)
        both.head.bias.copy_(2 * f.head.bias - 3 * h.head.bias)
    f, g, h, both = (fitted(method, net) for net in (f, g, h, both))
    pairs = [(Weighted(f, g), g), (both, h)]
    wanted = [2 * maps(method, f, x) - 3 * maps(method, second, x) for _, second in pairs]
    return all(relative(maps(method, m, x), w) < 1e-5 for (m, _), w in zip(pairs, wanted, strict=True))


def can_be_trained_through(method: rr.Attribution, x: Tensor) -> bool:
    draws = {"steps", "samples"} & {field.name for field in fields(method)}
    method = replace(method, **{name: min(8, getattr(method, name) or 8) for name in draws})
    activation = nn.LeakyReLU if isinstance(method, rr.XGradient) else nn.Softplus
    try:
        method(fitted(method, Net(0)), x[:1], create_graph=True)
    except rr.DifferentiabilityError:
        return False
    return bool(check_differentiable(method, fitted(method, Net(0, activation)), x[:2]))


def is_random(method: rr.Attribution, x: Tensor) -> bool:
    model = fitted(method, Net(0))
    return not torch.equal(method(model, x, generator=seeded(1)), method(model, x, generator=seeded(2)))


def has_a_baseline(method: rr.Attribution, x: Tensor) -> bool:
    return bool({"baseline", "references"} & {field.name for field in fields(method)})


MEASURED: dict[str, Callable[[rr.Attribution, Tensor], bool]] = {
    "complete": is_complete,
    "sensitive": is_sensitive,
    "dummy": ignores_what_is_not_read,
    "implementation_invariant": depends_on_the_function_only,
    "linear": is_linear,
    "differentiable": can_be_trained_through,
    "needs_baseline": has_a_baseline,
    "random": is_random,
}


@pytest.mark.parametrize(
    ("method", "holds"),
    [
        (rr.SmoothGrad(reduce="mean_square"), False),
        (rr.SmoothGrad(reduce="variance"), False),
        (rr.ExpectedGradients(REFERENCES, samples=16, estimator=rr.Complete()), False),
        (rr.ExpectedGradients(REFERENCES, samples=16, estimator=rr.ControlVariate()), True),
        (rr.LRP(), True),
        (rr.LRP(rule=rr.AlphaBeta()), False),
    ],
    ids=repr,
)
def test_the_scope_of_linearity(method: rr.Attribution, holds: bool, x: Tensor) -> None:
    assert is_linear(method, x) is holds


def test_every_method_and_every_axiom_is_measured() -> None:
    found = (getattr(attribution, name) for name in attribution.__all__)
    methods = {m for m in found if isinstance(m, type) and issubclass(m, rr.Attribution)}
    assert methods - set(METHODS) == {rr.Attribution, rr.PathAttribution}
    assert {field.name for field in fields(rr.Axioms)} - set(MEASURED) == {"note"}


@pytest.mark.parametrize("axiom", MEASURED)
@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_the_table_is_what_is_measured(kind: type, axiom: str, x: Tensor) -> None:
    found = [MEASURED[axiom](method, x) for method in METHODS[kind]]
    assert all(found) is getattr(kind.axioms, axiom), list(zip(METHODS[kind], found, strict=True))
