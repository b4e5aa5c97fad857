"""Networks without biases, and the closed form of integrated gradients on them."""

import copy
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import rightreasons as rr
from tests.attribution.helpers import assert_same_state, relative, state
from tests.networks import CNN, NETWORKS, Network, mlp

RELU = NETWORKS["mlp relu"]
USABLE = {
    "mlp": RELU,
    "cnn": NETWORKS["cnn"],
    "leaky": replace(RELU, build=lambda: mlp(nn.LeakyReLU)),
    "prelu": replace(RELU, build=lambda: mlp(nn.PReLU)),
    "weight norm": replace(
        RELU, build=lambda: nn.Sequential(weight_norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 3))
    ),
    "residual": Network("residual", lambda: rr.models.ResNet((2, 8, 8), 3, (4, 8)), ((2, 8, 8),), "blocks.0"),
    "pooled": Network(
        "pooled",
        lambda: nn.Sequential(
            nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()
        ),
        ((2, 7, 7),),
    ),
}


@pytest.mark.parametrize("network", USABLE.values(), ids=USABLE)
def test_homogenized_networks_grow_in_proportion_and_their_maps_are_integrated_gradients(
    network: Network,
) -> None:
    model, x = network.make(), network.inputs(4)
    before = state(model)
    twin = rr.homogenize(model, x).eval()
    assert_same_state(state(model), before)
    assert not {id(p) for p in model.parameters()} & {id(p) for p in twin.parameters()}
    with torch.no_grad():
        for a in (0.0, 0.3, 7.0):
            torch.testing.assert_close(twin(a * x), a * twin(x), rtol=1e-9, atol=1e-9)
        assert relative(model.eval()(2 * x), 2 * model(x)) > 1e-3, "it was homogeneous before"
    maps = rr.XGradient().explain(twin, x, 1)
    assert relative(maps.maps, rr.InputTimesGradient()(twin, x, 1)) == 0
    assert relative(maps.maps, rr.IntegratedGradients(steps=3)(twin, x, 1)) < 1e-10
    torch.testing.assert_close(maps.maps.flatten(1).sum(1), twin(x)[:, 1].detach())
    assert float(maps.gap.abs().max()) < 1e-10


def test_weights_and_scales_are_kept() -> None:
    model = NETWORKS["cnn"].make().eval()
    twin, x = rr.homogenize(model), NETWORKS["cnn"].inputs(3)
    assert torch.equal(twin.first.weight, model.first.weight)
    constant = model.norm(torch.zeros(1, 3, 1, 1, dtype=torch.float64))
    torch.testing.assert_close(
        twin.norm(x[:, :1].expand(-1, 3, -1, -1)), model.norm(x[:, :1].expand(-1, 3, -1, -1)) - constant
    )
    assert [p.requires_grad for p in twin.norm.parameters()] == [True]
    unbiased = rr.homogenize(twin)
    assert torch.equal(unbiased(x), twin(x))


def test_a_batch_norm_that_is_used_twice_stays_one_and_a_lone_one_is_a_scale() -> None:
    norm = nn.BatchNorm1d(4)
    twin = rr.homogenize(nn.Sequential(norm, nn.ReLU(), norm))
    assert twin[0] is twin[2]
    x = torch.randn(5, 4)
    assert torch.equal(rr.homogenize(nn.BatchNorm1d(4, affine=False))(x), rr.homogenize(norm.eval())(x))


def test_the_copy_can_be_trained_and_stays_what_it_is() -> None:
    x = NETWORKS["cnn"].inputs(16)
    twin = rr.homogenize(NETWORKS["cnn"].make(), x).train()
    optimizer = torch.optim.SGD(twin.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        penalty = rr.XGradient()(twin, x, 1, create_graph=True).abs().mean()
        (F.cross_entropy(twin(x), x.mean((1, 2, 3)).gt(0).long()) + penalty).backward()
        optimizer.step()
    assert float(rr.XGradient().explain(twin, x, 1).gap.abs().max()) < 1e-10


def test_at_a_layer_what_follows_has_to_be_homogeneous() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 5), nn.Sigmoid(), nn.Linear(5, 5, bias=False), nn.ReLU(), nn.Linear(5, 2, bias=False)
    )
    x = torch.randn(3, 4)
    maps = rr.XGradient(at="1").explain(model, x, 0)
    assert float(maps.gap.abs().max()) < 1e-6
    with pytest.raises(rr.InputError, match="XGradient is integrated gradients where"):
        rr.XGradient()(model, x, 0)


