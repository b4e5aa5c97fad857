"""Deep attribution prior: a network that maps meta-features to feature importance."""

import copy
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Literal, final

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from rightreasons.core._checked import checked
from rightreasons.core._distributed import batch_mean
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.priors._check import Level, NoBilinearForm, checked_maps
from rightreasons.priors.learned._meta_features import MetaFeatures

_DISTANCES = Literal["l1", "l2"]
_HIDDEN = (8, 4)


class Constant(nn.Module):
    """The same number for every feature, zero at first: what is learned without meta-features."""

    def __init__(self, trainable: bool = True) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1)) if trainable else None

    def forward(self, meta: Float[Tensor, "p q"]) -> Float[Tensor, "p 1"]:
        """The number, once for each row of `meta`."""
        return meta.new_zeros(len(meta), 1) if self.value is None else self.value.expand(len(meta), 1)


@final
@checked
class LearnedPrior(nn.Module):
    """Attributions should be what a network g says from each feature's meta-features m_j [weinberger2020].

        sample: Omega = mean_b mean_j d(phi_bj, g(m_j)),
        global: Omega = mean_j d(mean_b phi_bj, g(m_j)),     d(a, b) = abs(a - b) or (a - b)^2,

    with abs(phi) in place of phi where `signed` is false. g is trained together with the model: an `Objective` that
    holds this prior has g's parameters, and `Objective.parameter_groups` gives them a rate of their own. The released
    code is l1 at the sample level with weight 1, signed in one experiment and not in the others; the weight is a knob
    here, to be chosen on validation rows. Networks by name start at g = 0, not at random: attributions are small
    numbers, and a penalty that first pulls them towards large random ones holds training back.

    Whatever g is, the l1 form also shrinks attributions towards the few numbers g can give: a gain over no prior says
    nothing about the meta-features. `controls` are what it has to be compared with.

    Bias: with k draws of expected gradients for each row the l2 form adds the draws' variance, free of which is its
    signed `bilinear` form; abs(phi) is too large (by 42 % for a linear model at k = 1), and g learns that size.

    Cost: one pass of g over p rows, and O(B p); no p x p matrix is made.

    Args:
        meta_features: of the p features of a map, in the order of its columns.
        network: "linear", "mlp" (two hidden layers of 8 and 4 SiLUs; ReLUs so few may all die), "constant", "zero", or
            a module from (p, q) to (p, 1) or (p,).
        signed: compare phi and g with their signs; False: g is the size of attributions.
        distance: "l1" or "l2".
        level: "sample", or "global", which depends on the batch as a whole.

    Raises:
        InputError: no `MetaFeatures`; an unknown field value; maps that are not a finite floating-point tensor.
        ShapeError: a network that does not give a number for each feature; maps with another number of features.

    Example:
        >>> import torch
        >>> meta = MetaFeatures.from_table({"size": [1.0, 2.0]}, ["a", "b"], names=["a", "b"])
        >>> LearnedPrior(meta, network="zero")(torch.tensor([[1.0, -3.0]]))
        tensor(2.)
    """

    meta: Tensor

    def __init__(
        self,
        meta_features: MetaFeatures,
        network: str | nn.Module = "linear",
        signed: bool = True,
        distance: _DISTANCES = "l1",
        level: Level = "sample",
    ) -> None:
        super().__init__()
        self.meta_features, self.signed = meta_features, signed
        self.distance: _DISTANCES = distance
        self.level: Level = level
        self.network = (
            network if isinstance(network, nn.Module) else _built(network, len(meta_features.columns))
        )
        self.register_buffer("meta", meta_features.values, persistent=False)

    def __repr__(self) -> str:
        network = " ".join(repr(self.network).split())
        return (
            f"LearnedPrior({self.meta_features!r}, network={network}, signed={self.signed}, "
            f"distance={self.distance!r}, level={self.level!r})"
        )

    @property
    def coupled(self) -> bool:
        """True at the global level: the mean of micro-batches' penalties is not the batch's penalty."""
        return self.level == "global"

    @property
    def bilinear(self) -> Callable[..., Float[Tensor, ""]]:
        """`bilinear(a, b, guidance=None)` = mean (a - g)(b - g) for two independent draws of the maps (B, *F).

        Its mean over draws is the penalty of the expected maps; a single value may be negative. Signed l2 only.
        """
        if not self.signed or self.distance != "l2":
            raise self._no_bilinear_form()
        return self._bilinear

    def __getattr__(self, name: str) -> Any:
        if name == "bilinear":  # the property has refused, and a module then looks here
            raise self._no_bilinear_form()
        return super().__getattr__(name)

    def _no_bilinear_form(self) -> NoBilinearForm:
        return NoBilinearForm(
            f"LearnedPrior(signed={self.signed}, distance={self.distance!r}) is not quadratic in signed maps, so two "
            "draws give no unbiased form. Use signed=True with distance='l2', or one draw."
        )

    def _bilinear(self, a: Tensor, b: Tensor, guidance: Tensor | None = None) -> Tensor:
        return (self._residuals(a) * self._residuals(b)).mean()

    def importance(self) -> Float[Tensor, " p"]:
        """g(m_j) of every feature, with the graph to g's parameters."""
        return self.importance_at(self.meta)

    def importance_at(self, meta: Float[Tensor, "n q"]) -> Float[Tensor, " n"]:
        """g at rows of meta-features, in the units of `meta_features.values`."""
        dtype = next((p.dtype for p in self.network.parameters()), meta.dtype)
        with torch.autocast(meta.device.type, enabled=False):
            values = self.network(meta.to(dtype))
        if tuple(values.shape) not in ((len(meta),), (len(meta), 1)):
            raise ShapeError(
                f"the network of a LearnedPrior must give a number for each feature, ({len(meta)},) or "
                f"({len(meta)}, 1); got {tuple(values.shape)} from meta-features {tuple(meta.shape)}."
            )
        return values.reshape(len(meta))

    def _residuals(self, maps: Tensor) -> Float[Tensor, "rows p"]:
        maps_Bp = checked_maps(maps, self).flatten(1)
        if maps_Bp.shape[1] != len(self.meta):
            raise ShapeError(
                f"LearnedPrior has meta-features of {len(self.meta)} features and needs maps with as many; got "
                f"{maps_Bp.shape[1]} (maps {tuple(maps.shape)}). Make them for the features the model sees."
            )
        seen = maps_Bp if self.signed else maps_Bp.abs()
        rows = seen if self.level == "sample" else batch_mean(seen)[None]
        return rows - self.importance().to(rows)

    def forward(
        self, maps: Shaped[Tensor, "B *F"], guidance: Shaped[Tensor, "..."] | None = None
    ) -> Float[Tensor, ""]:
        """The penalty of maps (B, *F) with p features each; `guidance` is not used."""
        residuals = self._residuals(maps)
        return (residuals.abs() if self.distance == "l1" else residuals.square()).mean()

    def on(self, meta_features: MetaFeatures) -> "LearnedPrior":
        """A copy with the same weights and other meta-features.

        Raises: ShapeError if these have another number of columns.
        """
        if len(meta_features.columns) != self.meta.shape[1]:
            raise ShapeError(
                f"the network reads {self.meta.shape[1]} meta-features; got {len(meta_features.columns)}."
            )
        network = copy.deepcopy(self.network)
        return LearnedPrior(meta_features, network, self.signed, self.distance, self.level)


