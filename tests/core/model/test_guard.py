"""The model runs as an explanation needs it, and is handed back as it was."""

import copy
import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import rightreasons as rr
from rightreasons.core._errors import DifferentiabilityError, InputError
from rightreasons.core.model import _guard
from rightreasons.core.model._guard import explaining
from tests.attribution.helpers import assert_same_state, relative, seeded, state
from tests.networks import CNN, NETWORKS, labels, mlp

GRADIENT, INTEGRATED = rr.Gradient(), rr.IntegratedGradients(steps=4)


def parameter_gradients(method: Any, model: nn.Module, called: Any, x: Tensor, y: Tensor) -> list[Tensor]:
    """Gradient of the sum of squared maps, `called` being the model in some wrapping."""
    maps = method(called, x, y, generator=seeded(), create_graph=True)
    grads = torch.autograd.grad(maps.square().sum(), list(model.parameters()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(model.parameters(), grads, strict=True)]


@pytest.fixture
def cnn() -> nn.Module:
    return NETWORKS["cnn"].make().train()


@pytest.fixture
def x() -> Tensor:
    inputs = NETWORKS["cnn"].inputs(4)
    assert isinstance(inputs, Tensor)
    return inputs


@pytest.fixture
def y() -> Tensor:
    return labels(4)


@pytest.mark.parametrize("second_order", [False, True])
def test_inside_eval_mode_and_gradients_while_the_model_stays_as_it_is(cnn: CNN, second_order: bool) -> None:
    cnn.norm.eval()
    before = state(cnn)
    with torch.no_grad(), explaining(cnn, second_order=second_order) as inner:
        assert isinstance(inner, CNN)
        assert torch.is_grad_enabled()
        assert not any(module.training for module in inner.modules())
        assert_same_state(state(cnn), before)
        assert torch.backends.mha.get_fastpath_enabled()
    assert_same_state(state(cnn), before)


def test_inference_mode_is_left_and_entered_again(cnn: nn.Module) -> None:
    with torch.inference_mode():
        with explaining(cnn, second_order=False):
            assert not torch.is_inference_mode_enabled()
        assert torch.is_inference_mode_enabled()


@pytest.mark.parametrize("method", [GRADIENT, INTEGRATED], ids=repr)
def test_batch_norm_in_train_mode_is_explained_by_its_running_statistics(
    method: Any, cnn: nn.Module, x: Tensor, y: Tensor
) -> None:
    before = state(cnn)
    training = method(cnn, x, y)
    grads = parameter_gradients(method, cnn, cnn, x, y)
    assert_same_state(state(cnn), before)
    cnn.eval()
    assert torch.equal(method(cnn, x, y), training)
    assert relative(tuple(parameter_gradients(method, cnn, cnn, x, y)), tuple(grads)) < 1e-12


WRAPPINGS: dict[str, Callable[[nn.Module], Callable[..., Tensor]]] = {
    "lambda": lambda model: lambda x: model(x),
    "bound method": lambda model: model.forward,
    "partial": lambda model: functools.partial(model),
    "nested": lambda model: lambda x: model.head(model.act(model.first(x)).mean((2, 3)).repeat(1, 2)[:, :4]),
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_a_module_inside_a_plain_callable_runs_in_eval_mode_too(
    wrap: Callable[[nn.Module], Callable[..., Tensor]], cnn: nn.Module, x: Tensor, y: Tensor
) -> None:
    before = state(cnn)
    got = GRADIENT(wrap(cnn), x, y)
    with pytest.raises(ZeroDivisionError):
        GRADIENT(lambda x: wrap(cnn)(x) / (1 // 0), x, y)
    assert_same_state(state(cnn), before)
    assert relative(got, GRADIENT(wrap(copy.deepcopy(cnn).eval()), x, y)) == 0


def test_padded_positions_have_the_same_output_with_and_without_gradients() -> None:
    """The inference kernels of transformer layers give padded positions zeros, so the gap was never closed."""

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
            self.encoder, self.head = (
                nn.TransformerEncoder(layer, 1, enable_nested_tensor=False),
                nn.Linear(8, 1),
            )

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return self.head(self.encoder(x, src_key_padding_mask=mask).mean(1))

    model = Padded().double().eval()
    mask = torch.tensor([[False, False, False, True]] * 2)
    near = torch.ones(1, 4, 8, dtype=torch.float64).cumsum(2)
    x = near + 0.1 * torch.randn(2, 4, 8, dtype=torch.float64)
    method = rr.IntegratedGradients(baseline=near, steps=20)
    explanation = method.explain(model, x, model_kwargs={"mask": mask})
    assert float(explanation.gap.abs().max()) < 1e-8
    with explaining(model, second_order=False):
        assert torch.equal(model(x, mask).detach(), explanation.outputs)


@pytest.mark.parametrize("name", ["gru", "lstm", "transformer", "spectral norm", "weight norm", "cnn smooth"])
def test_double_backward_works_through(name: str) -> None:
    network = NETWORKS[name]
    model, x = network.make(), network.inputs(3)
    grads = parameter_gradients(INTEGRATED, model, model, x, labels(3))
    assert all(grad.isfinite().all() for grad in grads)
    assert sum(float(grad.abs().sum()) for grad in grads) > 0


def test_attention_is_differentiated_twice_with_the_fused_kernels_left_on() -> None:
    seen: list[bool] = []

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.eye(4))

        def forward(self, x: Tensor) -> Tensor:
            seen.append(torch.backends.cuda.flash_sdp_enabled())
            x = x[:, None] @ self.weight
            return F.scaled_dot_product_attention(x, x, x).sum((1, 2))

    model, x = Attention(), torch.randn(2, 3, 4)
    GRADIENT(model, x, 1, create_graph=True).square().sum().backward()
    assert model.weight.grad is not None
    assert model.weight.grad.any()
    assert seen
    assert all(seen)


def test_recurrent_layers_do_not_use_cudnn_and_nothing_else_goes_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[str, bool]] = []

    class Seen(nn.GRU):
        def forward(self, *args: Any) -> Any:
            seen.append(("recurrent", torch.backends.cudnn.enabled))
            return super().forward(*args)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = Seen(2, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            x = self.recurrent(x)[0].sum((1, 2))
            seen.append(("after", torch.backends.cudnn.enabled))
            return x

    monkeypatch.setattr(torch.backends.cudnn, "is_available", lambda: True)
    net, x = Net(), torch.ones(1, 3, 2)
    for model in (net, lambda x: net(x)):
        GRADIENT(model, x)
        assert set(seen) == {("recurrent", False), ("after", True)}
        seen.clear()
    net(x)
    assert set(seen) == {("recurrent", True), ("after", True)}


# Compiled models ----------------------------------------------------------------------------------------------------


@pytest.fixture
def unsaid(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_guard, "_compiled_was_said", False)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled(model: nn.Module, how: str, backend: Any) -> Callable[..., Tensor]:
    if how == "torch.compile":
        return torch.compile(model, backend=backend)
    if how == "function":
        return torch.compile(lambda x: model(x), backend=backend)
    model.compile(backend=backend)
    return model


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute"
)  # dynamo's own look, which it hides unless errors are on
@pytest.mark.usefixtures("unsaid")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("how", ["torch.compile", "module.compile", "function"])
def test_compiled_models(how: str, backend: str, y: Tensor) -> None:
    model = nn.Sequential(*mlp(), nn.BatchNorm1d(3)).double().train()
    plain, x = copy.deepcopy(model), torch.randn(4, 4, dtype=torch.float64)
    plain[-1].load_state_dict(model[-1].state_dict())
    wrapped = compiled(model, how, backend)
    assert relative(GRADIENT(wrapped, x, y), GRADIENT(plain, x, y)) < 1e-12
    with pytest.warns(UserWarning, match="torch.compile has no double backward"):
        second = parameter_gradients(INTEGRATED, model, wrapped, x, y)
    parameter_gradients(INTEGRATED, model, wrapped, x, y)  # said once, not at every step
    assert relative(tuple(second), tuple(parameter_gradients(INTEGRATED, plain, plain, x, y))) < 1e-12
    assert all(module.training for module in model.modules())
    if how == "module.compile":
        assert model._compiled_call_impl is not None


@pytest.mark.usefixtures("unsaid")
@pytest.mark.parametrize("how", ["torch.compile", "module.compile"])
def test_layers_of_compiled_models_are_found_by_their_own_names(how: str, y: Tensor) -> None:
    model, x = mlp().double(), torch.randn(4, 4, dtype=torch.float64)
    method = rr.IntegratedGradients(steps=3, at="1")
    wanted = method(model, x, y)
    wrapped = compiled(model, how, "eager")
    wrapped(x)  # compiled before the hooks exist, which compiled code would skip
    with pytest.warns(UserWarning, match="skips hooks on layers"):
        maps = method(wrapped, x, y)
    assert relative(maps, wanted) == 0
    assert relative(method.explain(wrapped, x, y).maps, wanted) == 0


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute", "ignore:Using `torch.compile.module.` when there are global"
)
@pytest.mark.usefixtures("unsaid")
@pytest.mark.parametrize("how", ["torch.compile", "module.compile"])
def test_compiled_parts_of_a_model_run_as_they_were_written(how: str, y: Tensor) -> None:
    model, x, runs = mlp().double(), torch.randn(4, 4, dtype=torch.float64), []
    model[1] = nn.ReLU()
    methods = (rr.Gradient(at="1"), rr.GuidedBackprop(), rr.DeepLift(), rr.LRP(), rr.NoiseGrad(samples=1))
    wanted = [method(model, x, y, generator=seeded()) for method in methods]

    def noting(graph: Any, _: Any) -> Any:
        return lambda *args: runs.append(1) or graph(*args)

    model[0] = compiled(model[0], how, noting)
    with pytest.warns(UserWarning, match="torch.compile has no double backward"):
        INTEGRATED(model, x, y, create_graph=True).sum().backward()
    for method, maps in zip(methods, wanted, strict=True):
        assert relative(method(model, x, y, generator=seeded()), maps) < 1e-12
    assert not runs
    model(x)
    # Dynamo leaves PyTorch's own layers alone when they are compiled in place.
    assert runs or model[0]._compiled_call_impl is not None, "afterwards it is compiled again"


# Refusals -----------------------------------------------------------------------------------------------------------


def scripted(make: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return make()


SCRIPTED: dict[str, Callable[[], Any]] = {
    "module": lambda: torch.jit.script(mlp()),
    "traced": lambda: torch.jit.trace(mlp(), torch.zeros(1, 4)),
    "inside": lambda: nn.Sequential(torch.jit.script(mlp())),
}


@pytest.mark.parametrize("make", SCRIPTED.values(), ids=SCRIPTED)
def test_torchscript_is_refused(make: Callable[[], Any]) -> None:
    model = scripted(make)
    with pytest.raises(DifferentiabilityError, match="TorchScript modules cannot be explained"):
        GRADIENT(model, torch.zeros(2, 4), 0)


@pytest.fixture
def one_process(tmp_path: Any) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_distributed_data_parallel_is_looked_through_but_not_its_static_graph() -> None:
    model, x = mlp(), torch.randn(3, 4)
    plain = DistributedDataParallel(model)
    assert torch.equal(GRADIENT(plain, x, 0), GRADIENT(model, x, 0))
    assert torch.equal(rr.Gradient(at="1")(plain, x, 0), rr.Gradient(at="1")(model, x, 0))
    GRADIENT(plain, x, 0, create_graph=True)
    static = DistributedDataParallel(model, static_graph=True)
    assert torch.equal(GRADIENT(static, x, 0), GRADIENT(model, x, 0))
    with pytest.raises(DifferentiabilityError, match=r"static_graph=True.*Wrap the Objective instead"):
        GRADIENT(static, x, 0, create_graph=True)


@pytest.mark.usefixtures("one_process")
def test_sharded_models_are_explained_as_they_are_and_not_given_other_weights() -> None:
    model, x = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.Linear(5, 3)), torch.randn(3, 4)
    wanted = GRADIENT(copy.deepcopy(model), x, 1)
    fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    assert torch.equal(GRADIENT(model, x, 1), wanted)
    assert all(module.training for module in model.modules())
    with pytest.raises(DifferentiabilityError, match="sharded by FSDP.*Pass the module"):
        GRADIENT(lambda x: model(x), x, 1)


def test_data_parallel_is_looked_through() -> None:
    model, x = mlp(), torch.randn(3, 4)
    for method in (GRADIENT, rr.Gradient(at="1"), rr.NoiseGrad(samples=2)):
        first, second = (
            method(m, x, 0, generator=torch.Generator().manual_seed(0))
            for m in (nn.DataParallel(model), model)
        )
        assert torch.equal(first, second)


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: lambda x: m(x)], ids=["module", "callable"])
def test_batch_norm_without_statistics_couples_rows_and_is_refused(wrap: Any) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False))
    with pytest.raises(InputError, match="normalises each row with the others"):
        GRADIENT(wrap(model), torch.randn(3, 4), 0)
    assert all(module.training for module in model.modules())
    GRADIENT(nn.Sequential(nn.Linear(4, 4), nn.GroupNorm(2, 4)), torch.randn(3, 4), 0)


