"""The case table: every configured attribution method once, with the properties it claims."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.attribution import Attribution, PathAttribution
from tests.networks import NETWORKS

NETWORK = NETWORKS["mlp tanh"]
LAYER = "1"

REFERENCES = NETWORK.inputs(12, seed=3)
assert isinstance(REFERENCES, Tensor)


@dataclass(frozen=True)
class Case:
    """A configured method and its claims.

    Attributes:
        complete: maps sum to f(x) - f(baseline): "no", "quadrature" (up to its error), "expectation" or "exactly".
        random: maps depend on draws.
        batch_invariant: a row's map is that of the row alone.
        sensitive: a feature that differs from the baseline and alone changes f gets a map that is not zero.
        linear: maps of a f + b g are a maps of f + b maps of g.
        exact_on_linear: on linear models maps are w * (x - mean baseline), whatever the draws.
        tensors: holds tensors, so its repr cannot be evaluated.
        rounding: how much maps magnify the rounding of gradients, where they are differences of near equal sums.
    """

    name: str
    method: PathAttribution
    complete: str = "no"
    random: bool = False
    batch_invariant: bool = True
    sensitive: bool = True
    linear: bool = True
    exact_on_linear: bool = True
    tensors: bool = False
    rounding: float = 1.0


def _integrated(name: str, **fields: object) -> Case:
    method = rr.IntegratedGradients(**{"steps": 12, **fields})
    return Case(
        f"IG {name}", method, "quadrature", tensors=isinstance(fields.get("baseline"), Tensor | tuple)
    )


def _expected(name: str, *, samples: int = 16, **fields: object) -> Case:
    method = rr.ExpectedGradients(REFERENCES, samples=samples, **fields)
    resolved = fields.get("estimator") or rr.Kriging()
    plain = isinstance(resolved, rr.Independent) or samples < 8
    return Case(
        f"EG {name}",
        method,
        "exactly" if isinstance(resolved, rr.Complete | rr.Kriging) and not plain else "expectation",
        random=True,
        batch_invariant=fields.get("draws") != "per_row",
        linear=not isinstance(resolved, rr.Complete) or plain,
        exact_on_linear=not plain,
        tensors=True,
    )


_ON_INPUTS: tuple[Case, ...] = (
    Case("gradient", rr.Gradient(), sensitive=False, exact_on_linear=False),
    Case("input x gradient", rr.InputTimesGradient(), sensitive=False),
    Case("smoothgrad", rr.SmoothGrad(samples=6), random=True, sensitive=False, exact_on_linear=False),
    Case(
        "smoothgrad absolute",
        rr.SmoothGrad(sigma=0.3, samples=5, relative=False),
        random=True,
        sensitive=False,
        exact_on_linear=False,
    ),
    Case(
        "smoothgrad squared",
        rr.SmoothGrad(samples=5, reduce="mean_square"),
        random=True,
        sensitive=False,
        linear=False,
        exact_on_linear=False,
    ),
    Case(
        "vargrad",
        rr.SmoothGrad(samples=5, reduce="variance"),
        random=True,
        sensitive=False,
        linear=False,
        exact_on_linear=False,
        rounding=10.0,
    ),
    _integrated("gauss-legendre"),
    _integrated("midpoint", rule=rr.Midpoint()),
    _integrated("trapezoid", rule=rr.Trapezoid()),
    _integrated("left", rule=rr.Left()),
    _integrated("right", rule=rr.Right()),
    _integrated("baseline number", baseline=0.5),
    _integrated("baseline row", baseline=torch.linspace(-1, 1, 4, dtype=torch.float64)),
    _integrated("baseline one row", baseline=torch.linspace(-1, 1, 4, dtype=torch.float64)[None]),
    _expected("default"),
    _expected("one sample", samples=1),
    _expected("independent", estimator=rr.Independent()),
    _expected("stratified", estimator=rr.Stratified()),
    _expected("control variate", estimator=rr.ControlVariate()),
    _expected("complete", estimator=rr.Complete()),
    _expected("kriging per row", estimator=rr.Kriging(), draws="per_row"),
    _expected("more samples than references", samples=30, estimator=rr.Stratified()),
    _expected("independent per row", estimator=rr.Independent(), draws="per_row"),
    _expected("stratified per row", estimator=rr.Stratified(), draws="per_row"),
    _expected("control variate per row", estimator=rr.ControlVariate(), draws="per_row"),
    _expected("complete per row", estimator=rr.Complete(), draws="per_row"),
    Case(
        "EG batch",
        rr.ExpectedGradients("batch", samples=3),
        "expectation",
        random=True,
        batch_invariant=False,
        exact_on_linear=False,
    ),
)


def _at_layer(case: Case) -> Case:
    return replace(case, name=f"{case.name} at layer", method=replace(case.method, at=LAYER))


CASES: tuple[Case, ...] = (
    *_ON_INPUTS,
    *(_at_layer(case) for case in _ON_INPUTS if not case.name.startswith(("EG complete", "EG default"))),
    # Completeness needs f at the references, which is passed in where a layer is explained.
    replace(_at_layer(_expected("default")), complete="expectation", linear=True),
)


PICTURES = NETWORKS["cnn"]
"""Batch-norm, dropout, one in-place ReLU used twice: what the methods below have to live with."""


@dataclass(frozen=True)
class Catalogued:
    """A method that is explained on pictures, and its claims; see `Case`.

    Attributes:
        channels: of its maps; 0 for as many as the input.
        random: maps depend on draws.
        batch_invariant: a row's map is that of the row alone.
        reads_model: maps depend on the model; controls do not.
        backward: rows of backward passes for each row explained.
        fitted: what is made of a network before the method accepts it.
    """

    name: str
    method: Attribution
    channels: int = 0
    random: bool = False
    batch_invariant: bool = True
    reads_model: bool = True
    backward: int = 1
    fitted: Callable[[nn.Module], nn.Module] = nn.Module.eval


CATALOGUE: tuple[Catalogued, ...] = (
    Catalogued("grad-cam", rr.GradCAM(), channels=1),
    Catalogued("grad-cam signed", rr.GradCAM(layer="first", relu=False, upsample="nearest"), channels=1),
    Catalogued("grad-cam++", rr.GradCAMPlusPlus(), channels=1),
    Catalogued("grad-cam++ nearest", rr.GradCAMPlusPlus(layer="second", upsample="nearest"), channels=1),
    Catalogued("xgrad-cam", rr.XGradCAM(), channels=1),
    Catalogued("blur ig", rr.BlurIG(steps=6), backward=6),
    Catalogued("blur ig gauss", rr.BlurIG(max_sigma=2, steps=4, rule=rr.GaussLegendre()), backward=4),
    Catalogued("blur ig at layer", rr.BlurIG(steps=4, at="first"), channels=3, backward=4),
    Catalogued("guided ig", rr.GuidedIG(steps=5), backward=6),
    Catalogued("guided ig from a number", rr.GuidedIG(0.3, 4, fraction=0.5, max_distance=1), backward=5),
    Catalogued("guided ig at layer", rr.GuidedIG(steps=4, at="first"), channels=3, backward=5),
    Catalogued("x-gradient", rr.XGradient(), fitted=rr.homogenize),
    Catalogued("x-gradient at layer", rr.XGradient(at="first"), channels=3, fitted=rr.homogenize),
    Catalogued("noisegrad", rr.NoiseGrad(samples=3), random=True, backward=3),
    Catalogued(
        "noisegrad of grad-cam",
        rr.NoiseGrad(rr.GradCAM("first", relu=False), sigma=0.1, samples=2),
        channels=1,
        random=True,
        backward=2,
    ),
    Catalogued("fusiongrad", rr.FusionGrad(samples=2, input_samples=2), random=True, backward=4),
    Catalogued(
        "fusiongrad of input x gradient",
        rr.FusionGrad(rr.InputTimesGradient(), samples=1, input_sigma=0.4, input_samples=3, relative=False),
        random=True,
        backward=3,
    ),
    Catalogued("guided backpropagation", rr.GuidedBackprop()),
    Catalogued("deconvolutional network", rr.Deconvnet()),
    Catalogued("deeplift", rr.DeepLift()),
    Catalogued("random", rr.RandomMap(), random=True, batch_invariant=False, reads_model=False, backward=0),
    Catalogued("edges", rr.EdgeMap(), reads_model=False, backward=0),
    Catalogued("constant", rr.ConstantMap(0.5), reads_model=False, backward=0),
    Catalogued("lrp", rr.LRP()),
    Catalogued("lrp gamma", rr.LRP(rule=rr.Gamma())),
    Catalogued("lrp alpha beta", rr.LRP(rule=rr.AlphaBeta(2, 1))),
    Catalogued(
        "lrp composite",
        rr.LRP(rule=rr.Epsilon(1e-4), rules=(("second", rr.ZPlus()),), first=rr.ZBox(-5.0, 5.0)),
    ),
    Catalogued("lrp flat", rr.LRP(rule=rr.Epsilon(), first=rr.Flat(), merge_norms=False)),
    Catalogued("deeplift from a number", rr.DeepLift(baseline=0.3)),
    Catalogued("guided grad-cam", rr.GuidedGradCAM(), backward=2),
    Catalogued("guided grad-cam nearest", rr.GuidedGradCAM(layer="first", upsample="nearest"), backward=2),
)
