"""What models are made of, for every method: the map of the same function in plain words, or a refusal that names it.

The plain network has a module for every use and nothing in place; that methods are right there is shown by the oracles
of their own files. Recurrence and attention are written out step by step.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rightreasons as rr
from tests.attribution.helpers import relative, seeded

# Run-time type checks of every inner function are half of the time, and all other files of these methods have them.
pytestmark = pytest.mark.usefixtures("without_type_checks")
LAYER = "second"
BATCH, TOKENS, WIDTH = 3, 3, 9


class Plain(nn.Module):
    """Convolution, batch-norm, residual, pooling, then rows of feature maps as a sequence."""

    def __init__(self, mixer: Callable[[], nn.Module] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.relus, self.shared = nn.ModuleList([nn.ReLU(), nn.ReLU()]), nn.ReLU(inplace=True)
        self.pooling = nn.MaxPool2d(2)
        self.mixer = mixer() if mixer else nn.Identity()
        self.head = nn.Linear(TOKENS * WIDTH, 3)
        for _ in range(3):
            self.norm(torch.randn(8, 3, 4, 4) + 1)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        z = self.relu(0, self.normed(self.first(x)))
        z = self.pool(self.relu(1, self.added(self.second(z), z)))
        return self.head(self.mixed(z.flatten(2)).flatten(1))

    def relu(self, site: int, z: Tensor) -> Tensor:
        return self.relus[site](z)

    def normed(self, z: Tensor) -> Tensor:
        return self.norm(z)

    def added(self, z: Tensor, skip: Tensor) -> Tensor:
        return z + skip

    def pool(self, z: Tensor) -> Tensor:
        return self.pooling(z)

    def mixed(self, z: Tensor) -> Tensor:
        return self.mixer(z)


class Shared(Plain):
    def relu(self, site: int, z: Tensor) -> Tensor:
        return self.shared(z)


class Functional(Plain):
    def relu(self, site: int, z: Tensor) -> Tensor:
        return F.relu(z) if site else z.clamp(min=0)

    def pool(self, z: Tensor) -> Tensor:
        return F.max_pool2d(z, 2)


class InPlace(Plain):
    def relu(self, site: int, z: Tensor) -> Tensor:
        return z.relu_() if site else F.relu(z, inplace=True)

    def added(self, z: Tensor, skip: Tensor) -> Tensor:
        z += skip
        return z


class NormByHand(Plain):
    def normed(self, z: Tensor) -> Tensor:
        n = self.norm
        scale = (n.weight / (n.running_var + n.eps).sqrt())[:, None, None]
        return (z - n.running_mean[:, None, None]) * scale + n.bias[:, None, None]


class PoolByHand(Plain):
    def pool(self, z: Tensor) -> Tensor:
        return z.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))


def gru() -> nn.Module:
    return nn.GRU(WIDTH, WIDTH, batch_first=True)


def lstm() -> nn.Module:
    return nn.LSTM(WIDTH, WIDTH, batch_first=True)


def attention() -> nn.Module:
    return nn.MultiheadAttention(WIDTH, 3, batch_first=True)


class Recurrent(Plain):
    def mixed(self, z: Tensor) -> Tensor:
        return self.mixer(z)[0]


class StepByStep(Plain):
    """nn.GRU and nn.LSTM by their published formulas."""

    def mixed(self, z: Tensor) -> Tensor:
        m: Any = self.mixer
        h = c = torch.zeros_like(z[:, 0])
        states = []
        for t in range(TOKENS):
            a = F.linear(z[:, t], m.weight_ih_l0, m.bias_ih_l0)
            b = F.linear(h, m.weight_hh_l0, m.bias_hh_l0)
            if isinstance(m, nn.GRU):
                (r, u, n), (hr, hu, hn) = a.chunk(3, 1), b.chunk(3, 1)
                u = (u + hu).sigmoid()
                h = (1 - u) * (n + (r + hr).sigmoid() * hn).tanh() + u * h
            else:
                i, f, g, o = (a + b).chunk(4, 1)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
            states.append(h)
        return torch.stack(states, 1)


class Attending(Plain):
    def mixed(self, z: Tensor) -> Tensor:
        return self.mixer(z, z, z, need_weights=False)[0]


class HeadByHead(Plain):
    def projected(self, z: Tensor) -> list[Tensor]:
        m: Any = self.mixer
        return [
            p.unflatten(2, (3, 3)).transpose(1, 2)
            for p in F.linear(z, m.in_proj_weight, m.in_proj_bias).chunk(3, 2)
        ]

    def attended(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.transpose(2, 3) / 3**0.5).softmax(3) @ v

    def mixed(self, z: Tensor) -> Tensor:
        m: Any = self.mixer
        return m.out_proj(self.attended(*self.projected(z)).transpose(1, 2).flatten(2))


class Fused(HeadByHead):
    def attended(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v)


CONSTRUCTS: dict[str, tuple[type[Plain], type[Plain], Callable[[], nn.Module] | None]] = {
    "a module in place and used twice": (Shared, Plain, None),
    "functions": (Functional, Plain, None),
    "in place": (InPlace, Plain, None),
    "batch-norm": (Plain, NormByHand, None),
    "max-pooling": (Plain, PoolByHand, None),
    "gru": (Recurrent, StepByStep, gru),
    "lstm": (Recurrent, StepByStep, lstm),
    "attention": (Attending, HeadByHead, attention),
    "fused attention": (Fused, HeadByHead, attention),
}
REFERENCES = torch.randn(5, 2, 6, 6, dtype=torch.float64, generator=seeded(9))
SET_UP: tuple[rr.Attribution, ...] = (
    *(rr.SmoothGrad(samples=3), rr.NoiseGrad(samples=2), rr.FusionGrad(samples=2, input_samples=2)),
    *(rr.IntegratedGradients(steps=3), rr.ExpectedGradients(REFERENCES, samples=9), rr.BlurIG(steps=3)),
    *(rr.GuidedIG(steps=3), rr.LRP(), rr.LRP(rule=rr.AlphaBeta())),
)


def as_here(method: type[rr.Attribution]) -> rr.Attribution:
    """The method with its defaults, at the layer of these networks and with negative values if it has a ReLU."""
    fields = inspect.signature(method).parameters
    here = {"layer": LAYER, "relu": False}
    return method(**{name: value for name, value in here.items() if name in fields})


METHODS = (
    *SET_UP,
    *(as_here(method) for method in rr.methods() if method not in {type(each) for each in SET_UP}),
)
MIXED = ("gru", "lstm", "attention", "fused attention")
REFUSED: dict[tuple[type, str], str] = {
    **{
        (rr.DeepLift, name): r"DeepLift's rescale rule is for functions of one number.* is not one"
        for name in MIXED
    },
    **{(rr.LRP, name): r"LRP has no rule for \w+ \(\w+\): products of two activations" for name in MIXED},
    **{(rr.XGradient, name): r"not homogeneous.*: mixer \(\w+\)" for name in MIXED},
}
OTHERWISE_WRITTEN = {
    (rr.LRP, "batch-norm"): "constants outside a layer take no relevance, as documented: see test_lrp",
    (rr.XGradient, "batch-norm"): "homogenize replaces the module that is read by hand: see test_xgradient",
    (rr.DeepLift, "max-pooling"): "by hand it has no rule; the module's is in test_deeplift",
}


@pytest.mark.parametrize(
    "method",
    [m for m in METHODS if "GradCAM" not in repr(m) and not isinstance(m, rr.BlurIG | rr.EdgeMap)],
    ids=repr,
)
def test_a_row_may_be_a_single_number(method: rr.Attribution) -> None:
    numbers, rows = torch.randn(4, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    single, among = nn.Linear(1, 1, bias=False).double(), nn.Linear(3, 1, bias=False).double()

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.single, self.among = single, among

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return self.single(a.reshape(-1, 1)).relu() + self.among(b).relu()

    def explained(a: Tensor) -> tuple[Tensor, ...]:
        given = replace(method, references=(a + 1, rows + 1)) if hasattr(method, "references") else method
        if isinstance(given, rr.ExpectedGradients):
            given = replace(given, samples=4)
        explanation = given.explain(Sum(), (a, rows), generator=seeded())
        assert isinstance(explanation.maps, tuple)
        return explanation.maps

    one, other = explained(numbers), explained(numbers[:, None])
    assert one[0].shape == (4,)
    assert relative((one[0][:, None], one[1]), other) < 1e-12


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_the_two_ways_to_write_it_are_one_function(name: str) -> None:
    written, plain, mixer = CONSTRUCTS[name]
    x = torch.randn(BATCH, 2, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(written(mixer)(x), plain(mixer)(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CONSTRUCTS)
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_the_map_is_that_of_plain_words_or_refused_by_name(method: rr.Attribution, name: str) -> None:
    if reason := OTHERWISE_WRITTEN.get((type(method), name)):
        pytest.skip(reason)
    written, plain, mixer = CONSTRUCTS[name]
    x = torch.randn(BATCH, 2, 6, 6, dtype=torch.float64, generator=seeded(1))
    y = torch.tensor([0, 2, 1])

    def explained(kind: type[Plain]) -> Tensor:
        model = kind(mixer)
        model = rr.homogenize(model, x) if isinstance(method, rr.XGradient) else model
        return method(model, x, y, generator=seeded())

    if message := REFUSED.get((type(method), name)):
        with pytest.raises(rr.RightReasonsError, match=message):
            explained(written)
        return
    maps = explained(written)
    assert maps.any()
    assert relative(maps, explained(plain)) < 1e-9