@checked
def controls(
    prior: LearnedPrior, generator: torch.Generator | None = None
) -> Mapping[str, LearnedPrior | None]:
    """What a learned prior must beat before its meta-features can be said to help; make them anew for each split.

    | control    | what it has in common with the prior                                        |
    |------------|-----------------------------------------------------------------------------|
    | "none"     | nothing: None, train without it                                             |
    | "zero"     | shrinks attributions; g = 0                                                 |
    | "constant" | shrinks attributions towards one learned number                             |
    | "permuted" | everything but which row of meta-features belongs to which feature          |
    | "random"   | network and number of columns; standard normal numbers                      |

    "permuted" and "random" start from the weights that `prior` has now.

    Args:
        prior: not trained yet.
        generator: CPU generator of permutation and numbers; None for the global one.

    Example:
        >>> meta = MetaFeatures.from_table({"size": [1.0, 2.0, 4.0]}, ["a", "b", "c"], names=["a", "b", "c"])
        >>> list(controls(LearnedPrior(meta)))
        ['none', 'zero', 'constant', 'permuted', 'random']
    """
    meta = prior.meta_features
    rest = (prior.signed, prior.distance, prior.level)
    return {
        "none": None,
        "zero": LearnedPrior(meta, "zero", *rest),
        "constant": LearnedPrior(meta, "constant", *rest),
        "permuted": prior.on(meta.permuted(generator)),
        "random": prior.on(meta.random(generator)),
    }


def _built(network: str, columns: int) -> nn.Module:
    """A network whose last layer is zero: training starts at the control g = 0, whatever the size of attributions."""
    if network in ("constant", "zero"):
        return Constant(trainable=network == "constant")
    if network not in ("linear", "mlp"):
        raise InputError(f"network must be 'linear', 'mlp', 'constant', 'zero' or a module; got {network!r}.")
    widths = (columns, *(_HIDDEN if network == "mlp" else ()))
    hidden = [layer for n, m in pairwise(widths) for layer in (nn.Linear(n, m), nn.SiLU())]
    last = nn.Linear(widths[-1], 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*hidden, last) if hidden else last
