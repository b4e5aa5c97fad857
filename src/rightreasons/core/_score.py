"""The explained score: (output, target) -> one number per row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rightreasons.core._called import tensor_of
from rightreasons.core._checked import check_dense
from rightreasons.core._errors import TargetError

Output: TypeAlias = Literal[
    "logit", "probability", "log_probability", "sum_log_probability", "margin", "loss"
]
Target: TypeAlias = int | tuple[int, ...] | Tensor | Callable[[Tensor], Tensor] | None
OUTPUTS: tuple[str, ...] = get_args(Output)


@dataclass(frozen=True, eq=False)
class Score:
    """The scalar of each row that is explained.

    With z the model's output, classes along dimension 1, and y the target:

    | output                | several outputs              | one output (a logit)                     |
    |-----------------------|------------------------------|------------------------------------------|
    | `logit`               | z_y                          | z                                        |
    | `probability`         | softmax(z)_y                 | sigmoid(z)                               |
    | `log_probability`     | log softmax(z)_y             | log sigmoid(z)                           |
    | `sum_log_probability` | sum_c log softmax(z)_c       | log sigmoid(z) + log sigmoid(-z)         |
    | `margin`              | z_y - max_{c != y} z_c       | z                                        |
    | `loss`                | -log softmax(z)_y            | softplus(z) - y z (binary cross-entropy) |

    Args:
        target: an int or a tuple of ints (the same output for every row), a tensor (B,) of class indices or (B, D)
            of indices into D output dimensions, a callable from the output to (B,) or (B, 1), or None for one output.
        output: a name of the table.
    """

    target: Target
    output: Output = "logit"

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            raise TargetError(f"output must be one of {', '.join(OUTPUTS)}; got {self.output!r}.")
        if not (
            self.target is None or isinstance(self.target, int | tuple | Tensor) or callable(self.target)
        ):
            raise TargetError(
                f"a target is None, an int, a tuple of ints, an integer tensor or a callable; got "
                f"{type(self.target).__name__}. Convert arrays and lists: target=torch.as_tensor(y)."
            )
        if isinstance(self.target, tuple) and not all(isinstance(index, int) for index in self.target):
            raise TargetError(
                f"a tuple target holds one int for each output dimension; got {self.target!r}. For an output that "
                "differs from row to row pass a tensor of shape (B, D)."
            )
        if isinstance(self.target, Tensor):
            check_dense(self.target, "targets", TargetError)
        if callable(self.target) and not isinstance(self.target, Tensor) and self.output != "logit":
            raise TargetError(
                f"a callable target is the whole score, so output={self.output!r} would be ignored. "
                "Apply it inside the callable and leave output='logit'."
            )

    def per_row(self, rows: Callable[[Tensor], Tensor]) -> "Score":
        """The score of other rows: `rows` selects and repeats along the first dimension of a target tensor."""
        if isinstance(self.target, Tensor) and self.target.dim() > 0:
            return Score(rows(self.target), self.output)
        return self

    def check(self, outputs: Any, batch: int) -> None:
        """Raise a `TargetError` unless the target selects one number for each of `batch` rows."""
        check_rows(outputs, batch)
        if self.output != "logit" and outputs.dim() > 2 and outputs.shape[1] == 1 and outputs[0].numel() > 1:
            raise TargetError(
                f"output={self.output!r} compares classes along dimension 1, but an output of shape "
                f"{tuple(outputs.shape)} has one: its softmax is constant and its maps would be zero. "
                "Pass the score as a callable, e.g. target=lambda z: z[:, 0].sigmoid().flatten(1).mean(1)."
            )
        if isinstance(self.target, Tensor):
            self._check_tensor(self.target, outputs, batch)
        elif self.output == "loss" and outputs[0].numel() == 1 and isinstance(self.target, int):
            _check_labels(torch.tensor(self.target))
        elif isinstance(self.target, (int, tuple)):
            index = self.target if isinstance(self.target, tuple) else (self.target,)
            _check_range(torch.tensor(index)[None], outputs)
        elif self.target is None and self.output != "sum_log_probability" and outputs[0].numel() != 1:
            raise TargetError(
                f"the model has outputs of shape {tuple(outputs.shape[1:])}: say which is explained, "
                "e.g. target=y with class indices y of shape (B,)."
            )
        if self.target is None and self.output == "loss":
            raise TargetError("output='loss' needs labels: pass target=y.")

    def _check_tensor(self, target: Tensor, outputs: Tensor, batch: int) -> None:
        if target.dim() > 0 and target.shape[0] != batch:
            raise TargetError(f"target of shape {tuple(target.shape)} does not match {batch} input rows.")
        if self.output == "loss" and outputs[0].numel() == 1:
            if target.numel() not in (1, batch):
                raise TargetError(
                    f"labels of shape {tuple(target.shape)} do not match {batch} rows of one output."
                )
            _check_labels(target)
            return
        if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
            raise TargetError(
                f"a target is a class index (an integer tensor); got {target.dtype}. Labels and targets differ: "
                "a regression or one-logit model has one output, so pass target=None."
            )
        index = target.reshape(1, 1) if target.dim() == 0 else target.reshape(target.shape[0], -1)
        _check_range(index, outputs)

    def __call__(self, outputs: Float[Tensor, "B ..."]) -> Float[Tensor, "B"]:
        """The score of each row, in float32 at least."""
        if outputs.dtype in (torch.float16, torch.bfloat16):
            outputs = outputs.float()
        if callable(self.target) and not isinstance(self.target, Tensor):
            return self._called(self.target, outputs)
        if outputs.dim() == 1 or outputs[0].numel() == 1:
            return self._single(outputs.reshape(outputs.shape[0]))
        return self._selected(_transform(outputs, self.output))

    def _called(self, target: Callable[[Tensor], Tensor], outputs: Tensor) -> Tensor:
        score = target(outputs)
        rows = outputs.shape[0]
        if isinstance(score, Tensor) and (score.shape == (rows, 1) or (rows == 1 and score.dim() == 0)):
            return score.reshape(rows)
        if not isinstance(score, Tensor) or score.shape != (rows,):
            got = tuple(score.shape) if isinstance(score, Tensor) else type(score).__name__
            raise TargetError(
                f"a callable target must map the output to one score per row, ({rows},) or ({rows}, 1); got {got}."
            )
        return score

    def _single(self, z: Tensor) -> Tensor:
        if self.output == "probability":
            return torch.sigmoid(z)
        if self.output == "log_probability":
            return F.logsigmoid(z)
        if self.output == "sum_log_probability":
            return F.logsigmoid(z) + F.logsigmoid(-z)
        if self.output == "loss":
            label = torch.as_tensor(self.target, dtype=z.dtype, device=z.device).reshape(-1)
            return F.softplus(z) - label * z
        return z

    def _selected(self, values: Tensor) -> Tensor:
        if self.output == "sum_log_probability":
            scores = values.sum(1)
        elif isinstance(self.target, Tensor) and self.target.dim() > 0:
            index = (
                self.target.to(values.device).long().reshape(self.target.shape[0], -1)
            )  # bytes would be a mask
            scores = values[(torch.arange(values.shape[0], device=values.device), *index.unbind(1))]
        else:
            index = self.target if isinstance(self.target, tuple) else (int(self.target),)  # pyright: ignore[reportArgumentType]
            scores = values[(slice(None), *index)]
        if scores.dim() != 1:
            raise TargetError(
                f"the target leaves {tuple(scores.shape[1:])} values for each row of an output of shape "
                f"{tuple(values.shape)}: give one index for each output dimension, or a callable."
            )
        return scores

    def at_each(self, outputs: Float[Tensor, "R ..."], batch: int) -> Float[Tensor, "B R"]:
        """For each of `batch` rows, that row's score of each of the R rows of `outputs`."""
        target = self.target
        if not isinstance(target, Tensor) or target.dim() == 0:
            return self(outputs).expand(batch, -1)
        values, inverse = torch.unique(target.reshape(batch, -1), dim=0, return_inverse=True)
        shape = (outputs.shape[0], *target.shape[1:])
        scores = [Score(v.expand(outputs.shape[0], -1).reshape(shape), self.output)(outputs) for v in values]
        return torch.stack(scores)[inverse.to(outputs.device)]


