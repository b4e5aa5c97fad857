"""Decision trees as tensors: saved and evaluated without the library that grew them.

Legend: B rows, p features, T trees, N most nodes of a tree, K outputs.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, ShapeError

Link = Literal["identity", "logit", "log"]
LINKS: tuple[str, ...] = get_args(Link)
LEAST_PROBABILITY = 1e-3
"""Probabilities are kept this far from 0 and 1, so that one wrong forest row does not have an infinite loss."""


@checked
class Trees(nn.Module):
    """A sum or mean of decision trees, f(x) = link(offset + scale sum_t value_t(leaf of x in tree t)).

    A row goes left where its feature is at most the node's threshold. The links make outputs of probabilities: "logit"
    the log odds of the second class, "log" the logarithms of all classes. Outputs are piecewise constant: they have no
    gradient, so nothing that needs one explains them.

    Cost: O(B T depth) time, O(B T) memory.

    Args:
        feature: which feature a node asks for, (T, N).
        threshold: what it is compared with, (T, N).
        left: node of the rows at most the threshold; a leaf names itself, (T, N).
        right: node of the others.
        value: of each node, (T, N, K).
        offset: added to the sum, (K,).
        scale: of the sum.
        link: what is made of it.

    Raises:
        InputError: an unknown link.

    >>> stump = Trees(
    ...     feature=torch.zeros(1, 3, dtype=torch.int64),
    ...     threshold=torch.zeros(1, 3, dtype=torch.float64),
    ...     left=torch.tensor([[1, 1, 2]]),
    ...     right=torch.tensor([[2, 1, 2]]),
    ...     value=torch.tensor([[[0.0], [-1.0], [1.0]]], dtype=torch.float64),
    ...     offset=torch.zeros(1, dtype=torch.float64),
    ... )
    >>> stump(torch.tensor([[-5.0], [5.0]]))
    tensor([-1.,  1.])
    """

    def __init__(
        self,
        feature: Int64[Tensor, "T N"],
        threshold: Float64[Tensor, "T N"],
        left: Int64[Tensor, "T N"],
        right: Int64[Tensor, "T N"],
        value: Float64[Tensor, "T N K"],
        offset: Float64[Tensor, " K"],
        scale: float = 1.0,
        link: Link = "identity",
    ) -> None:
        super().__init__()
        if link not in LINKS:
            raise InputError(f"link is one of {', '.join(LINKS)}; got {link!r}.")
        tensors = {"feature": feature, "threshold": threshold, "left": left, "right": right, "value": value}
        tensors |= {"offset": offset, "scale": torch.tensor(scale, dtype=torch.float64)}
        for name, tensor in {**tensors, "link": torch.tensor(LINKS.index(link))}.items():
            self.register_buffer(name, tensor)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "Trees":
        """The trees of a state dict, whatever their number and size.

        Raises: InputError if it is not one of trees.
        """
        try:
            rest = {
                name: state[name] for name in ("feature", "threshold", "left", "right", "value", "offset")
            }
            return cls(**rest, scale=float(state["scale"]), link=LINKS[int(state["link"])])  # pyright: ignore[reportArgumentType]
        except (KeyError, IndexError) as error:
            raise InputError(f"these tensors are not trees: {error} is missing or unknown.") from error

    def forward(self, x: Float[Tensor, "B p"]) -> Float[Tensor, "B *K"]:
        """Outputs (B,) for one output or the link "logit", else (B, K), in float32.

        Raises: ShapeError if rows are no vectors, or too short.
        """
        feature, value = self.get_buffer("feature"), self.get_buffer("value")
        if x.ndim != 2 or x.shape[1] <= int(feature.max()):
            raise ShapeError(
                f"trees take rows of at least {int(feature.max()) + 1} features, (B, p); got {tuple(x.shape)}."
            )
        leaf_BT = self._leaves(x)
        sums = value[torch.arange(len(feature), device=x.device), leaf_BT].sum(1)
        out_BK = self.get_buffer("offset") + self.get_buffer("scale") * sums
        link = LINKS[int(self.get_buffer("link"))]
        if link != "identity":
            out_BK = out_BK.clamp(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
            out_BK = out_BK[:, 1].logit() if link == "logit" else out_BK.log()
        return (out_BK[:, 0] if out_BK.ndim == 2 and out_BK.shape[1] == 1 else out_BK).float()

    def _leaves(self, x: Float[Tensor, "B p"]) -> Int64[Tensor, "B T"]:
        feature, threshold, left, right = (
            self.get_buffer(name) for name in ("feature", "threshold", "left", "right")
        )
        tree = torch.arange(len(feature), device=x.device)
        node_BT = torch.zeros(len(x), len(feature), dtype=torch.int64, device=x.device)
        while True:
            goes_left = x.gather(1, feature[tree, node_BT]) <= threshold[tree, node_BT]
            below_BT = torch.where(goes_left, left[tree, node_BT], right[tree, node_BT])
            if torch.equal(below_BT, node_BT):
                return node_BT
            node_BT = below_BT
