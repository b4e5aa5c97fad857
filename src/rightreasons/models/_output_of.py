"""One output of a model that returns several."""

from collections.abc import Callable
from typing import Any, final

from torch import Tensor, nn

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError


@final
@checked
class OutputOf(nn.Module):
    """A model that returns a dict, tuple or object, as one that returns the tensor that is meant.

    Everything here takes models that return a tensor, or whose output has `logits`, as those of Hugging Face. For any
    other, say which output is meant; train and explain the wrapped model. Its layers are `model.` and their own name.

    Args:
        model: the model.
        which: a key or attribute by name, a position, or a function of the model's output.

    Raises:
        InputError: at the call, if there is no such output.

    Example:
        >>> import torch
        >>> network = torch.nn.LSTM(3, 2, batch_first=True)
        >>> OutputOf(network, lambda outputs: outputs[0].select(1, -1))(torch.zeros(5, 4, 3)).shape
        torch.Size([5, 2])
    """

    def __init__(self, model: nn.Module, which: str | int | Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.model, self.which = model, which

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The output that is meant."""
        outputs = self.model(*args, **kwargs)
        if callable(self.which):
            return self.which(outputs)
        try:
            named = isinstance(self.which, str) and hasattr(outputs, self.which)
            found = getattr(outputs, str(self.which)) if named else outputs[self.which]
        except (LookupError, TypeError) as error:
            keys = f" with {', '.join(map(repr, outputs))}" if hasattr(outputs, "keys") else ""
            raise InputError(
                f"OutputOf: the model returns {type(outputs).__name__}{keys}, which has no output {self.which!r}."
            ) from error
        if not isinstance(found, Tensor):
            raise InputError(
                f"OutputOf: output {self.which!r} is {type(found).__name__}, not a tensor. Pass a function."
            )
        return found