class Checkpointed(nn.Module):
    def __init__(self, always: bool) -> None:
        super().__init__()
        self.body, self.head, self.always = nn.Sequential(nn.Linear(4, 5), nn.Tanh()), nn.Linear(5, 1), always

    def forward(self, x: Tensor) -> Tensor:
        again = self.always or self.training
        h = checkpoint(self.body, x, use_reentrant=False) if again else self.body(x)
        return self.head(h)


def test_activation_checkpointing_is_allowed_where_it_is_right_and_refused_where_it_is_not() -> None:
    model, x = Checkpointed(always=True), torch.randn(3, 4)
    plain = Checkpointed(always=False)
    plain.load_state_dict(model.state_dict())
    assert relative(INTEGRATED(model, x), INTEGRATED(plain, x)) < 1e-6
    with pytest.raises(DifferentiabilityError, match="uses torch.utils.checkpoint"):
        INTEGRATED(model, x, create_graph=True)
    with pytest.raises(DifferentiabilityError, match="uses torch.utils.checkpoint"):
        rr.Gradient(at="body.0")(model, x)
    INTEGRATED(plain.train(), x, create_graph=True).sum().backward()
    with torch.autograd.graph.save_on_cpu():  # allowed again
        plain(x)


def test_other_runtime_errors_pass_unchanged() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        GRADIENT(mlp(), torch.randn(2, 5), 0, create_graph=True)
