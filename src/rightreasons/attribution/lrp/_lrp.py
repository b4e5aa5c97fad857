"""Layer-wise relevance propagation (LRP)."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from rightreasons.attribution._attribution import Advice, Axioms
from rightreasons.attribution._blockwise import Blockwise, Part, as_leaves, blocks
from rightreasons.attribution.lrp._relevance import Relevance, is_understood
from rightreasons.attribution.lrp._rules import Epsilon, Rule
from rightreasons.core._checked import checked
from rightreasons.core._errors import DifferentiabilityError, InputError
from rightreasons.core._inputs import row_totals
from rightreasons.core._suggest import did_you_mean
from rightreasons.core.model._autograd_graph import Operation, operations
from rightreasons.core.model._function import Block, ScoreFunction
from rightreasons.core.model._grad import vector_jacobian
from rightreasons.core.model._guard import Model, each_module

EPSILON = Epsilon()


@final
@checked
@dataclass(frozen=True, repr=False)
class LRP(Blockwise):
    """Relevance of the output, handed back layer by layer until it reaches the input [bach2015], [montavon2019].

        R_j = sum_k z_jk / (sum_j z_jk) R_k,  z_jk the (modified) term of input j in output k of a linear layer

    The output's relevance is its value. Layers share theirs by a rule; activations pass it on; sums (residual adds),
    means and average pooling share it in proportion to their terms, max-pooling gives it to the largest entry. A
    constant that is added or multiplied outside a layer takes none. Batch-norm directly behind a linear layer is taken
    as part of that layer (the model is not touched), elsewhere as a layer of its own.
    Full backward hooks on modules are passed over, as what flows back is relevance and no gradient.
    Products of two activations, softmax, attention and normalisation over features are refused by name.
    `explain(...).gap` is f(x) minus the sum of the map: what biases and epsilon took.
    Cost: one forward and about three backward passes.

    Args:
        rule: of every layer not named below: `Epsilon()`, `Gamma()`, `AlphaBeta()`, `ZPlus()`, `ZBox()` or `Flat()`.
        rules: pairs of a layer's name, or of its type's, or a pattern of either ("features.*", "Conv*"), and a rule;
            the first that fits counts.
        first: rule of the layers that read what is explained, before all others: `ZBox(low, high)` for pixels, or
            `Flat()`.
        merge_norms: take batch-norm directly behind a linear layer as part of it.
        at: name of the layer whose activation is explained instead of the input.

    Raises:
        InputError: an entry of `rules` fits no layer that ran, or is no pair of a name and a rule.
        DifferentiabilityError: with `create_graph=True`; the model has an operation without a rule.

    Example:
        >>> import torch, rightreasons as rr
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Linear(2, 3, bias=False), torch.nn.ReLU(), torch.nn.Linear(3, 1, bias=False)
        ... )
        >>> x = torch.tensor([[1.0, -2.0]])
        >>> maps = rr.LRP(rules=(("0", rr.Gamma(0.1)),))(model, x)
        >>> torch.allclose(maps.sum(), model(x).sum(), atol=1e-4)
        True
    """

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=False,
        dummy=True,
        implementation_invariant=False,
        linear=False,
        differentiable=False,
        note="Sums to f(x) without biases, or with rules that ignore them (ZBox, Flat). Dummy without Flat and ZBox.",
    )
    advice: ClassVar[Advice] = Advice(
        "you know which rule suits which layer, as for VGG-like networks",
        "rules are unknown for the model, or methods are compared without tuning",
    )
    instead: ClassVar[str] = "Use rr.InputTimesGradient() or rr.IntegratedGradients() in training."

    rule: Rule = EPSILON
    rules: tuple[tuple[str, Rule], ...] = ()
    first: Rule | None = None
    merge_norms: bool = True
    at: str | None = None

    def __post_init__(self) -> None:
        for pair in self.rules:
            good = isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)
            if not (good and isinstance(pair[1], Rule)):
                raise InputError(
                    "rules are pairs of the name of a layer or of its type and a rule, "
                    f'such as (("Conv*", rr.ZPlus()),); got {pair!r}.'
                )
        if not isinstance(self.rule, Rule) or not isinstance(self.first, Rule | None):
            raise InputError(
                f"rule and first must be rules such as rr.Epsilon(); got {self.rule!r}, {self.first!r}."
            )

    def pieces(self, function: ScoreFunction, chunk: int) -> Iterator[Part]:
        for block, points in blocks(function, chunk):
            maps, gap = self._relevance(function, points, block)
            yield Part(maps, len(points[0]), gap)

    def _relevance(
        self, function: ScoreFunction, points: tuple[Tensor, ...], block: Block
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        leaves = as_leaves(points)
        chosen = _Chosen(self)
        with chosen.following(function.model), Relevance(leaves, chosen.rule, merge_norms=self.merge_norms):
            scores = function.scores(leaves, block)
        chosen.check()
        for operation in operations(scores, leaves):
            _refuse(operation)
        maps = _handed_back(scores, leaves)
        return maps, scores.detach() - row_totals(maps)


def _handed_back(scores: Tensor, leaves: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if not scores.requires_grad:
        raise DifferentiabilityError(
            "the output does not depend on what is explained by way of any operation autograd records "
            "(detach, argmax, rounding, torch.no_grad), so no relevance gets back there."
        )
    try:
        maps = vector_jacobian([scores], leaves, [scores.detach()])
    except RuntimeError as error:
        if "modified by an inplace operation" not in str(error):
            raise
        raise DifferentiabilityError(
            "the model overwrites the input of a layer that LRP still needs. Replace that operation in place "
            "(x += y, relu_) by one that is not."
        ) from error
    return tuple(torch.zeros_like(x) if part is None else part for part, x in zip(maps, leaves, strict=True))


def _refuse(operation: Operation) -> None:
    if not is_understood(operation):
        raise DifferentiabilityError(
            f"LRP has no rule for {operation.kind} ({operation.name}): products of two activations, softmax and "
            "attention, normalisation over features, recurrent kernels and custom functions have none here. "
            "Explain a layer behind it (at=), or use rr.IntegratedGradients(), which needs no rules."
        )


class _Chosen:
    """Which rule each layer gets, by the module that is running when a linear function is called."""

    def __init__(self, method: LRP) -> None:
        self.method = method
        self.running: list[tuple[str, tuple[str, ...]]] = []
        self.met: set[str] = set()
        self.fitted: set[str] = set()

    @contextmanager
    def following(self, model: Model) -> Iterator[None]:
        """Follow which modules of `model` run."""
        names = {m: name for name, m in model.named_modules()} if isinstance(model, nn.Module) else {}

        def enter(module: nn.Module, *_: Any) -> None:
            kinds = tuple(kind.__name__ for kind in type(module).__mro__[:-2])
            self.running.append((names.get(module, ""), kinds))

        def leave(*_: Any) -> None:
            self.running.pop()

        def follow(module: nn.Module) -> Callable[[], None]:
            entering = module.register_forward_pre_hook(enter, prepend=True)
            leaving = module.register_forward_hook(leave, always_call=True)
            # Hooks on gradients, which would be given relevance: the maps must not depend on who looks on.
            looking_on = {name: vars(module)[name] for name in ("_backward_hooks", "_backward_pre_hooks")}
            vars(module).update({name: OrderedDict() for name in looking_on})

            def undo() -> None:
                entering.remove()
                leaving.remove()
                vars(module).update(looking_on)

            return undo

        with each_module(model, follow):
            yield

    def rule(self, reads_input: bool) -> Rule:
        """The rule of the layer that is being called."""
        name, kinds = self.running[-1] if self.running else ("", ())
        self.met.update((name, kinds[0]) if kinds else ())
        fitting = [pair for pair in self.method.rules if any(fnmatchcase(n, pair[0]) for n in (name, *kinds))]
        self.fitted.update(pattern for pattern, _ in fitting)
        if reads_input and self.method.first is not None:
            return self.method.first
        return fitting[0][1] if fitting else self.method.rule

    def check(self) -> None:
        """Raise an `InputError` if some entry fitted nothing."""
        for pattern, rule in self.method.rules:
            if pattern not in self.fitted:
                raise InputError(
                    f"no layer that ran is called {pattern!r}, nor its type, so {rule!r} would be used nowhere. "
                    f"{did_you_mean(pattern, self.met - {''})}"
                )
