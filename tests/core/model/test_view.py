"""A view is the model in another state, around the same tensors; the model itself is never touched."""

import copy
import functools
import gc
import logging
import weakref
from collections import OrderedDict, UserList, defaultdict
from collections.abc import Callable
from types import FunctionType, MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

import rightreasons as rr
from rightreasons.core._errors import InputError
from rightreasons.core.model._guard import each_module, explaining, in_view
from rightreasons.core.model._view import Views, has_values, with_values
from tests.attribution.helpers import assert_same_state, relative, seeded, state
from tests.networks import NETWORKS

GRADIENT = rr.Gradient()


class Siamese(nn.Module):
    """One module under two names, and one weight in two modules."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(4, 3)
        self.right = self.left
        self.tied = nn.Linear(4, 3)
        self.tied.weight = self.left.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.left(x) - self.right(x.flip(1)).tanh() * self.tied(x)


def test_aliases_and_ties_are_kept_and_tensors_are_shared() -> None:
    model = Siamese()
    view = Views().module(model)
    assert view is not model
    assert view.left is view.right
    assert view.left is not model.left
    assert view.left.weight is model.left.weight is view.tied.weight
    assert list(view.state_dict()) == list(model.state_dict())
    assert model.training
    assert not view.training


def test_other_values_are_everywhere_and_only_in_the_view() -> None:
    model, x = Siamese(), torch.randn(2, 4)
    before, weight = model(x), model.left.weight
    value = torch.randn(3, 4).requires_grad_()
    view = with_values(model, {"left.weight": value})
    wanted = copy.deepcopy(model)
    with torch.no_grad():
        wanted.left.weight.copy_(value)
    assert torch.equal(view(x), wanted(x))
    assert torch.autograd.grad(view(x).sum(), value)[0].any()
    assert model.left.weight is weight is model.tied.weight
    assert torch.equal(model(x), before)
    assert has_values(view)
    assert not has_values(model)


@pytest.mark.parametrize(
    "method", [rr.NoiseGrad(samples=2), rr.FusionGrad(samples=2, input_samples=1)], ids=repr
)
def test_noise_on_shared_weights_stays_out_of_the_model(method: Any) -> None:
    model, x = Siamese(), torch.randn(2, 4)
    before, outputs = state(model), model(x)
    first = method(model, x, 0, generator=seeded())
    assert_same_state(state(model), before)
    assert torch.equal(model(x), outputs)
    assert torch.equal(method(model, x, 0, generator=seeded()), first)


@pytest.mark.parametrize("make", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_run_on_the_values_of_the_view(make: Callable[..., nn.Module]) -> None:
    model, x = make(3, 4), torch.randn(5, 2, 3)
    before = model(x)[0]
    values = {name: torch.randn_like(p) for name, p in model.named_parameters()}
    wanted = copy.deepcopy(model)
    wanted.load_state_dict(values)
    assert torch.equal(with_values(model, values)(x)[0], wanted(x)[0])
    assert torch.equal(model(x)[0], before)


def weight_norm() -> nn.Module:
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.utils.weight_norm(nn.LSTM(4, 3, batch_first=True), "weight_hh_l0")


WRAPPED: dict[str, Callable[[], nn.Module]] = {
    "weight norm by hook": weight_norm,
    "weight norm": lambda: parametrizations.weight_norm(nn.Linear(4, 3)),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Linear(4, 3)),
    "spectral norm by hook": lambda: nn.utils.spectral_norm(nn.Linear(4, 3)),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(4, 3)),
    "encoder": NETWORKS["transformer"].make,
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_makes_weights_makes_them_for_the_view(name: str) -> None:
    model = WRAPPED[name]().double()
    x = NETWORKS["transformer"].inputs(2) if name == "encoder" else torch.randn(2, 3, 4, dtype=torch.float64)
    assert isinstance(x, Tensor)
    values = {n: 1.5 * p.detach() + 0.1 for n, p in model.named_parameters()}
    plain, wanted = (WRAPPED[name]().double().eval() for _ in range(2))
    plain.load_state_dict(model.state_dict())
    wanted.load_state_dict(model.state_dict() | values)
    before, names = state(model), list(vars(model))

    def first(output: Any) -> Tensor:
        return output[0] if isinstance(output, tuple) else output

    assert relative(first(Views().module(model)(x)), first(plain(x))) < 1e-12
    assert relative(first(with_values(model, values)(x)), first(wanted(x))) < 1e-12
    assert_same_state(state(model), before)
    assert list(vars(model)) == names


def test_values_cached_by_parametrizations_are_those_of_their_own_view() -> None:
    model, x = parametrizations.weight_norm(nn.Linear(4, 1)), torch.eye(4)
    with parametrize.cached():
        for size in range(1, 30):
            values = {name: size * p.detach() for name, p in model.named_parameters()}
            view = with_values(model, values)
            wanted = size * (model.weight.detach() @ x).T + size * model.bias.detach()  # g v / |v|
            assert torch.allclose(view(x), wanted, rtol=1e-5)
            del view


# What a module holds besides ----------------------------------------------------------------------------------------


class Holding(nn.Module):
    """The weight is reached in a way that `reach` chooses."""

    def __init__(self, reach: Callable[["Holding"], Any]) -> None:
        super().__init__()
        self.layer, self.drop = nn.Linear(3, 3), nn.Dropout(0.9)
        self.reach = reach(self)

    def both(self, x: Tensor) -> Tensor:
        return self.drop(self.layer(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.reach(x)


def in_order(parts: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: functools.reduce(lambda h, part: part(h), parts, x)


def keyword(model: Holding) -> Callable[[Tensor], Tensor]:
    return lambda x, *, m=model: m.both(x)


def recursive(model: Holding) -> Callable[..., Tensor]:
    def run(x: Tensor, again: bool = True) -> Tensor:
        return run(x, False) if again else model.both(x)

    return run


class Helper:
    """An object of the user's that is no module."""

    def __init__(self, parts: Any) -> None:
        self.parts, self.itself = parts, self

    def __call__(self, x: Tensor) -> Tensor:
        return self.itself.parts.drop(self.parts.layer(x))


