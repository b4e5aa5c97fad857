"""The function whose gradient is taken: from inputs or an activation to one score per row."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rightreasons.core._called import called, run
from rightreasons.core._errors import DifferentiabilityError, InputError, ShapeError
from rightreasons.core._inputs import Inputs, as_tuple, check_inputs, wide
from rightreasons.core._score import Output, Score, Target, check_rows
from rightreasons.core.model._guard import Model
from rightreasons.core.model._keywords import Keywords, declared_per_row, keywords, plain
from rightreasons.core.model._layers import LayerChoice, layers_run
from rightreasons.core.model._rows import check_follow
from rightreasons.core.model._view import with_values

ROWS_AT_ONCE = 512
"""Most model rows in one forward pass when a call does not say `chunk`, and no graph has to be kept."""
FEWEST_AT_ONCE = 16
"""As many of them however large a row is."""
NUMBERS_AT_ONCE = 2**19
"""Numbers in the rows of one forward pass, between the two: beyond, activations leave the processor's caches and the
allocator's reach, which costs a fifth of the time on small images, and memory grows for nothing."""


class Block(NamedTuple):
    """Rows `start:stop` of the batch, each repeated `repeats` times in a row."""

    start: int
    stop: int
    repeats: int = 1

    def take(self, tensor: Tensor) -> Tensor:
        """These rows of a per-row tensor."""
        rows = tensor[self.start : self.stop]
        return rows if self.repeats == 1 else rows.repeat_interleave(self.repeats, dim=0)


