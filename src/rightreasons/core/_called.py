"""Call the caller's model and return its output as one tensor, or raise one clear error."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from rightreasons.core._errors import InputError, TargetError

_MISMATCH = (
    "dtype",
    "scalar type",
    "Input type",
    "same device",
    "to be on",
    "weight type",
    "Byte, Char, Short",
)
_ONE_VALUE = "Expected more than 1 value per channel"


def called(model: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """What the model returns as a tensor: itself, or the `logits` of an output of Hugging Face.

    Raises:
        TargetError: the model returns something else.
        InputError: its inputs have a dtype or device that its weights have not, indices outside its embeddings, or one
            row where batch norm is being trained.
    """
    return tensor_of(run(model, args, kwargs))


def run(model: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What the model returns, whatever it is; errors as in `called`."""
    try:
        return model(*args, **kwargs)
    except IndexError as error:
        ids = [part for part in args if isinstance(part, Tensor) and not part.is_floating_point()]
        if not ids:
            raise
        sizes = sorted({m.num_embeddings for m in _modules(model) if isinstance(m, nn.Embedding)})
        raise InputError(
            f"the model cannot look up its inputs: indices go from {int(ids[0].min())} to {int(ids[0].max())} in rows "
            f"of {tuple(ids[0].shape[1:])}, and its embeddings have sizes {sizes}. Take ids of its own vocabulary, and "
            "rows not longer than its positions."
        ) from error
    except ValueError as error:
        if not str(error).startswith(_ONE_VALUE):
            raise
        raise InputError(
            "batch norm in training mode normalises by the other rows of a batch, and this one has a single row. Give "
            "two rows at least, DataLoader(drop_last=True) for the last batch, or call model.eval()."
        ) from error
    except RuntimeError as error:
        if any(word in str(error) for word in _MISMATCH):
            _refuse_mismatch(model, args, error)
        raise


def _refuse_mismatch(model: Callable[..., Any], args: tuple[Any, ...], error: RuntimeError) -> None:
    """Raise an `InputError` if inputs and weights differ in dtype or device; other errors are the model's own."""
    weights = next((p for m in _modules(model) for p in m.parameters() if p.is_floating_point()), None)
    inputs = [part for part in args if isinstance(part, Tensor)]
    kinds = sorted({f"{part.dtype} on {part.device}" for part in inputs})
    if weights is not None and kinds == [f"{weights.dtype} on {weights.device}"]:
        return
    have = "others" if weights is None else f"{weights.dtype} on {weights.device}"
    fix = (
        "Convert: x.to(weight)"
        if weights is None
        else f"Convert the inputs, x.to({str(weights.device)!r}, {weights.dtype}), or the model, model.to(x)"
    )
    raise InputError(
        f"the inputs are {', '.join(kinds)} and the model's weights {have}: they cannot be multiplied. {fix}."
    ) from error


def _modules(model: Callable[..., Any]) -> list[nn.Module]:
    return list(model.modules()) if isinstance(model, nn.Module) else []


def tensor_of(outputs: Any) -> Tensor:
    """A model's output as one tensor.

    Raises: TargetError where it is none and has no `logits`, with the outputs to choose from.
    """
    if isinstance(outputs, Tensor):
        return outputs
    logits = getattr(outputs, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    which = "lambda outputs: ..."
    if isinstance(outputs, Mapping) and outputs:
        which = repr(next(iter(outputs)))
    elif isinstance(outputs, tuple | list) and outputs:
        which = "0"
    named = f" of {', '.join(map(repr, outputs))}" if isinstance(outputs, Mapping) else ""
    raise TargetError(
        f"the model must return a tensor; got {type(outputs).__name__}{named}. Say which output is meant: "
        f"rr.models.OutputOf(model, {which})."
    )