class Guarded:
    """Its attribute is behind a property, and nothing can be set."""

    def __init__(self, parts: Any) -> None:
        vars(self)["parts"] = parts

    @property
    def parts(self) -> Any:
        return vars(self)["parts"]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(name)

    def __call__(self, x: Tensor) -> Tensor:
        return self.parts.both(x)


class Narrow:
    __slots__ = ("__parts",)  # whose name is another one outside

    def __init__(self, parts: Any) -> None:
        self.__parts = parts

    def __call__(self, x: Tensor) -> Tensor:
        return self.__parts.both(x)


class Pair(NamedTuple):
    layer: nn.Module
    drop: nn.Module


class Parts(list[nn.Module]):
    name = "a subclass of a list"


def of_itself(model: Holding) -> Callable[[Tensor], Tensor]:
    links: dict[str, Any] = {"parts": model}
    links["links"] = links
    return functools.partial(lambda d, x: d["links"]["links"]["parts"].both(x), links)


def by_default(model: Holding) -> Callable[[Tensor], Tensor]:
    found: defaultdict[str, list[Any]] = defaultdict(list, a=[model])
    return functools.partial(lambda d, x: d["a"][0].both(x) + len(d["b"]), found)


def cached(model: Holding) -> Callable[[Tensor], Tensor]:
    find = functools.lru_cache(lambda _: model)
    find(1)
    return functools.partial(lambda f, x: f(1).both(x), find)


REACHED: dict[str, Callable[[Holding], Any]] = {
    "bound method": lambda m: m.both,
    "closure": lambda m: lambda x: m.both(x),
    "closure of parts": lambda m: in_order([m.layer, m.drop]),
    "default": keyword,
    "partial": lambda m: functools.partial(lambda module, x: module.both(x), m),
    "wrapped": lambda m: functools.wraps(m.both)(lambda x: m.both(x)),
    "recursive": recursive,
    "tuple": lambda m: in_order((m.layer, m.drop)),
    "dict": lambda m: functools.partial(lambda d, x: d["b"](d["a"](x)), {"a": m.layer, "b": m.drop}),
    "ordered": lambda m: functools.partial(lambda d, x: d["b"](d["a"](x)), OrderedDict(a=m.layer, b=m.drop)),
    "keys": lambda m: functools.partial(
        lambda d, x: m.drop(m.layer(x)) if m.layer in d else x / 0, {m.layer: 1}
    ),
    "reference": lambda m: functools.partial(lambda r, x: r().both(x), weakref.ref(m)),
    "proxy": lambda m: functools.partial(lambda p, x: p.both(x), weakref.proxy(m)),
    "object": Helper,
    "object in objects": lambda m: Helper(SimpleNamespace(layer=m.layer, drop=[m.drop][0])),
    "object with slots": Narrow,
    "object behind properties": Guarded,
    "named tuple": lambda m: Helper(Pair(m.layer, m.drop)),
    "subclass of a list": lambda m: in_order(Parts([m.layer, m.drop])),
    "user list": lambda m: in_order(UserList([m.layer, m.drop])),
    "dict with defaults": by_default,
    "mapping": lambda m: functools.partial(lambda d, x: d["m"].both(x), MappingProxyType({"m": m})),
    "dict in itself": of_itself,
    "cached function": cached,
}


