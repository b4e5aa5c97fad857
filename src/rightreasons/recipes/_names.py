"""Names that recipes may use, and the fields of each: models, tasks, priors, attributions, peers."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError
from torch.optim.lr_scheduler import ReduceLROnPlateau

from rightreasons import attribution, priors, training
from rightreasons.core._suggest import did_you_mean
from rightreasons.models import _registry as models
from rightreasons.recipes import _data_priors as beliefs
from rightreasons.recipes import _learned as learned
from rightreasons.recipes._limits import require_no_truth_value, require_plausible
from rightreasons.tasks import _registry as tasks


@dataclass(frozen=True)
class Entry:
    """Something a recipe can name.

    Args:
        make: class or function that is called with the fields.
        fields: those a recipe can give; None: all parameters.
        own: fields of the recipe that the maker does not have, with their defaults and the values they may take.
        from_data: fields that the data decide where the recipe does not.
        words: values that a field may have besides the maker's, and that whoever builds it replaces.
        varied: the field that an arm's weights are, of peers.
    """

    make: Callable[..., Any]
    fields: Sequence[str] | None = None
    own: Mapping[str, tuple[str, ...]] | None = None
    from_data: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    varied: str | None = None

    def parameters(self) -> dict[str, inspect.Parameter]:
        """The maker's parameters that a recipe can give."""
        found = inspect.signature(self.make).parameters
        asked = found if self.fields is None else self.fields
        return {name: p for name, p in found.items() if name in asked and name != self.varied}


def _lasso(strength: float = 1.0) -> training.ElasticNet:
    return training.ElasticNet(strength, l1_ratio=1.0)


def _ridge(strength: float = 1.0) -> training.ElasticNet:
    return training.ElasticNet(strength, l1_ratio=0.0)


_EXPLAINED = ("output", "at")
_BALANCED = {"weights": "balanced", "positive_weights": "balanced"}


def _plateau(factor: float = 0.1, patience: int = 10, min_lr: float = 0.0) -> Callable[[Any], Any]:
    """Optimiser -> torch's schedule by the validation loss."""
    return partial(ReduceLROnPlateau, factor=factor, patience=patience, min_lr=min_lr)


def _snake_case(name: str) -> str:
    """`GradCAMPlusPlus` as `grad_cam_plus_plus`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _plain_fields(method: type) -> tuple[str, ...]:
    """Fields whose values are numbers, words and nothing else."""
    hints = get_type_hints(method)
    return tuple(name for name in inspect.signature(method).parameters if _is_plain(hints[name]))


def _is_plain(hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return True
    parts = get_args(hint)
    return all(map(_is_plain, parts)) if parts else hint in (bool, int, float, str, type(None))


_METHODS: Mapping[str, Entry] = {
    "expected_gradients": Entry(
        attribution.ExpectedGradients,
        fields=("samples", *_EXPLAINED, "draws", "max_references"),
        own={"references": ("train", "batch")},
    ),
    "integrated_gradients": Entry(attribution.IntegratedGradients, fields=("baseline", "steps", *_EXPLAINED)),
    "smooth_grad": Entry(
        attribution.SmoothGrad, fields=("sigma", "samples", "relative", "reduce", *_EXPLAINED)
    ),
    "guided_ig": Entry(
        attribution.GuidedIG, fields=("baseline", "steps", "fraction", "max_distance", *_EXPLAINED)
    ),
    "deep_lift": Entry(
        attribution.DeepLift, fields=("baseline", "at"), own={"references": ("none", "train")}
    ),
}
"""Those whose fields are not plain, or that refer to training rows; the usual choice first, which errors name first."""


def _other_methods() -> dict[str, Entry]:
    """Every other attribution method under its class name in snake case, with the fields that YAML can hold."""
    named = {_snake_case(method.__name__): method for method in attribution.methods()}
    return {
        name: Entry(method, fields=_plain_fields(method))
        for name, method in named.items()
        if name not in _METHODS
    }


KINDS: Mapping[str, Mapping[str, Entry]] = {
    "model": {
        name: Entry(factory.make, from_data=("features", "shape", "outputs", "vocabulary"))
        for name, factory in models._MODELS.items()
    },
    "task": {name: Entry(make, words=_BALANCED) for name, make in tasks._TASKS.items()},
    "prior": {
        "gini": Entry(priors.Gini),
        "l1": Entry(priors.L1),
        "l2": Entry(priors.L2),
        "total_variation": Entry(priors.TotalVariation),
        "fourier_smoothness": Entry(priors.FourierSmoothness),
        "graph_laplacian": Entry(beliefs.GraphLaplacian),
        "group_sparsity": Entry(beliefs.GroupSparsity),
        "mask": Entry(beliefs.Mask),
        "monotone": Entry(beliefs.Monotone),
        "learned": Entry(learned.Learned),
        "alignment": Entry(priors.Alignment),
    },
    "attribution": {**_METHODS, **_other_methods()},
    "peer": {
        "lasso": Entry(_lasso, varied="strength"),
        "ridge": Entry(_ridge, varied="strength"),
        "elastic_net": Entry(training.ElasticNet, fields=("l1_ratio",), varied="strength"),
        "gradient_boosting": Entry(
            training.GradientBoosting, fields=("rounds", "depth", "least", "bins"), varied="rate"
        ),
        "random_forest": Entry(training.RandomForest, fields=("trees", "least"), varied="features"),
    },
    "optimizer": {
        "adam": Entry(torch.optim.Adam, fields=("lr", "betas", "eps", "weight_decay")),
        "adamw": Entry(torch.optim.AdamW, fields=("lr", "betas", "eps", "weight_decay")),
        "sgd": Entry(torch.optim.SGD, fields=("lr", "momentum", "weight_decay", "nesterov")),
        "rmsprop": Entry(
            torch.optim.RMSprop, fields=("lr", "alpha", "eps", "momentum", "centered", "weight_decay")
        ),
    },
    "schedule": {
        "constant": Entry(training.Constant),
        "linear": Entry(training.Linear),
        "cosine": Entry(training.Cosine),
        "exponential": Entry(training.Exponential),
        "steps": Entry(training.Steps),
        "one_cycle": Entry(training.OneCycle),
        "plateau": Entry(_plateau),
    },
    "augmentation": {"shift": Entry(training.Shift), "flip": Entry(training.Flip)},
    "engine": {
        "double_backprop": Entry(training.DoubleBackprop),
        "recompute": Entry(training.Recompute),
    },
    "weighting": {
        "constant": Entry(float, fields=()),
        "ramp": Entry(training.Ramp, fields=("last", "first", "start", "shape")),
        "auto": Entry(training.Auto, fields=("at",)),
    },
    "regulariser": {
        "weight_l1": Entry(training.WeightL1, fields=("layers",)),
        "weight_l2": Entry(training.WeightL2, fields=("layers", "squared")),
        "sparse_group_lasso": Entry(training.SparseGroupLasso, fields=("layers",)),
    },
}

_OPTIMISER_TYPES = {
    "lr": float, "betas": tuple[float, float], "eps": float,
    "weight_decay": float, "momentum": float, "nesterov": bool, "alpha": float, "centered": bool,
}  # fmt: skip


def entry(kind: str, name: str) -> Entry:
    """The entry of that name.

    Raises: ValueError naming the closest one, which the reader of a recipe turns into a `RecipeError`.
    """
    known = KINDS[kind]
    if name not in known:
        raise ValueError(f"there is no {kind} {name!r}. {did_you_mean(name, known)}")
    return known[name]


def resolved(kind: str, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with their defaults, each of the type it must have.

    Raises: ValueError naming the field, and the closest one if there is none of that name.
    """
    found = entry(kind, name)
    parameters, own = found.parameters(), dict(found.own or {})
    types = _types(kind, found)
    for key in given:
        if key not in parameters and key not in own:
            raise ValueError(
                f"{kind} {name!r} has no field {key!r}. {did_you_mean(key, [*parameters, *own])}"
            )
    for key, parameter in parameters.items():
        if key not in given and key not in found.from_data and parameter.default is inspect.Parameter.empty:
            raise ValueError(f"{kind} {name!r} needs {key}, such as {{name: {name}, {key}: ...}}")
    values = {key: p.default for key, p in parameters.items() if _has_default(p, found)}
    values |= {key: choices[0] for key, choices in own.items()}
    return {
        key: _choice(key, value, own[key])
        if key in own
        else _typed(key, value, types.get(key), found.words.get(key))
        for key, value in {**values, **given}.items()
    }


