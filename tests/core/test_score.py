"""Which number is explained: every output of every shape against plain Python numbers, every refusal by its words."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rightreasons.core._errors import TargetError
from rightreasons.core._score import OUTPUTS, Score, check_rows
from tests.oracles import score_of_row

ROWS, CLASSES, TIMES = 4, 3, 2


def outputs(*shape: int) -> Tensor:
    return torch.randn(ROWS, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2


def classes(high: int = CLASSES) -> Tensor:
    return torch.randint(high, (ROWS,), generator=torch.Generator().manual_seed(1))


def close(got: Tensor, wanted: list[float]) -> None:
    torch.testing.assert_close(got, torch.tensor(wanted, dtype=torch.float64), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)], ids=str)
def test_one_output(output: Any, shape: tuple[int, ...]) -> None:
    z, labels = outputs(*shape), torch.tensor([0, 1, 1, 0])
    target = labels if output == "loss" else None
    score = Score(target, output)
    score.check(z, ROWS)
    close(score(z), [score_of_row(z[b], int(labels[b]), output) for b in range(ROWS)])


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.uint8])
def test_a_class_for_each_row(output: Any, dtype: torch.dtype) -> None:
    z, target = outputs(CLASSES), classes().to(dtype)
    score = Score(target, output)
    score.check(z, ROWS)
    close(score(z), [score_of_row(z[b], int(target[b]), output) for b in range(ROWS)])


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("target", [2, (2,), torch.tensor(2), torch.full((ROWS, 1), 2)], ids=repr)
def test_the_same_class_in_every_spelling(output: Any, target: Any) -> None:
    z = outputs(CLASSES)
    score = Score(target, output)
    score.check(z, ROWS)
    close(score(z), [score_of_row(z[b], 2, output) for b in range(ROWS)])


@pytest.mark.parametrize("output", [each for each in OUTPUTS if each != "sum_log_probability"])
def test_several_output_dimensions(output: Any) -> None:
    z, c = outputs(CLASSES, TIMES), classes()
    t = torch.tensor([0, 1, 1, 0])
    score = Score(torch.stack([c, t], 1), output)
    score.check(z, ROWS)
    close(score(z), [score_of_row(z[b, :, int(t[b])], int(c[b]), output) for b in range(ROWS)])
    same = Score((1, 0), output)
    same.check(z, ROWS)
    close(same(z), [score_of_row(z[b, :, 0], 1, output) for b in range(ROWS)])


def test_labels_of_one_output_may_be_soft_and_a_number() -> None:
    z = outputs(1)
    soft = torch.tensor([0.2, 0.0, 1.0, 0.7], dtype=torch.float64)
    score = Score(soft, "loss")
    score.check(z, ROWS)
    p = z[:, 0].sigmoid()
    close(score(z), (-soft * p.log() - (1 - soft) * (1 - p).log()).tolist())
    for label in (0, 1):
        number = Score(label, "loss")
        number.check(z, ROWS)
        close(number(z), [score_of_row(z[b], label, "loss") for b in range(ROWS)])


def test_sum_of_log_probabilities_needs_no_target() -> None:
    z = outputs(CLASSES)
    Score(None, "sum_log_probability").check(z, ROWS)
    close(Score(None, "sum_log_probability")(z), [score_of_row(r, None, "sum_log_probability") for r in z])


def test_a_callable_is_the_whole_score() -> None:
    z = outputs(CLASSES)
    score = Score(lambda out: out[:, 0] * out[:, 1])
    score.check(z, ROWS)
    assert torch.equal(score(z), z[:, 0] * z[:, 1])


def test_margin_of_ties_and_of_the_winner() -> None:
    z = torch.tensor([[2.0, 2.0, 0.0], [5.0, 1.0, 3.0]], dtype=torch.float64, requires_grad=True)
    score = Score(torch.tensor([0, 0]), "margin")(z)
    assert score.tolist() == [0.0, 2.0]
    (grad,) = torch.autograd.grad(score.sum(), z)
    assert grad.tolist() == [[1, -1, 0], [1, 0, -1]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_outputs_are_scored_in_float32(dtype: torch.dtype) -> None:
    assert Score(0, "log_probability")(outputs(CLASSES).to(dtype)).dtype == torch.float32


@pytest.mark.parametrize("output", OUTPUTS)
def test_large_logits_do_not_overflow(output: Any) -> None:
    z = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    score = Score(torch.tensor([0, 0]), output)(z)
    one = Score(torch.tensor([0.0, 1.0]) if output == "loss" else None, output)(z[:, :1])
    assert score.isfinite().all()
    assert one.isfinite().all()
    assert torch.autograd.grad(score.sum() + one.sum(), z)[0].isfinite().all()


def test_rows_are_selected_and_repeated_with_the_target() -> None:
    target = classes()
    repeated = Score(target).per_row(lambda t: t.repeat_interleave(2, dim=0))
    z = outputs(CLASSES).repeat_interleave(2, dim=0)
    assert torch.equal(repeated(z), Score(target)(outputs(CLASSES)).repeat_interleave(2))
    assert Score(1).per_row(lambda t: t[:0]).target == 1


@pytest.mark.parametrize("output", ["logit", "probability", "margin", "loss"])
@pytest.mark.parametrize("shape", [(CLASSES,), (CLASSES, TIMES), (1,)], ids=str)
def test_at_each_reference_it_is_each_rows_own_score(output: Any, shape: tuple[int, ...]) -> None:
    at_references = torch.randn(7, *shape, dtype=torch.float64)
    target = classes(2)
    if len(shape) == 2:
        target = torch.stack([target, classes(2)], 1)
    if shape == (1,) and output != "loss":
        target = torch.zeros(ROWS, dtype=torch.int64)
    got = Score(target, output).at_each(at_references, ROWS)
    for b in range(ROWS):
        row = target[b : b + 1].expand(7, *target.shape[1:])
        torch.testing.assert_close(got[b], Score(row, output)(at_references), rtol=1e-12, atol=1e-12)


def test_at_each_reference_of_one_target_for_all() -> None:
    at_references = torch.randn(7, CLASSES, dtype=torch.float64)
    for target in (1, (1,), torch.tensor(1), lambda z: z[:, 1]):
        got = Score(target).at_each(at_references, ROWS)
        torch.testing.assert_close(got, at_references[:, 1].expand(ROWS, -1))


def checked_score(target: Any, output: Any, z: Any) -> Tensor:
    score = Score(target, output)
    score.check(z, ROWS)
    return score(z)


WRONG: dict[str, tuple[Any, str, Any, str]] = {
    "callable and output": (
        lambda z: z[:, 0],
        "loss",
        outputs(CLASSES),
        "a callable target is the whole score",
    ),
    "callable of wrong shape": (
        lambda z: z,
        "logit",
        outputs(CLASSES),
        r"one score per row, \(4,\) or \(4, 1\); got \(4, 3\)",
    ),
    "callable of a number": (lambda z: 1.0, "logit", outputs(CLASSES), "got float"),
    "no tensor": (0, "logit", (outputs(CLASSES), 1), "must return a tensor; got tuple"),
    "number": (0, "logit", outputs(CLASSES).sum(), r"got output \(\) for 4 rows.*squeeze"),
    "other rows": (0, "logit", outputs(CLASSES)[:3], r"got output \(3, 3\) for 4 rows"),
    "none of several": (None, "logit", outputs(CLASSES), r"outputs of shape \(3,\): say which is explained"),
    "loss without labels": (None, "loss", outputs(1), "output='loss' needs labels"),
    "rows": (classes()[:3], "logit", outputs(CLASSES), r"target of shape \(3,\) does not match 4 input rows"),
    "float": (classes().double(), "logit", outputs(CLASSES), "class index .*got torch.float64"),
    "bool": (classes().bool(), "logit", outputs(CLASSES), "class index .*got torch.bool"),
    "complex": (
        classes().to(torch.complex64),
        "logit",
        outputs(CLASSES),
        "targets must hold real numbers .*got torch.complex64",
    ),
    "too large": (3, "logit", outputs(CLASSES), "target index 3 is out of range for 3 outputs"),
    "negative": (-1, "logit", outputs(CLASSES), "target index -1 is out of range"),
    "one row too large": (
        torch.tensor([0, 1, 2, 3]),
        "logit",
        outputs(CLASSES),
        "target index 3 is out of range",
    ),
    "last row negative": (torch.tensor([0, 1, 2, -1]), "margin", outputs(CLASSES), "target index -1 is out"),
    "class of one output": (1, "logit", outputs(1), "A one-output model takes target=None"),
    "second dimension": (
        (0, 2),
        "logit",
        outputs(CLASSES, TIMES),
        r"out of range for 2 outputs \(dimension 2\)",
    ),
    "too many indices": ((0, 1), "logit", outputs(CLASSES), "2 indices cannot index an output of shape"),
    "too few indices": (0, "logit", outputs(CLASSES, TIMES), r"leaves \(2,\) values for each row"),
    "too few in a tensor": (
        classes(),
        "logit",
        outputs(CLASSES, TIMES),
        r"leaves \(2,\) values for each row",
    ),
    "sum of several dimensions": (
        None,
        "sum_log_probability",
        outputs(CLASSES, TIMES),
        r"leaves \(2,\) values",
    ),
    "labels of wrong shape": (
        torch.zeros(ROWS, 2),
        "loss",
        outputs(1),
        r"labels of shape \(4, 2\) do not match 4",
    ),
    "labels not binary": (
        torch.tensor([0, 1, 2, 1]),
        "loss",
        outputs(1),
        r"labels lie in \[0, 1\]; got \[0, 2\]",
    ),
    "label not binary": (-1, "loss", outputs(1), r"labels lie in \[0, 1\]; got \[-1, -1\]"),
    "labels NaN": (torch.tensor([0, 1, torch.nan, 1]), "loss", outputs(1), r"labels lie in \[0, 1\]"),
    "one class": (
        (0, 1),
        "probability",
        outputs(1, TIMES),
        "its softmax is constant and its maps would be zero",
    ),
}


@pytest.mark.parametrize(("target", "output", "z", "words"), WRONG.values(), ids=WRONG)
def test_a_target_that_selects_nothing_is_refused(target: Any, output: Any, z: Any, words: str) -> None:
    with pytest.raises(TargetError, match=words):
        checked_score(target, output, z)


def test_rows_of_a_model_output_are_checked() -> None:
    check_rows(outputs(1), ROWS)
    with pytest.raises(TargetError, match=r"must return a tensor.*got list"):
        check_rows([1.0], ROWS)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ([0, 1], "got list.*torch.as_tensor"),
        (np.array([0, 1]), "got ndarray"),
        ("cat", "got str"),
        (2.0, "got float"),
        ((0, 1.5), "one int for each output dimension"),
    ],
)
def test_types_no_annotation_allows_are_refused_in_words(target: Any, words: str) -> None:
    with pytest.raises(TargetError, match=words):
        Score(target)


@pytest.mark.usefixtures("without_type_checks")
def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(TargetError, match=r"output must be one of logit, probability.*; got 'logits'"):
        Score(0, "logits")


def test_a_callable_may_keep_the_last_axis_and_of_one_row_give_a_number() -> None:
    z = outputs(CLASSES)
    assert torch.equal(Score(lambda z: z[:, 1:2], "logit")(z), z[:, 1])
    assert torch.equal(Score(lambda z: z[0, 1], "logit")(z[:1]), z[:1, 1])
    with pytest.raises(TargetError, match=r"got \(\)"):
        Score(lambda z: z[:, 1].sum(), "logit")(z)
