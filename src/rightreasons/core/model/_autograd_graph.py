"""Walk the autograd graph between an output and its inputs, operation by operation.

The tape is the model as it ran: modules, functions and operators, in place or not, used once or often, all look the
same on it. Methods that change backward passes read it to know that they have seen every operation.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.autograd.function import BackwardCFunction


@dataclass(frozen=True, eq=False)
class Operation:
    """One node of the tape.

    Attributes:
        node: autograd's own object; `node.register_hook` changes what it passes back, for this tape only.
        name: as autograd calls it, e.g. "ReluBackward0".
        inputs: positions among its differentiable inputs that come from the leaves.
    """

    node: Any
    name: str
    inputs: tuple[int, ...]

    @property
    def is_custom(self) -> bool:
        """Whether it is a `torch.autograd.Function` written in Python (or compiled code)."""
        return isinstance(self.node, BackwardCFunction)

    @property
    def kind(self) -> str:
        """Its name without the words that autograd adds: "Relu"."""
        return self.name.rstrip("0123456789").removesuffix("Backward")

    def saved(self, name: str) -> Any:
        """A value the operation kept for its backward, or None."""
        return getattr(self.node, f"_saved_{name}", None)


def operations(output: Tensor, leaves: Sequence[Tensor]) -> list[Operation]:
    """Every operation on a way from one of `leaves` to `output`, first to last.

    Cost: one walk over the tape. Args: `output` with a graph; `leaves`, leaf tensors that require grad. Returns: none
    where the output does not depend on the leaves; accumulation into the leaves themselves is not listed.
    """
    wanted = {id(leaf) for leaf in leaves}
    reached: dict[Any, bool] = {}
    found = []
    for node in _postorder(output.grad_fn):
        variable = getattr(node, "variable", None)
        if variable is not None:
            reached[node] = id(variable) in wanted
            continue
        inputs = tuple(i for i, (other, _) in enumerate(node.next_functions) if other and reached[other])
        reached[node] = bool(inputs)
        if inputs:
            found.append(Operation(node, node.name().rpartition("::")[2], inputs))
    return found


def _postorder(root: Any, known: Container[Any] = ()) -> Iterator[Any]:
    """Nodes below and including `root` that are not known, inputs first; deep networks would exhaust a recursion."""
    done: set[Any] = set()
    stack = [] if root is None or root in known else [(root, False)]
    while stack:
        node, is_expanded = stack.pop()
        if is_expanded:
            yield node
        elif node not in done and node not in known:
            done.add(node)
            stack.append((node, True))
            stack.extend(
                (other, False)
                for other, _ in node.next_functions
                if other and other not in done and other not in known
            )


_MOVES = frozenset(
    (
        *("View", "UnsafeView", "ReshapeAlias", "Alias", "AsStrided", "Permute", "Transpose", "T", "Squeeze"),
        *(
            "Unsqueeze",
            "Expand",
            "Repeat",
            "RepeatInterleave",
            "Cat",
            "Stack",
            "Split",
            "SplitWithSizes",
            "Unbind",
        ),
        *(
            "Slice",
            "Select",
            "Index",
            "IndexSelect",
            "Gather",
            "Narrow",
            "Diagonal",
            "Flip",
            "Roll",
            "Unfold",
            "Clone",
        ),
        *("ToCopy", "Contiguous", "CopyBackwards", "CopySlices", "PixelShuffle", "PixelUnshuffle", "Im2Col"),
        *("ConstantPadNd", "ReflectionPad1D", "ReflectionPad2D", "ReflectionPad3D"),
        *("ReplicationPad1D", "ReplicationPad2D", "ReplicationPad3D"),
    )
)
_AFFINE = frozenset(
    (
        *("Add", "Sub", "Rsub", "Neg", "Mean", "Sum", "Cumsum", "AvgPool2D", "AvgPool3D", "Col2Im"),
        *("AdaptiveAvgPool2D", "AdaptiveAvgPool3D", "MkldnnAdaptiveAvgPool2D"),
        *("UpsampleNearest1D", "UpsampleNearest2D", "UpsampleNearest3D", "UpsampleNearestExact2D"),
        *("UpsampleLinear1D", "UpsampleBilinear2D", "UpsampleTrilinear3D", "UpsampleBicubic2D"),
        "BackwardHookFunction",  # where somebody's full backward hook on a module looks on
    )
)
_ONE_FACTOR = {
    "Mul": (0, 1),
    "Mm": (0, 1),
    "Bmm": (0, 1),
    "Mv": (0, 1),
    "Dot": (0, 1),
    "Linear": (0, 1),
    "Addmm": (1, 2),
    "Addmv": (1, 2),
    "Baddbmm": (1, 2),
    "Addbmm": (1, 2),
    "Div": (1, 1),
    "Convolution": (0, 1),
    "NativeBatchNorm": (0, 1),
    "CudnnBatchNorm": (0, 1),
    "MiopenBatchNorm": (0, 1),
}


def moves(operation: Operation) -> bool:
    """Whether it only moves and copies numbers: each of its outputs is one of its inputs, or a constant."""
    return operation.kind in _MOVES


def is_linear(operation: Operation) -> bool:
    """Whether it is linear, up to a constant, in what comes from the leaves.

    Products count as long as one factor comes from the leaves, batch-norm as long as it uses running statistics.
    A factor that depends on the data without autograd knowing, x * (x > 0), is not noticed.
    """
    if moves(operation) or operation.kind in _AFFINE:
        return True
    factors = _ONE_FACTOR.get(operation.kind)
    if factors is None or operation.saved("training"):
        return False
    left, right = factors
    return right not in operation.inputs if left == right else not {left, right} <= set(operation.inputs)


class Reach:
    """Whether a tensor was computed from some leaves, or by way of some operations; each node is looked at once.

    Args:
        leaves: tensors that require grad.
        through: names of operations.
    """

    def __init__(self, leaves: Sequence[Tensor], through: Sequence[str] = ()) -> None:
        self.leaves, self.through = {id(leaf) for leaf in leaves}, frozenset(through)
        self.known: dict[Any, bool] = {}

    def __call__(self, tensor: Tensor | None) -> bool:
        """Whether it does; None does not."""
        if tensor is None or not tensor.requires_grad:
            return False
        if tensor.grad_fn is None:
            return id(tensor) in self.leaves
        for node in _postorder(tensor.grad_fn, self.known):
            variable = getattr(node, "variable", None)
            if variable is not None:
                self.known[node] = id(variable) in self.leaves
            else:
                below = any(self.known[other] for other, _ in node.next_functions if other)
                self.known[node] = below or node.name() in self.through
        return self.known[tensor.grad_fn]