def differentiable(attribution_name: str) -> bool:
    """Whether one can train through an attribution of that name."""
    return entry("attribution", attribution_name).make.axioms.differentiable  # pyright: ignore[reportFunctionMemberAccess]


def controls(prior_name: str) -> Mapping[str, str]:
    """Kinds of wrong knowledge that a prior can be compared with, and what results call them."""
    return getattr(entry("prior", prior_name).make, "controls", {})


def usual_controls(prior_name: str) -> tuple[str, ...]:
    """The kinds that `controls: true` means."""
    known = tuple(controls(prior_name))
    return known if getattr(entry("prior", prior_name).make, "all_controls", False) else known[:1]


def build(kind: str, name: str, fields: Mapping[str, Any], **more: Any) -> Any:
    """What the entry makes of resolved fields; `more` is what a recipe cannot say, such as tensors."""
    found = entry(kind, name)
    own = found.own or {}
    return found.make(**{k: _tuples(v) for k, v in fields.items() if k not in own}, **more)


def optimizer(name: str, fields: Mapping[str, Any]) -> Callable[[Any], torch.optim.Optimizer]:
    """Parameters -> optimiser."""
    return partial(entry("optimizer", name).make, **{k: _tuples(v) for k, v in fields.items()})


def _has_default(parameter: inspect.Parameter, found: Entry) -> bool:
    return parameter.default is not inspect.Parameter.empty and parameter.name not in found.from_data


def _types(kind: str, found: Entry) -> dict[str, Any]:
    if kind == "optimizer":  # torch annotates rates as number or tensor
        return _OPTIMISER_TYPES
    owner = found.make.__init__ if inspect.isclass(found.make) else found.make
    hints = get_type_hints(owner, include_extras=True)
    numbers: dict[str, Any] = {"baseline": float | None, "sigma": float}  # tensors cannot be said in a recipe
    return hints | {key: hint for key, hint in numbers.items() if key in hints}


def _typed(key: str, value: Any, hint: Any, word: str | None = None) -> Any:
    if hint is None or (word is not None and value == word):
        return _plain(value)
    require_no_truth_value(key, value, hint)
    try:
        found = TypeAdapter(hint).validate_python(_tuples(value))
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{key}: {said[0].lower()}{said[1:]}, got {value!r}.") from error
    require_plausible(key, found)
    return _plain(found)


def _choice(key: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"{key} cannot be {value!r}. {did_you_mean(str(value), choices)}")
    return str(value)


def _plain(value: Any) -> Any:
    """Tuples as the lists that YAML has."""
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _tuples(value: Any) -> Any:
    """Lists as the tuples that frozen values hold."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