@pytest.mark.parametrize("engine", ["DoubleBackprop", "Recompute"])
def test_a_penalty_reaches_the_parameters(engine: str) -> None:
    model, x = rr.homogenize(RELU.make()), RELU.inputs(4)
    maps = getattr(rr.training, engine)().maps(rr.XGradient(), model, x, 1)
    plain = rr.InputTimesGradient()(model, x, 1, create_graph=True)
    got, wanted = (torch.autograd.grad(m.square().sum(), list(model.parameters())) for m in (maps, plain))
    assert relative(got, wanted) < 1e-10


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [rr.XGradient(), rr.DeepLift()], ids=repr)
def test_under_autocast_rounding_is_no_breach_of_completeness(method: rr.Attribution) -> None:
    torch.manual_seed(0)
    layers = [
        nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.ReLU()) for _ in range(2)),
    ]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 3, bias=False))
    x = torch.randn(64, 2, 8, 8)
    wanted = method(model, x, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = method(model, x, 1)
    assert relative(maps, wanted) < 0.2  # rounding turns a few ReLUs and winners over


@pytest.mark.parametrize(
    ("model", "miss"),
    [
        (mlp(nn.ReLU), "biases"),
        (nn.Sequential(nn.Linear(4, 3, bias=False), nn.Tanh()), "saturation"),
        (nn.Sequential(nn.Linear(4, 3, bias=False), nn.Softmax(1)), "."),
        (
            nn.Sequential(nn.Linear(4, 4, bias=False), nn.LayerNorm(4), nn.Linear(4, 3, bias=False)),
            "normalisation",
        ),
        (nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3, bias=False)), "shifts of batch-norm"),
    ],
    ids=["bias", "tanh", "softmax", "layer norm", "batch-norm"],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_maps_that_do_not_sum_to_the_output_are_an_error(
    model: nn.Module, miss: str, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    model = copy.deepcopy(model).to(dtype)
    if isinstance(model[0], nn.BatchNorm1d):
        model(torch.randn(50, 4, dtype=dtype) + 1)
    with pytest.raises(rr.InputError, match=f"(?s)maps miss the output by up to .*{miss}.*rr.homogenize"):
        rr.XGradient()(model, torch.randn(3, 4, dtype=dtype), 0)


@pytest.mark.parametrize(
    "layer",
    [
        *(nn.GELU(), nn.Tanh(), nn.Sigmoid(), nn.SiLU(), nn.ELU(), nn.Softplus(), nn.ReLU6(), nn.Hardtanh()),
        *(nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.InstanceNorm1d(4), nn.Softmax(1), nn.ConstantPad1d(1, 2.0)),
        *(nn.LSTM(4, 4), nn.GRU(4, 4), nn.MultiheadAttention(4, 1), nn.Bilinear(2, 2, 2), nn.Threshold(1, 0)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_cannot_be_made_homogeneous_are_named(layer: nn.Module) -> None:
    with pytest.raises(rr.InputError, match=rf"not homogeneous.*: act \({type(layer).__name__}\)"):
        rr.homogenize(nn.Sequential(OrderedDict(first=nn.Linear(4, 4), act=layer)))


@pytest.mark.usefixtures("without_type_checks")
def test_functions_have_no_biases_to_take_out() -> None:
    with pytest.raises(rr.InputError, match="model must be a module; got function"):
        rr.homogenize(lambda x: x)


def test_many_are_counted_and_own_parameters_are_named() -> None:
    class Token(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.zeros(3))

    with pytest.raises(rr.InputError, match=r"the model \(Token\)"):
        rr.homogenize(Token())
    with pytest.raises(rr.InputError, match=r"0 \(GELU\), .*, 4 \(GELU\) and 2 more"):
        rr.homogenize(nn.Sequential(*(nn.GELU() for _ in range(7))))
    with pytest.raises(rr.InputError, match="batch-norm without running statistics"):
        rr.homogenize(nn.BatchNorm1d(3, track_running_stats=False))


def test_what_a_module_does_by_itself_is_tried() -> None:
    class Own(CNN):
        def forward(self, x: Tensor) -> Tensor:
            return F.gelu(super().forward(x)) + 1

    x = NETWORKS["cnn"].inputs(3)
    rr.homogenize(Own().double())  # nothing to see without inputs
    with pytest.raises(rr.InputError, match=r"f\(a x\) is not a f\(x\).*It runs Gelu\."):
        rr.homogenize(Own().double(), x)
    with pytest.raises(rr.InputError, match="must be floating point"):
        rr.homogenize(Own().double(), x.long())