class ScoreFunction:
    """`points -> scores`, row by row, for one call of an attribution.

    `points` are the model's inputs, or, with `at`, the output of the named layer: then the model runs on its inputs
    and the layer's output is replaced. `evaluations` counts the model rows that ran.

    Args:
        model: a module or a callable, already guarded.
        inputs: batch first; integers only with `at`.
        target: which output of each row is explained.
        output: how the score is made of it.
        at: name of a submodule, as in `model.named_modules()`, or a choice among those that run for the first row.
        model_kwargs: passed to the model; see `keywords` for which follow the rows.
        connected: keep the graph from inputs and parameters to the points (second-order use).
        chunk: most model rows in a forward pass over the batch; None: all of them if connected, else `rows_at_once`.
    """

    def __init__(
        self,
        model: Model,
        inputs: Inputs,
        target: Target,
        *,
        output: Output = "logit",
        at: str | LayerChoice | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        connected: bool = False,
        chunk: int | None = None,
    ) -> None:
        self.batch = check_inputs(inputs, integers_allowed=at is not None)
        self.model = model
        self._keywords: Keywords | None = None
        self.score = Score(_recordable(target), output)
        self.connected = connected
        self.chunk = chunk or (self.batch if connected else rows_at_once(inputs))
        self._checked = self._followed = self._layer_followed = False
        self.inputs = tuple(self._usable(part) for part in as_tuple(inputs))
        self._model_kwargs = {name: _recordable(value) for name, value in plain(model_kwargs).items()}
        self._declared = model_kwargs
        declared_per_row(model_kwargs, self.batch)
        self.evaluations = 0
        self.at = self._chosen(at) if callable(at) else at
        self.layer = None if self.at is None else _submodule(model, self.at)
        self.points = tuple(wide(part) for part in self.activations(self.inputs, Block(0, self.batch)))

    def _usable(self, part: Tensor) -> Tensor:
        part = _recordable(part)
        return part if self.connected else part.detach()

    def _chosen(self, choice: LayerChoice) -> str:
        first = tuple(part[:1].clone() for part in self.inputs)
        self.evaluations += 1
        return choice(layers_run(self.model, first, self._kwargs_of(Block(0, 1))))

    @property
    def precision(self) -> torch.dtype:
        """What the network computes in: under autocast less than its inputs have."""
        x = self.inputs[0]
        kind = x.device.type
        return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype

    @property
    def keywords(self) -> Keywords:
        """Which keywords follow the rows; that is found out when other rows than those of the batch first run."""
        if self._keywords is None:
            found = keywords(self.model, self.inputs, self._declared)
            self.evaluations += found.evaluations
            self._keywords = replace(found, values=self._model_kwargs)
        return self._keywords

    @property
    def per_row_kwargs(self) -> bool:
        """Whether some keyword of the model belongs to a row, as an attention mask does."""
        return bool(self.keywords.per_row)

    def activations(self, inputs: tuple[Tensor, ...], block: Block | None = None) -> tuple[Tensor, ...]:
        """The points that belong to other inputs (a baseline, references): themselves, or what reaches the layer.

        Args:
            inputs: rows of model inputs.
            block: which rows of the batch they go with; None if with none, then per-row keywords are the first row's.
        """
        if self.layer is None:
            return inputs
        if block is None:
            self._check_shared(inputs)
        rows = inputs[0].shape[0]
        parts = []
        for start in range(0, rows, self.chunk):
            stop = min(start + self.chunk, rows)
            part = Block(0, 1, stop - start) if block is None else Block(start, stop)
            parts.append(self._activation(tuple(x[start:stop] for x in inputs), part))
        return (parts[0] if len(parts) == 1 else torch.cat(parts),)

    def _activation(self, inputs: tuple[Tensor, ...], block: Block) -> Tensor:
        kwargs, rows = self._kwargs_of(block), inputs[0].shape[0]
        found = self._reached(inputs, kwargs)
        check_rows(found, rows)
        if not self._layer_followed:
            self._layer_followed = True

            def run(few: list[int]) -> Tensor:
                return self._reached(_rows(inputs, few), self.keywords.of(lambda t: block.take(t)[few]))

            check_follow(found, found.shape[1:], run, most=self.chunk, what=f"layer {self.at!r}")
        return found

    def _reached(self, inputs: tuple[Tensor, ...], kwargs: dict[str, Any]) -> Tensor:
        """What reaches the layer from model inputs."""
        if self.layer is None:
            raise InputError("without at= there is no layer to read.")
        self.evaluations += inputs[0].shape[0]
        with torch.set_grad_enabled(self.connected), _captured(self.layer, self.at or "") as captured:
            try:
                run(self.model, tuple(x.clone() for x in inputs), kwargs)
            except _Captured:
                pass
        if not captured:
            raise DifferentiabilityError(f"layer {self.at!r} is not used in the model's forward pass.")
        return captured[0]

    def _check_shared(self, references: tuple[Tensor, ...]) -> None:
        """Raise unless a reference reaches the layer alike whichever row's keywords go with it."""
        if not self.per_row_kwargs or self.batch == 1:
            return
        which = torch.arange(self.batch) % references[0].shape[0]
        drawn = tuple(r[which.to(r.device)] for r in references)
        with torch.no_grad():
            first = self._activation(drawn, Block(0, 1, self.batch))
            own = self._activation(drawn, Block(0, self.batch))
        if float((first - own).abs().max()) > 1e-2 * float(first.abs().max()):
            raise InputError(
                f"what reaches layer {self.at!r} from a reference depends on model_kwargs that differ from row to "
                "row, so references have no activation of their own there. Name a layer before the keyword is used "
                "(the embedding), or explain one row at a time."
            )

    def outputs(
        self, points: tuple[Tensor, ...], block: Block, parameters: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """The model's output at `points`, which stand for the rows of `block`."""
        inputs = self.inputs if self.layer is None else tuple(block.take(x) for x in self.inputs)
        outputs = self._outputs(points, inputs, self._kwargs_of(block), parameters)
        check_rows(outputs, points[0].shape[0])
        if not self._followed:
            self._followed = True
            self._check_followed(outputs, points, block)
        return outputs

    def _outputs(
        self,
        points: tuple[Tensor, ...],
        inputs: tuple[Tensor, ...],
        kwargs: dict[str, Any],
        parameters: Mapping[str, Tensor] | None = None,
    ) -> Any:
        """At points that stand for some model inputs, of which without a layer only the precision matters."""
        model, layer = self._run_with(parameters)
        self.evaluations += points[0].shape[0]
        if layer is None:
            # Cloned: a model that works in place must change neither the caller's tensors nor what is derived by.
            arguments = tuple(p.to(x.dtype).clone() for p, x in zip(points, inputs, strict=True))
            return called(model, arguments, kwargs)
        with _replaced(layer, points[0], self.at or ""):
            return called(model, tuple(x.clone() for x in inputs), kwargs)

    def _check_followed(self, outputs: Tensor, points: tuple[Tensor, ...], block: Block) -> None:
        def outputs_of(few: list[int]) -> Any:
            inputs = tuple(block.take(x)[few] for x in self.inputs)
            return self._outputs(_rows(points, few), inputs, self.keywords.of(lambda t: block.take(t)[few]))

        lengths = {*outputs.shape[1:], *(size for x in (*points, *self.inputs) for size in x.shape[1:])}
        check_follow(outputs, lengths, outputs_of, most=self.chunk)

    def outputs_of_batch(self, points: tuple[Tensor, ...]) -> Tensor:
        """The model's output at one point for every row of the batch, at most `chunk` rows at once."""
        blocks = [Block(i, min(i + self.chunk, self.batch)) for i in range(0, self.batch, self.chunk)]
        parts = [self.outputs(tuple(p[b.start : b.stop] for p in points), b) for b in blocks]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def scores(
        self, points: tuple[Tensor, ...], block: Block, parameters: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """The score at `points`, which stand for the rows of `block`: shape (rows of the block,)."""
        return self.scores_of(self.outputs(points, block, parameters), block)

    def scores_of(self, outputs: Tensor, block: Block) -> Tensor:
        """The score of model outputs that stand for the rows of `block`."""
        score = self.score.per_row(block.take)
        if not self._checked:
            self.score.per_row(lambda t: t).check(
                outputs[:1].expand(self.batch, *outputs.shape[1:]), self.batch
            )
            score.check(outputs, (block.stop - block.start) * block.repeats)
            self._checked = True
        return score(outputs)

    def _run_with(self, parameters: Mapping[str, Tensor] | None) -> tuple[Model, nn.Module | None]:
        """The model with these parameters, and the layer in it."""
        if parameters is None:
            return self.model, self.layer
        if not isinstance(self.model, nn.Module):
            raise DifferentiabilityError("parameters can be replaced in an nn.Module only.")
        model = with_values(self.model, parameters)
        return model, None if self.at is None else _submodule(model, self.at)

    def _kwargs_of(self, block: Block) -> dict[str, Any]:
        return self._model_kwargs if block == (0, self.batch, 1) else self.keywords.of(block.take)


def rows_at_once(inputs: Inputs) -> int:
    """Model rows in one forward pass that does not have to keep a graph, by how large a row is."""
    numbers = sum(part[:1].numel() for part in as_tuple(inputs))
    return max(FEWEST_AT_ONCE, min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // max(1, numbers)))


def _rows(parts: tuple[Tensor, ...], few: list[int]) -> tuple[Tensor, ...]:
    return tuple(part[few] for part in parts)


def _recordable(value: Any) -> Any:
    """`value`, or a copy autograd can save if it was made in inference mode."""
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


def _submodule(model: Model, name: str) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise InputError(
            f"at={name!r} names a layer, so the model must be an nn.Module; got {type(model).__name__}."
        )
    names = dict(model.named_modules())
    if name in names and name:
        return names[name]
    close = get_close_matches(name, names, n=3) or [n for n in names if n][:5]
    raise InputError(
        f"the model has no layer {name!r}. Closest: {', '.join(close)}. All: dict(model.named_modules())."
    )


class _Captured(BaseException):
    """Ends a forward pass whose rest is not needed."""


@contextmanager
def _captured(layer: nn.Module, name: str) -> Iterator[list[Tensor]]:
    found: list[Tensor] = []

    def capture(_module: nn.Module, _args: Any, output: Any) -> None:
        found.append(_first(output, name))
        raise _Captured

    handle = layer.register_forward_hook(capture)
    try:
        yield found
    finally:
        handle.remove()


@contextmanager
def _replaced(layer: nn.Module, value: Tensor, name: str) -> Iterator[None]:
    calls = 0

    def replace(_module: nn.Module, _args: Any, output: Any) -> Any:
        nonlocal calls
        calls += 1
        first = _first(output, name)
        if first.shape != value.shape:
            raise ShapeError(
                f"layer {name!r} gave {tuple(first.shape)} where {tuple(value.shape)} was put in its place: "
                "the shape of its output must not depend on anything but the rows."
            )
        new = value.to(first.dtype).clone()  # the next layer may work in place, which a leaf cannot bear
        return (new, *output[1:]) if isinstance(output, tuple) else new

    handle = layer.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
    if calls > 1:
        raise DifferentiabilityError(
            f"layer {name!r} runs {calls} times in one forward pass, so 'its activation' is not one tensor. "
            "Give each use its own module."
        )


def _first(output: Any, name: str) -> Tensor:
    first = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(first, Tensor) or not first.is_floating_point() or first.dim() == 0:
        raise InputError(
            f"layer {name!r} returns {type(first).__name__}, not a floating-point tensor with rows first: "
            "name a layer whose output (or first output) is one."
        )
    return first