@pytest.mark.parametrize("name", REACHED)
def test_whatever_a_module_holds_leads_to_the_view(name: str) -> None:
    model, x = Holding(REACHED[name]), torch.randn(4, 3)
    with torch.no_grad():
        model.layer.bias.fill_(1.0)
    wanted = x @ model.layer.weight.detach().T + 1
    assert torch.allclose(Views().module(model)(x), wanted), "without dropout"
    noisy = with_values(model, {"layer.bias": torch.full((3,), 7.0)})
    assert torch.allclose(noisy(x), wanted + 6)
    assert torch.allclose(model.eval()(x), wanted), "and the model has its own"


def test_parameters_that_an_object_holds_are_those_of_the_view() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([2.0, 3.0]))
            self.held = SimpleNamespace(scale=self.scale)

        def forward(self, x: Tensor) -> Tensor:
            return (x * self.held.scale).sum(1)

    model, x = Plain(), torch.ones(1, 2)
    assert float(with_values(model, {"scale": torch.tensor([5.0, 6.0])})(x)) == 11
    noisy = rr.NoiseGrad(GRADIENT, samples=1, sigma=0.5)(model, x, generator=seeded(0))
    assert not torch.allclose(noisy, model.scale.detach()[None], atol=1e-2)
    assert float(model(x).detach()) == 5


def test_objects_that_lead_to_no_module_or_end_something_are_shared() -> None:
    class Ends:
        def __init__(self, model: nn.Module) -> None:
            self.model = model

        def __del__(self) -> None:
            raise AssertionError("nothing ends with a view")

    class Node:
        def __init__(self, below: Any) -> None:
            self.below = below

    model: Any = nn.Linear(2, 1)
    model.config, model.log = SimpleNamespace(size=2, names={"a": [1]}), logging.getLogger("a.b")
    model.chain = functools.reduce(lambda below, _: Node(below), range(5000), None)
    vars(model)["ends"] = Ends(model)
    view: Any = Views().module(model)
    assert view.config is model.config
    assert view.log is model.log
    assert view.chain is model.chain, "however deep it is"
    assert view.ends is model.ends
    del view
    gc.collect()
    del Ends.__del__


def test_modules_in_plain_lists_are_part_of_it_and_long_lists_are_passed_over() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = list(range(5000))
            self.parts = [nn.Linear(2, 2), [nn.Dropout(0.9)]]

        def forward(self, x: Tensor) -> Tensor:
            return self.parts[1][0](self.parts[0](x))

    model, x = Plain(), torch.randn(3, 2)
    vars(model)["places"] = {str(i): i for i in range(5000)}
    view = Views().module(model)
    assert torch.equal(view(x), model.parts[0](x))
    assert view.words is model.words
    assert view.places is model.places
    assert view.parts[0].weight is model.parts[0].weight


def test_state_that_hooks_and_forward_share_is_the_view_s_own() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.kept = nn.Linear(3, 3), torch.zeros(())
            self.layer.register_forward_hook(self.keep)
            self.layer.register_forward_hook(lambda _, __, output: setattr(self, "twice", 2 * output))

        def keep(self, _module: nn.Module, _args: Any, output: Tensor) -> None:
            self.kept = output

        def forward(self, x: Tensor) -> Tensor:
            self.layer(x)
            return self.kept + self.twice

    model, x = Keeps(), torch.randn(2, 3)
    model(torch.zeros(2, 3))
    kept = model.kept
    assert torch.allclose(GRADIENT(model, x, 0), 3 * model.layer.weight[0].detach().expand(2, 3))
    assert model.kept is kept, "explaining is not predicting"


def test_hooks_of_the_user_run_and_those_on_the_view_are_its_own() -> None:
    model, seen = nn.Sequential(nn.Linear(3, 2)), []
    model[0].register_forward_hook(lambda module, *_: seen.append(module))
    view = Views().module(model)
    view[0].register_forward_hook(lambda *_: seen.append("view"))
    view(torch.randn(1, 3))
    assert seen == [view[0], "view"]
    model(torch.randn(1, 3))
    assert seen[2:] == [model[0]]


