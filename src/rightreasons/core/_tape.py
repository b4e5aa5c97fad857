"""What autograd recorded between an output and the tensors it was computed from, operation by operation.

The tape is the model as it ran: modules, functions and operators, in place or not, used once or often, all look the
same on it. Methods that change backward passes read it to know that they have seen every operation.
"""

from collections.abc import Iterator, Sequence
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


def _postorder(root: Any) -> Iterator[Any]:
    """Nodes below and including `root`, inputs first; without recursion, which deep networks would exhaust."""
    done: set[Any] = set()
    stack = [] if root is None else [(root, False)]
    while stack:
        node, is_expanded = stack.pop()
        if is_expanded:
            yield node
        elif node not in done:
            done.add(node)
            stack.append((node, True))
            stack.extend((other, False) for other, _ in node.next_functions if other and other not in done)
