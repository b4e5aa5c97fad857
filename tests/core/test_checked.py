"""The validation layer: of single arguments, and of every public call, found by inspection."""

import importlib
import inspect
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.core._checked import Count, checked
from rightreasons.core._errors import InputError, RightReasonsError, TargetError

PACKAGES = (
    "attribution attacks audit data metrics models plot priors recipes runs stats tasks training "
    "integrations.captum integrations.quantus integrations.transformers"
).split()
RESULTS = {
    *(
        "Advice",
        "Axioms",
        "Evaluations",
        "Explanation",
        "AttackEvaluations",
        "AttributionAttackResult",
        "Goal",
    ),
    *("PredictionAttack", "Summary", "Status", "DiverseTopK", "LensResult", "Metric", "Dependence", "Ranked"),
    *(
        "MetaColumn",
        "Difference",
        "Enriched",
        "Interval",
        "Stability",
        "Differentiability",
        "Fitted",
        "Losses",
    ),
    *("Step", "Alterations", "Column", "ColumnsError", "NotNumbersError", "FittedColumn", "Split", "DataSet"),
    *("Arm", "Recipe", "Fit", "Progress", "Streamed", "Trained", "MapStore", "RunDirectory", "Robustness"),
    *("TextExplanation", "Algorithm", "Text"),
}
"""Made by the library itself, or (recipes) checked by a schema of their own."""
BASES = {"Norm", "Engine", "Estimator", "Rule", "PathAttribution", "Prior", "Task", "Term"}


class Odd:
    """An object that nothing takes."""


def _public() -> list[tuple[str, Any]]:
    found = []
    for package in PACKAGES:
        module = importlib.import_module(f"rightreasons.{package}")
        for name in module.__all__:
            value = getattr(module, name)
            if (inspect.isfunction(value) or inspect.isclass(value)) and name not in RESULTS | BASES:
                found.append((f"{package}.{name}", value))
    return [
        (name, value)
        for name, value in found
        if not inspect.isabstract(value) and name != "tasks.predictions"
    ]


def _calls(value: Any) -> list[tuple[Any, tuple[Any, ...]]]:
    """What can be called, with what stands before the arguments that are tried."""
    if inspect.isfunction(value):
        return [(value, ())]
    own = [
        vars(value)[name]
        for name in ("__call__", "explain", "run")
        if inspect.isfunction(vars(value).get(name))
    ]
    return [(value, ()), *((method, (None,)) for method in own if not issubclass(value, nn.Module))]


def _takes_anything(hint: Any) -> bool:
    return hint in (Any, object, Hashable) or any(
        word in str(hint) for word in ("Any", "~", "Data", "Protocol")
    )


@pytest.mark.parametrize(("name", "value"), _public(), ids=[name for name, _ in _public()])
def test_every_argument_of_every_public_call_is_checked(name: str, value: Any) -> None:
    for function, before in _calls(value):
        source = function.__init__ if inspect.isclass(function) else function
        for argument, hint in get_type_hints(inspect.unwrap(source)).items():
            if argument == "return" or _takes_anything(hint):
                continue
            numbers = {int: (1.5, float("nan"), True, "x"), float: (float("nan"), True, "x")}
            for hostile in (Odd(), *numbers.get(hint, ())):
                with pytest.raises(RightReasonsError) as caught:
                    function(*before, **{argument: hostile})
                assert argument in str(caught.value), f"{name}({argument}={hostile!r}): {caught.value}"
                assert "\n" not in str(caught.value)


@checked
def _call(
    count: Count = 1,
    share: float = 0.5,
    inputs: Tensor | tuple[Tensor, ...] | None = None,
    *,
    target: int | None = None,
    names: Sequence[str] = (),
    members: Collection[Hashable] = (),
    pair: tuple[float, float] = (0.0, 1.0),
    keywords: Mapping[str, Any] | None = None,
    kind: Literal["sum", "mean"] | None = None,
    flag: bool = False,
    generator: torch.Generator | None = None,
    method: rr.Attribution | Callable[..., Tensor] | None = None,
) -> tuple[Any, ...]:
    return count, share, names, members, pair, flag


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"count": 0}, "count must be a whole number of at least 1; got 0."),
        ({"count": True}, "count must be a whole number of at least 1; got True."),
        ({"share": float("nan")}, "share must be a number; got nan."),
        ({"share": torch.tensor(1.0)}, "share must be a number; got torch's Tensor."),
        ({"inputs": np.zeros(2)}, "got numpy's ndarray. Convert: torch.as_tensor(x)."),
        (
            {"names": torch.zeros(2, device="meta")},
            "names must be a sequence of strings; got torch's Tensor.",
        ),
        ({"names": "ab"}, "names must be a sequence of strings; got 'ab'."),
        ({"pair": (1.0,)}, "pair must be a tuple of a number and a number; got (1.0,)."),
        ({"keywords": [1]}, "keywords must be a mapping of strings or None; got [1]."),
        ({"kind": "max"}, "kind must be one of 'sum', 'mean', None; got 'max'."),
        ({"flag": 1}, "flag must be True or False; got 1."),
        ({"generator": 3}, "got 3. Pass torch.Generator().manual_seed(seed)."),
        ({"method": 3}, "method must be an Attribution, a function or None; got 3."),
    ],
)
def test_rule_value_and_fix_stand_in_one_line(argument: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        _call(**argument)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_target_is_a_target_error() -> None:
    with pytest.raises(TargetError, match="target must be a whole number or None; got 'x'"):
        _call(target="x")  # pyright: ignore[reportArgumentType]


def test_generators_of_another_device_are_refused() -> None:
    generator = type("Elsewhere", (torch.Generator,), {"device": torch.device("meta")})()
    with pytest.raises(InputError, match=r"got a generator on meta\. Pass torch\.Generator"):
        _call(generator=generator)


def test_numbers_of_numpy_and_lists_are_taken_for_those_of_python() -> None:
    found = _call(np.int64(3), np.float32(0.5), names=["a"], members="ab", pair=[0, 1], flag=np.bool_(True))  # pyright: ignore[reportArgumentType]
    assert found == (3, 0.5, ["a"], "ab", (0, 1), True)
    assert [type(part) for part in found[:2]] == [int, float]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(2, 2).to_sparse(), "densely; got torch.sparse_coo"),
        (torch.zeros(2, device="meta"), "densely; got torch.strided on meta"),
        (torch.zeros(2, dtype=torch.complex64), "real numbers of 16 bits at least; got torch.complex64"),
        (torch.zeros(2).to(torch.float8_e4m3fn), "real numbers of 16 bits at least; got torch.float8_e4m3fn"),
    ],
)
def test_tensors_that_cannot_be_computed_with_are_refused(value: Tensor, message: str) -> None:
    for given in (value, (torch.zeros(2), value)):
        with pytest.raises(InputError, match=message):
            _call(inputs=given)


def test_what_a_value_says_itself_of_an_argument_goes_before() -> None:
    @checked
    @dataclass(frozen=True)
    class Noise:
        sigma: float

        def __post_init__(self) -> None:
            if not self.sigma > 0:
                raise InputError("sigma is a standard deviation, positive")

    with pytest.raises(InputError, match="sigma is a standard deviation, positive"):
        Noise(float("nan"))
    with pytest.raises(InputError, match="sigma must be a number; got 'x'"):
        Noise("x")  # pyright: ignore[reportArgumentType]
    assert Noise(2).sigma == 2