def check_rows(outputs: Any, rows: int) -> None:
    """Raise a `TargetError` unless a model's `outputs` are a tensor with one row for each of `rows` input rows."""
    tensor_of(outputs)
    if outputs.is_complex():
        raise TargetError(
            f"the model must return real numbers to be explained; got {outputs.dtype}. Say what of them is meant: "
            "lambda x: model(x).abs()."
        )
    if outputs.dim() == 0 or outputs.shape[0] != rows:
        raise TargetError(
            f"the model must return one row for each input row: got output {tuple(outputs.shape)} for {rows} rows. "
            "A bare .squeeze() in the model drops a batch of one: say which dimension, e.g. .squeeze(1)."
        )


def _check_labels(labels: Tensor) -> None:
    low, high = float(labels.min()), float(labels.max())
    if not (low >= 0 and high <= 1):
        raise TargetError(
            f"output='loss' of a one-output model is the binary cross-entropy, whose labels lie in [0, 1]; got "
            f"[{low:g}, {high:g}]. Recode them, or pass your own loss as a callable target."
        )


def _check_range(index: Tensor, outputs: Tensor) -> None:
    sizes = tuple(outputs.shape[1:]) or (1,)
    if index.shape[1] > len(sizes):
        raise TargetError(f"a target of {index.shape[1]} indices cannot index an output of shape {sizes}.")
    for dimension, size in enumerate(sizes[: index.shape[1]]):
        low, high = int(index[:, dimension].min()), int(index[:, dimension].max())
        if low < 0 or high >= size:
            hint = " A one-output model takes target=None." if sizes == (1,) else ""
            raise TargetError(
                f"target index {low if low < 0 else high} is out of range for {size} outputs (dimension "
                f"{dimension + 1}).{hint}"
            )


def _transform(z: Tensor, output: Output) -> Tensor:
    if output == "probability":
        return z.softmax(1)
    if output in ("log_probability", "sum_log_probability"):
        return z.log_softmax(1)
    if output == "loss":
        return -z.log_softmax(1)
    if output == "margin":
        best = z.topk(2, dim=1)
        first, second = best.values.split(1, dim=1)
        is_first = torch.zeros_like(z, dtype=torch.bool).scatter(1, best.indices[:, :1], True)
        return z - torch.where(is_first, second, first)
    return z