def test_classes_with_slots_a_getattr_of_their_own_or_an_end_that_gives_something_up() -> None:
    closed: list[int] = []

    class Odd(nn.Module):
        __slots__ = ("size",)

        def __init__(self) -> None:
            super().__init__()
            self.layer, self.inner = nn.Linear(2, 1), {"scale": 3.0}
            object.__setattr__(self, "size", 2)

        def __getattr__(self, name: str) -> Any:
            return super().__getattr__(name) if name in self._modules else self.__dict__["inner"][name]

        def __del__(self) -> None:
            closed.append(1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) * self.scale * self.size

    model, x = Odd(), torch.randn(3, 2)
    assert torch.allclose(GRADIENT(model, x), 6 * model.layer.weight.detach().expand(3, 2))
    assert isinstance(Views().module(model), Odd)
    assert not closed


def test_a_module_that_is_a_built_in_type_is_refused() -> None:
    class Both(dict, nn.Module):
        __hash__ = nn.Module.__hash__

        def __init__(self) -> None:
            nn.Module.__init__(self)

    with pytest.raises(InputError, match="a module and a built-in type at once.*Wrap it"):
        GRADIENT(Both(), torch.ones(1, 2))


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: lambda x: m(x)], ids=["module", "callable"])
def test_lazy_modules_are_refused_before_anything_is_drawn(wrap: Any) -> None:
    model, before = nn.Sequential(nn.LazyLinear(3)), torch.get_rng_state()
    for method in (
        GRADIENT,
        rr.SmoothGrad(samples=2),
        rr.LRP(),
        rr.Gradient(at="0"),
        rr.NoiseGrad(samples=1),
    ):
        if wrap(model) is model or (isinstance(method, rr.Gradient | rr.LRP) and method.at is None):
            with pytest.raises(InputError, match=r"LazyLinear has no weights yet.*Run the model once"):
                method(wrap(model), torch.ones(2, 4), 0)
    assert torch.equal(torch.get_rng_state(), before)


# Callables ----------------------------------------------------------------------------------------------------------

GLOBAL = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.9))


def of_a_global(x: Tensor) -> Tensor:
    return GLOBAL(x).sum(1)


class Predictor:
    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __call__(self, x: Tensor) -> Tensor:
        return self.model(x).sum(1)


@pytest.mark.parametrize(
    "function",
    [of_a_global, Predictor(GLOBAL), Predictor(GLOBAL).__call__],
    ids=["global", "object", "bound method"],
)
def test_modules_that_a_callable_reaches_by_any_way_are_seen_in_eval_mode(function: Any) -> None:
    before, call = state(GLOBAL), nn.Module.__call__
    assert torch.allclose(GRADIENT(function, torch.randn(4, 3)), torch.ones(4, 3), atol=1e-4)
    assert_same_state(state(GLOBAL), before)
    assert nn.Module.__call__ is call


def test_a_function_keeps_the_cells_it_writes_to() -> None:
    model, calls = nn.Linear(2, 1), 0

    def counted(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return model(x)

    viewed = Views().of(counted)
    viewed(torch.ones(1, 2))
    assert isinstance(viewed, FunctionType)
    assert viewed is not counted
    assert calls == 1


def test_a_function_that_names_a_module_is_given_its_copy_and_its_own_globals_stay() -> None:
    def first() -> nn.Module:
        return GLOBAL[0]

    with explaining(GLOBAL, second_order=False, by_others=True) as network:
        assert isinstance(network, nn.Sequential)
        assert in_view(first)() is network[0], "as a layer that is looked up for captum"
    assert first() is GLOBAL[0]
    assert Views().of(first) is first, "where the module is none of the model's"


def test_code_of_others_comes_to_the_view_of_the_model() -> None:
    model, seen = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.9)), []

    def others(x: Tensor) -> nn.Module:
        seen.append(model(x))
        return model

    x = torch.ones(1, 2)
    with explaining(model, second_order=False, by_others=True) as network:
        assert in_view(others)(x) is network
        Predictor(model)(x)
        assert torch.equal(seen[0], model[0](x)), "also where the reference is out of sight"
    assert in_view(others)(x) is model


def test_every_module_is_prepared_and_taken_back() -> None:
    model, names = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), []

    def prepare(module: nn.Module) -> Callable[[], None]:
        return module.register_forward_hook(lambda m, *_: names.append(type(m).__name__)).remove

    for called in (model, lambda x: model(x), Predictor(model)):
        with explaining(called, second_order=False, hooks=True) as network:
            with each_module(network, prepare):
                network(torch.ones(1, 2))
            network(torch.ones(1, 2))
        assert names == ["Linear", "ReLU", "Sequential"]
        names.clear()
