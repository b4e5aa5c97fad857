"""Attacks on predictions: FGSM and projected gradient descent (PGD)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from rightreasons.attacks._ball import Ball, Bounds, Search, row_generators
from rightreasons.attacks._labels import Counter, Labels, Rows, first_outputs
from rightreasons.attacks._losses import Loss, row_losses
from rightreasons.attacks._norms import Linf, Norm
from rightreasons.core._called import called
from rightreasons.core._checked import Count, checked
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core.model._grad import score_gradients
from rightreasons.core.model._guard import Model, explaining
from rightreasons.core.model._keywords import keywords


@dataclass(frozen=True, eq=False)
class PredictionAttack:
    """What an attack on predictions found.

    Attributes:
        adversarial: the perturbed inputs, (B, *F).
        success: rows that are not predicted as their label any more (targeted: predicted as the target), (B,). Rows
            that were so before the attack count: one minus the mean is the robust accuracy.
        clean: the same of the inputs as given, (B,).
        loss: at the perturbed inputs, as climbed, (B,).
        evaluations: model rows that ran forward; all but the last step's also ran backward.
    """

    adversarial: Float[Tensor, "B *F"]
    success: Bool[Tensor, "B"]
    clean: Bool[Tensor, "B"]
    loss: Float[Tensor, "B"]
    evaluations: int


@final
@checked
@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class PGD(Search):
    """Projected gradient ascent on a loss from random points of the ball [madry2018].

        x <- project(x + step_size * steepest(d loss(f(x), y) / d x))

    All restarts of all rows run as one batch. Kept is, for each row, the iterate after a step that is a success, and
    among several the one with the largest loss; the input, where only that is a success.

    Cost: steps + 1 forward and steps backward passes of restarts rows.

    Args:
        eps: radius in units of the inputs, a number or a tensor (*F).
        norm: `Linf()`, `L2()` or `L1()`.
        steps: gradient steps of each start.
        step_size: in units of the inputs; None: 2.5 eps / steps.
        restarts: independent starts of each row.
        random_start: start at a uniform point of the ball, else at the input.
        bounds: smallest and largest valid value; None: no bounds.
        mask: features that may change, a bool tensor; None: all.
        loss: "cross_entropy", "margin" (the difference of logits ratio [croce2020]) or a function (outputs, y) ->
            (N,) that grows as the label becomes less likely.
        targeted: y are the labels to reach, and the loss is descended.

    Raises:
        InputError: a number is out of range, bounds are inverted, inputs lie outside of them.

    Example:
        >>> import torch
        >>> x, y = torch.tensor([[0.2, 0.5]]), torch.tensor([1])
        >>> PGD(eps=0.25, steps=3, bounds=(0.0, 1.0))(torch.nn.Identity(), x, y)
        tensor([[0.4500, 0.2500]])
    """

    loss: Loss = "cross_entropy"
    targeted: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.loss) and self.loss not in ("cross_entropy", "margin"):
            raise InputError(
                f"loss is 'cross_entropy', 'margin' or a function (outputs, y) -> (N,); got {self.loss!r}."
            )

    def __call__(
        self,
        model: Model,
        x: Float[Tensor, "B *F"],
        y: Shaped[Tensor, "B"],
        *,
        generator: torch.Generator | None = None,
        chunk: Count | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> Float[Tensor, "B *F"]:
        """The perturbed inputs; arguments as in `run`."""
        return self.run(model, x, y, generator=generator, chunk=chunk, model_kwargs=model_kwargs).adversarial

    def run(
        self,
        model: Model,
        x: Float[Tensor, "B *F"],
        y: Shaped[Tensor, "B"],
        *,
        generator: torch.Generator | None = None,
        chunk: Count | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
    ) -> PredictionAttack:
        """The perturbed inputs with what is known about them.

        Args:
            model: a classifier, batch first: (B, classes), or (B,) or (B, 1) logits; attacked in eval mode and left as
                found.
            x: inputs.
            y: labels; with `targeted`, those to reach.
            generator: CPU generator of the random starts; None advances the global one.
            chunk: most model rows in one forward pass; None: all rows and restarts at once.
            model_kwargs: passed to the model; as for an attribution.
        """
        ball = self.ball(x)
        counter, generators = Counter(), row_generators(len(x), generator)
        with explaining(model, second_order=False) as network:
            rows = Rows(keywords(network, (ball.x,), model_kwargs), len(x))
            network = counter.watch(network)
            everything = torch.arange(len(x), device=x.device)
            outputs = first_outputs(network, ball.x, rows, chunk)
            labels = Labels.checked(y, outputs, len(x))
            step = max(1, chunk // self.restarts) if chunk else len(x)
            parts = [
                self._block(network, ball, labels, rows, index, [generators[i] for i in index])
                for index in everything.split(step)
            ]
        adversarial, loss, success = (torch.cat(p) for p in zip(*parts, strict=True))
        clean = self._succeeded(outputs, labels)
        # The input itself is in the ball: a row that fails there is not robust because every step repaired it.
        enough = clean & ~success
        adversarial = torch.where(enough.reshape(-1, *(1,) * (x.dim() - 1)), ball.x, adversarial)
        loss = torch.where(enough, self._losses(outputs, labels), loss)
        return PredictionAttack(adversarial, success | clean, clean, loss, counter.rows)

    def _block(
        self,
        network: Model,
        ball: Ball,
        labels: Labels,
        rows: Rows,
        index: Tensor,
        generators: list[torch.Generator],
    ) -> tuple[Tensor, Tensor, Tensor]:
        repeated = index.repeat_interleave(self.restarts)
        ball, labels, kwargs = ball.rows(repeated), labels.of(repeated), rows.of(repeated)
        draws = [g for g in generators for _ in range(self.restarts)]
        point = ball.random(draws) if self.random_start else ball.x
        best, best_loss, best_success = point, *_worst(point)
        for step in range(self.steps + 1):
            last = step == self.steps
            leaf = point.detach().requires_grad_()
            outputs = called(network, (leaf.clone(),), kwargs)
            losses = self._losses(outputs, labels)
            if step > 0:
                success = self._succeeded(outputs, labels)
                value = losses.detach()
                better = (success & ~best_success) | ((success == best_success) & (value > best_loss))
                best = torch.where(better.reshape(-1, *(1,) * (point.dim() - 1)), point, best)
                best_loss = torch.where(better, value, best_loss)
                best_success = best_success | success
            if not last:
                (gradient,) = score_gradients(losses, [leaf])
                # Where outputs are NaN the label is lost and no gradient is left: the row stays there.
                gradient[outputs.reshape(len(outputs), -1).isnan().any(1)] = 0
                point = ball.step(point, gradient, self.step_share())
        return self._best_restarts(best, best_loss, best_success)

    def _losses(self, outputs: Tensor, labels: Labels) -> Tensor:
        losses = row_losses(self.loss, outputs, labels)
        if losses.shape != (len(outputs),):
            raise ShapeError(
                f"loss must return one number for each row, ({len(outputs)},); got {tuple(losses.shape)}. Use "
                "reduction='none'."
            )
        return -losses if self.targeted else losses

    def _succeeded(self, outputs: Tensor, labels: Labels) -> Tensor:
        predicted = labels.predicted(outputs.detach())
        return predicted if self.targeted else ~predicted

    def _best_restarts(self, point: Tensor, loss: Tensor, success: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = self.restarts
        losses, successes = loss.reshape(-1, count), success.reshape(-1, count)
        candidates = successes | ~successes.any(1, keepdim=True)
        chosen = losses.masked_fill(~candidates, -torch.inf).argmax(1)
        flat = torch.arange(len(chosen), device=loss.device) * count + chosen
        return point[flat], loss[flat], success[flat]


def _worst(point: Tensor) -> tuple[Tensor, Tensor]:
    loss = torch.full((len(point),), -torch.inf, dtype=point.dtype, device=point.device)
    return loss, torch.zeros(len(point), dtype=torch.bool, device=point.device)


@checked
def FGSM(
    *,
    eps: float | Tensor,
    norm: Norm = Linf(),  # noqa: B008  (a frozen value without fields)
    bounds: Bounds | None = None,
    mask: Tensor | None = None,
    loss: Loss = "cross_entropy",
    targeted: bool = False,
) -> PGD:
    """One step of the whole radius along the gradient of the loss: `PGD` with one step from the input [goodfellow2015].

        x + eps * sign(d loss(f(x), y) / d x)

    Cost: three forward passes and one backward pass.

    Args:
        eps: radius in units of the inputs, a number or a tensor (*F).
        norm: `Linf()`, `L2()` or `L1()`.
        bounds: smallest and largest valid value; None: no bounds.
        mask: features that may change, a bool tensor; None: all.
        loss: as in `PGD`.
        targeted: y are the labels to reach.

    Returns:
        The attack, to be called with the model.

    Raises:
        InputError: as `PGD`.

    Example:
        >>> import torch
        >>> x, y = torch.tensor([[0.2, 0.5]]), torch.tensor([1])
        >>> FGSM(eps=0.25)(torch.nn.Identity(), x, y)
        tensor([[0.4500, 0.2500]])
    """
    return PGD(
        eps=eps,
        norm=norm,
        steps=1,
        random_start=False,
        bounds=bounds,
        mask=mask,
        loss=loss,
        targeted=targeted,
    )
