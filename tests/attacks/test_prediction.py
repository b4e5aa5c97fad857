"""PGD against a loop over rows and steps that anyone can check by eye."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rightreasons.attacks import FGSM, L2, PGD, Linf, Loss, Norm
from rightreasons.core._errors import DifferentiabilityError, InputError, ShapeError, TargetError
from tests.attacks.networks import NORMS, check_untouched, cnn, copies, generator, mlp, rows


def naive_pgd(model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int) -> Tensor:
    """Sign steps from the input, one row at a time; the iterate kept is wrong first, then of largest loss."""
    results = []
    for row, label in zip(x, y, strict=True):
        here, best, best_key = row, row, (False, -float("inf"))
        for _ in range(steps):
            leaf = here.clone().requires_grad_()
            F.cross_entropy(model(leaf[None]), label[None]).backward()
            assert leaf.grad is not None
            here = here + step * leaf.grad.sign()
            here = torch.minimum(torch.maximum(here, row - eps), row + eps).clamp(0, 1)
            with torch.no_grad():
                z = model(here[None])
            key = (bool(z.argmax() != label), float(F.cross_entropy(z, label[None])))
            if key > best_key:
                best, best_key = here, key
        results.append(best)
    return torch.stack(results)


@pytest.mark.parametrize(("model", "row"), [(mlp(), (6,)), (cnn(), (2, 6, 6))], ids=["mlp", "cnn"])
def test_batched_pgd_equals_one_row_at_a_time(model: nn.Module, row: tuple[int, ...]) -> None:
    x = rows(7, *row)
    y = torch.arange(7) % 3
    attack = PGD(eps=0.2, step_size=0.05, steps=8, random_start=False, bounds=(0.0, 1.0))
    torch.testing.assert_close(attack(model, x, y), naive_pgd(model, x, y, 0.2, 0.05, 8), rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS, ids=repr)
@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_attacks_lower_accuracy(norm: Norm, loss: Loss) -> None:
    model, x = mlp(nn.Tanh), rows(40, 6)
    y = model(x).argmax(1)
    radius = {"Linf": 0.3, "L2": 0.7, "L1": 1.5}[type(norm).__name__]
    found = PGD(eps=radius, norm=norm, loss=loss, steps=20).run(model, x, y, generator=generator())
    assert not bool(found.clean.any())
    assert float(found.success.double().mean()) > 0.3
    assert torch.equal(found.success, model(found.adversarial).argmax(1) != y)


def test_more_restarts_never_hurt_and_are_really_different() -> None:
    model, x = mlp(), rows(30, 6)
    y = model(x).argmax(1)
    one = PGD(eps=0.15, steps=3).run(model, x, y, generator=generator())
    many = PGD(eps=0.15, steps=3, restarts=8).run(model, x, y, generator=generator())
    assert bool((many.success | ~one.success).all())
    same = many.success == one.success
    assert bool((many.loss[same] >= one.loss[same] - 1e-12).all())
    assert bool((many.loss > one.loss + 1e-9).any())


def test_a_success_is_kept_before_a_larger_loss() -> None:
    # From x = 0 the loss falls while the label is lost: the callable rewards staying.
    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return outputs[:, 1] - 10 * (outputs[:, 1] > outputs[:, 0]).to(outputs)

    x, y = torch.tensor([[0.1, 0.0]]), torch.tensor([0])
    found = PGD(eps=1.0, steps=4, step_size=0.06, loss=loss, random_start=False).run(nn.Identity(), x, y)
    assert bool(found.success)


def test_fgsm_is_one_signed_step() -> None:
    model, x = mlp(nn.Tanh), rows(5, 6)
    y = torch.tensor([0, 1, 2, 0, 1])
    leaf = x.clone().requires_grad_()
    F.cross_entropy(model(leaf), y).backward()
    assert leaf.grad is not None
    torch.testing.assert_close(FGSM(eps=0.1)(model, x, y), x + 0.1 * leaf.grad.sign())


def test_targeted_attacks_reach_the_wanted_label() -> None:
    model, x = mlp(nn.Tanh), rows(20, 6)
    wanted = (model(x).argmax(1) + 1) % 3
    found = PGD(eps=0.8, targeted=True, loss="margin").run(model, x, wanted, generator=generator())
    assert float(found.success.double().mean()) > 0.3
    assert torch.equal(found.success, model(found.adversarial).argmax(1) == wanted)


@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
@pytest.mark.parametrize("shape", [(), (1,)], ids=["(B,)", "(B, 1)"])
def test_one_logit_models_have_labels_zero_and_one(loss: Loss, shape: tuple[int, ...]) -> None:
    weights = torch.tensor([1.0, -2.0])

    def model(x: Tensor) -> Tensor:
        return (x @ weights).reshape(-1, *shape)

    x = torch.tensor([[0.5, 0.1], [0.1, 0.5]])
    for y in (torch.tensor([1, 0]), torch.tensor([1.0, 0.0])):
        found = PGD(eps=0.4, loss=loss, steps=5).run(model, x, y)
        assert found.success.all()
        torch.testing.assert_close(found.adversarial - x, 0.4 * torch.tensor([[-1.0, 1.0], [1.0, -1.0]]))


def test_two_class_margin_is_the_difference_of_logits() -> None:
    x, y = torch.tensor([[0.2, 0.5]]), torch.tensor([1])
    assert PGD(eps=0.25, loss="margin", steps=2).run(nn.Identity(), x, y).loss == pytest.approx(0.2)


def test_margin_does_not_depend_on_the_scale_of_the_logits() -> None:
    model, x = mlp(), rows(6, 6)
    y = model(x).argmax(1)
    attack = PGD(eps=0.1, loss="margin", steps=4)
    plain = attack.run(model, x, y, generator=generator())
    scaled = attack.run(lambda x: 1e3 * model(x), x, y, generator=generator())
    torch.testing.assert_close(plain.adversarial, scaled.adversarial)
    torch.testing.assert_close(plain.loss, scaled.loss)


def test_same_generator_same_result_whatever_the_chunk_and_the_global_state() -> None:
    model, x = mlp(), rows(7, 6)
    y, attack = torch.arange(7) % 3, PGD(eps=0.2, restarts=3, steps=4)
    first = attack(model, x, y, generator=generator())
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert torch.equal(attack(model, x, y, generator=generator()), first)
    torch.testing.assert_close(attack(model, x, y, generator=generator(), chunk=5), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(attack(model, x, y), attack(model, x, y))


def test_evaluations_are_the_rows_that_ran() -> None:
    model, x = mlp(), rows(4, 6)
    found = PGD(eps=0.1, steps=5, restarts=3).run(model, x, torch.zeros(4).long())
    assert found.evaluations == 4 + 4 * 3 * 6


@settings(max_examples=30)
@given(
    norm=st.sampled_from(NORMS),
    eps=st.floats(0, 0.8),
    loss=st.sampled_from(["cross_entropy", "margin"]),
    restarts=st.integers(1, 3),
    targeted=st.booleans(),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    training=st.booleans(),
)
def test_invariants(
    norm: Norm,
    eps: float,
    loss: Loss,
    restarts: int,
    targeted: bool,
    seed: int,
    dtype: torch.dtype,
    training: bool,
) -> None:
    model, x, y = (
        cnn().to(dtype).train(training),
        rows(3, 2, 6, 6, seed=seed).to(dtype),
        torch.tensor([0, 1, 2]),
    )
    values, clean = copies(model), x.clone()
    ball = {"norm": norm, "eps": eps, "bounds": (0.0, 1.0)}
    attack = PGD(**ball, steps=3, loss=loss, restarts=restarts, targeted=targeted)
    with torch.no_grad():
        found, again = (attack.run(model, x, y, generator=generator(seed)) for _ in range(2))
    assert bool((norm.size(found.adversarial.double() - x.double()) <= eps).all())
    assert float(found.adversarial.min()) >= 0
    assert float(found.adversarial.max()) <= 1
    assert torch.equal(found.success, (model(found.adversarial).argmax(1) == y) == targeted)
    assert torch.equal(found.adversarial, again.adversarial)
    assert torch.equal(x, clean)
    check_untouched(model, values, training)


def test_keywords_follow_their_rows() -> None:
    def model(x: Tensor, shift: Tensor, scale: float) -> Tensor:
        return scale * (x + shift)

    def together(rows: Tensor) -> Tensor:  # the shift as further features, which may not change
        return 2 * (rows[:, :3] + rows[:, 3:])

    x, shift, y = rows(4, 3), rows(4, 3, seed=2), torch.tensor([0, 1, 2, 0])
    attack = PGD(eps=0.05, steps=3, random_start=False)
    got = attack(model, x, y, chunk=3, model_kwargs={"shift": shift, "scale": 2.0})
    frozen = PGD(eps=0.05, steps=3, random_start=False, mask=torch.arange(6) < 3)
    torch.testing.assert_close(got, frozen(together, torch.cat([x, shift], 1), y)[:, :3])


def test_eps_zero_changes_nothing() -> None:
    x = rows(3, 6)
    assert torch.equal(PGD(eps=0.0)(mlp(), x, torch.tensor([0, 1, 2])), x)


@pytest.mark.usefixtures("without_type_checks")
def test_labels_must_be_those_of_a_classifier() -> None:
    x = rows(3, 6)
    for y, message in (
        (torch.tensor([0, 1, 3]), r"3 outputs are whole numbers from 0 to 2; got values from 0 to 3"),
        (torch.tensor([0.5, 1.0, 0.0]), "whole numbers from 0 to 2"),
        (torch.tensor([[0], [1], [2]]), r"one label for each of 3 rows, y of shape \(3,\); got \(3, 1\)"),
    ):
        with pytest.raises(TargetError, match=message):
            PGD(eps=0.1)(mlp(), x, y)
    with pytest.raises(TargetError, match=r"outputs are \(B, classes\), \(B, 1\) or \(B,\); got \(3, 2, 3\)"):
        PGD(eps=0.1)(nn.Unflatten(1, (2, 3)), x, torch.tensor([0, 1, 0]))
    with pytest.raises(TargetError, match="whole numbers from 0 to 1"):
        PGD(eps=0.1)(lambda x: x[:, 0], x, torch.tensor([0, 1, 2]))


def test_losses_are_one_number_for_each_row() -> None:
    with pytest.raises(ShapeError, match=r"loss must return one number for each row, \(3,\); got \(\)"):
        PGD(eps=0.1, loss=F.cross_entropy)(mlp(), rows(3, 6), torch.tensor([0, 1, 2]))


@pytest.mark.usefixtures("without_type_checks")
def test_losses_have_names() -> None:
    with pytest.raises(InputError, match=r"loss is 'cross_entropy', 'margin' or a function.*got 'dlr'"):
        PGD(eps=0.1, loss="dlr")  # pyright: ignore[reportArgumentType]


def test_fgsm_checks_its_fields() -> None:
    assert repr(FGSM(eps=0.1, norm=Linf())) == "PGD(eps=0.1, steps=1, random_start=False)"
    with pytest.raises(InputError, match="eps is the radius"):
        FGSM(eps=-1.0)


@pytest.mark.parametrize("targeted", [False, True])
def test_a_row_that_is_wrong_before_is_not_robust_because_steps_repair_it(targeted: bool) -> None:
    def model(x: Tensor) -> Tensor:  # class 0 in a narrow pocket around 0, else class 1
        return torch.cat([torch.zeros_like(x), x.abs() - 0.01], 1)

    x, y = torch.zeros(4, 1, dtype=torch.float64), torch.full((4,), 0 if targeted else 1)
    attack = PGD(eps=0.5, step_size=0.4, steps=2, targeted=targeted)
    found = attack.run(model, x, y, generator=generator())
    assert bool(found.clean.all())
    assert bool(found.success.all())
    assert torch.equal(found.success, (model(found.adversarial).argmax(1) == y) == targeted)
    sign = -1 if targeted else 1
    torch.testing.assert_close(
        found.loss, sign * F.cross_entropy(model(found.adversarial), y, reduction="none")
    )


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("outputs", [1, 2])
def test_outputs_that_are_nan_keep_no_label(label: int, outputs: int) -> None:
    def model(x: Tensor) -> Tensor:
        logit = (2 * label - 1) * (0.5 + (x - 0.3).sqrt())  # the label wherever there is one: NaN below .3
        return logit if outputs == 1 else torch.cat([-logit, logit], 1)

    x, y = torch.full((4, 1), 0.31, dtype=torch.float64), torch.full((4,), label)
    found = PGD(eps=0.3, steps=4, restarts=3).run(model, x, y, generator=generator())
    assert not bool(found.clean.any())
    assert bool(found.success.all())
    assert bool(model(found.adversarial).isnan().any(1).all())


def test_a_gradient_that_is_nan_is_an_error_and_no_robustness() -> None:
    def model(x: Tensor) -> Tensor:
        length = x.square().sum(1, keepdim=True).sqrt()  # no derivative at 0
        return torch.cat([1 - length, length], 1)

    x, y = torch.tensor([[0.0, 0.0], [0.1, 0.1]]), torch.tensor([0, 0])
    with pytest.raises(DifferentiabilityError, match="gradient is NaN in 1 of 2 rows.*add a small number"):
        PGD(eps=0.1, random_start=False)(model, x, y)


def test_an_infinite_gradient_is_the_steepest_there_is() -> None:
    x = torch.tensor([[0.0, 0.5]])

    def model(x: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(x)), x[:, 0].sqrt() + x[:, 1]], 1)

    moved = PGD(eps=0.1, steps=1, norm=L2(), random_start=False)(model, x, torch.tensor([0]))
    torch.testing.assert_close(moved, x + torch.tensor([[0.1, 0.0]]), atol=1e-6, rtol=0)


def test_chunks_hold_a_row_at_least() -> None:
    with pytest.raises(InputError, match="chunk must be a whole number of at least 1.*; got 0"):
        PGD(eps=0.1)(mlp(), rows(3, 6), torch.tensor([0, 1, 2]), chunk=0)
