"""Expected gradients: the same draws one at a time, the exact expectation, references of every kind."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.attribution.path._estimators import draw
from rightreasons.attribution.path._references import other_rows
from rightreasons.core._errors import InputError, ShapeError
from rightreasons.core._score import Score
from tests import oracles
from tests.attribution.helpers import relative, seeded
from tests.cases import REFERENCES
from tests.networks import NETWORKS, labels, mlp

ESTIMATORS = (rr.Independent(), rr.Stratified(), rr.ControlVariate(), rr.Complete())


@pytest.mark.parametrize("estimator", [rr.Independent(), rr.Stratified()], ids=repr)
@pytest.mark.parametrize("draws", ["shared", "per_row"])
@pytest.mark.parametrize("samples", [1, 5, 30])
def test_the_same_draws_one_at_a_time(
    estimator: Any, draws: Any, samples: int, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    per_row = draws == "per_row"
    indices, alphas = draw(len(REFERENCES), samples, estimator, seeded(), rows=5 if per_row else None)
    if not per_row:
        indices, alphas = indices.expand(5, -1), alphas.expand(5, -1)
    wanted = oracles.expected_gradients(
        lambda row, b: model(row[None])[0, y[b]], x, REFERENCES, indices.tolist(), alphas
    )
    method = rr.ExpectedGradients(REFERENCES, samples=samples, estimator=estimator, draws=draws)
    for chunk in (None, 3):
        assert relative(method(model, x, y, generator=seeded(), chunk=chunk), wanted) < 1e-12


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_many_draws_approach_the_exact_expectation(
    estimator: Any, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    exact = oracles.exact_expected_gradients(lambda row, b: model(row[None])[0, y[b]], x[:2], REFERENCES, 12)
    method = rr.ExpectedGradients(REFERENCES, samples=4000, estimator=estimator)
    assert relative(method(model, x[:2], y[:2], generator=seeded()), exact) < 0.06


@pytest.mark.parametrize("estimator", [rr.Independent(), rr.Stratified()], ids=repr)
def test_plain_estimators_are_unbiased_within_their_standard_error(
    estimator: Any, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    exact = oracles.exact_expected_gradients(lambda row, b: model(row[None])[0, y[b]], x[:1], REFERENCES, 12)
    method = rr.ExpectedGradients(REFERENCES, samples=6, estimator=estimator, draws="per_row")
    maps = method(model, x[:1].expand(800, -1), y[:1].expand(800), generator=seeded())
    error = maps.std(0) / 800**0.5
    assert float(((maps.mean(0) - exact[0]) / error).abs().max()) < 4


def test_standard_errors_are_the_spread_over_seeds(model: nn.Module, x: Tensor, y: Tensor) -> None:
    method = rr.ExpectedGradients(REFERENCES, samples=40, estimator=rr.Independent(), draws="per_row")
    explanation = method.explain(model, x[:1].expand(500, -1), y[:1].expand(500), generator=seeded())
    torch.testing.assert_close(
        explanation.standard_error.mean(0), explanation.maps.std(0), rtol=0.15, atol=0.0
    )


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@pytest.mark.parametrize("output", ["logit", "probability", "margin"])
def test_the_gap_is_taken_before_projection(
    estimator: Any, output: Any, model: nn.Module, x: Tensor, y: Tensor
) -> None:
    method = rr.ExpectedGradients(REFERENCES, samples=12, estimator=estimator, output=output)
    outputs = rr.reference_output(model, method)
    explanation = method.explain(model, x, y, generator=seeded(), reference_output=outputs)
    total = Score(y, output)(model(x)) - torch.stack([Score(c.expand(12), output)(outputs).mean() for c in y])
    assert float(explanation.gap.abs().max()) > 1e-6
    left = total.detach() - explanation.maps.sum(1)
    if isinstance(estimator, rr.Complete):
        assert float(left.abs().max()) < 1e-10
    else:
        torch.testing.assert_close(left, explanation.gap)


def test_f_at_the_references_is_computed_given_or_left_out(model: nn.Module, x: Tensor, y: Tensor) -> None:
    method = rr.ExpectedGradients(REFERENCES, samples=16)
    own = method.explain(model, x, y, generator=seeded())
    outputs = rr.reference_output(model, method)
    given = method.explain(model, x, y, generator=seeded(), reference_output=outputs)
    assert relative(given.maps, own.maps) < 1e-12
    assert own.evaluations.forward - given.evaluations.forward == len(REFERENCES)
    many = rr.ExpectedGradients(REFERENCES.repeat(9, 1), samples=16)  # more than 6 forwards for each draw
    assert many.explain(model, x, y).gap is None
    assert many.explain(model, x, y, reference_output=rr.reference_output(model, many)).gap is not None


def test_reference_output_is_that_of_the_model_in_eval_mode_without_a_graph() -> None:
    network = NETWORKS["cnn"]
    model, references = network.make().train(), network.inputs(9)
    outputs = rr.reference_output(model, rr.ExpectedGradients(references))
    assert not outputs.requires_grad
    assert model.training
    torch.testing.assert_close(outputs, model.eval()(references).detach())


def test_complete_with_a_graph_gives_parameters_the_gradient_of_finite_differences(x: Tensor) -> None:
    model = mlp().double()
    method = rr.ExpectedGradients(REFERENCES, samples=10, estimator=rr.Complete())
    maps = method(model, x, 1, generator=seeded(), create_graph=True)
    (grad,) = torch.autograd.grad(maps.square().sum(), model[0].weight)
    direction, values = torch.randn_like(grad), []
    for step in (1e-6, -2e-6):
        with torch.no_grad():
            model[0].weight += step * direction
        values.append(float(method(model, x, 1, generator=seeded()).square().sum()))
    assert float((grad * direction).sum()) == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)


def test_balanced_repeats_when_samples_exceed_references() -> None:
    """On f = sum of x the map is x - mean r whenever every reference is used equally often."""
    x, references = torch.tensor([[5.0, 1.0]]), torch.randn(4, 2)
    for samples in (4, 8, 12):
        method = rr.ExpectedGradients(references, samples=samples, estimator=rr.Stratified())
        torch.testing.assert_close(method(lambda z: z.sum(1), x), x - references.mean(0))


def test_one_reference_is_integrated_gradients_with_random_nodes(model: nn.Module, x: Tensor) -> None:
    method = rr.ExpectedGradients(REFERENCES[:1], samples=3000, estimator=rr.Stratified())
    exact = rr.IntegratedGradients(baseline=REFERENCES[0])(model, x, 1)
    assert relative(method(model, x, 1), exact) < 1e-3


def test_rows_equal_to_every_reference_get_zero(model: nn.Module, x: Tensor) -> None:
    for estimator in ESTIMATORS:
        explanation = rr.ExpectedGradients(x[:1].expand(6, -1), samples=12, estimator=estimator).explain(
            model, x[:1], 0
        )
        assert not explanation.maps.any()
        assert not explanation.standard_error.any()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
@pytest.mark.parametrize("draws", ["shared", "per_row"])
def test_features_constant_among_the_draws(estimator: Any, draws: Any, model: nn.Module, x: Tensor) -> None:
    """A feature whose references are all equal has zero variance; one that also equals x has map zero."""
    references = REFERENCES.clone()
    references[:, 0], references[:, 1] = 0.25, x[0, 1]
    method = rr.ExpectedGradients(references, samples=16, estimator=estimator, draws=draws)
    maps = method(model, x[:1], 0, create_graph=True)
    assert maps.isfinite().all()
    assert not maps[0, 1].detach().any()
    grads = torch.autograd.grad(maps.square().sum(), list(model.parameters()), allow_unused=True)
    assert all(grad.isfinite().all() for grad in grads if grad is not None)


# References of the batch ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "samples"), [(2, 1), (2, 5), (5, 1), (5, 4), (5, 9), (7, 3)])
def test_other_rows_are_never_the_row_itself_and_repeat_as_little_as_they_can(
    batch: int, samples: int
) -> None:
    rows = other_rows(batch, samples, seeded())
    assert rows.shape == (batch, samples)
    for b, chosen in enumerate(rows.tolist()):
        assert b not in chosen
        counts = [chosen.count(r) for r in range(batch) if r != b]
        assert max(counts) - min(counts) <= 1
    used = torch.bincount(rows.flatten(), minlength=batch)
    assert used.tolist() == [samples] * batch, "every row serves equally often"


def test_every_other_row_is_as_likely() -> None:
    generator = seeded()
    counts = torch.zeros(4, 4)
    for _ in range(3000):
        counts[torch.arange(4), other_rows(4, 1, generator)[:, 0]] += 1
    assert not counts.diagonal().any()
    off = counts[~torch.eye(4, dtype=torch.bool)]
    assert float((off - 1000).abs().max()) < 5 * (1000 * 2 / 3) ** 0.5


def test_batch_references_one_at_a_time(model: nn.Module, x: Tensor, y: Tensor) -> None:
    generator = seeded()
    indices = other_rows(5, 3, generator)
    _, alphas = draw(5, 3, rr.Stratified(), generator, rows=5)
    wanted = oracles.expected_gradients(
        lambda row, b: model(row[None])[0, y[b]], x, x, indices.tolist(), alphas
    )
    assert relative(rr.ExpectedGradients("batch", samples=3)(model, x, y, generator=seeded()), wanted) < 1e-12


# References of every kind ---------------------------------------------------------------------------------------------


class Rows:
    def __init__(self, tensor: Tensor, paired: bool) -> None:
        self.tensor, self.paired = tensor, paired

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, index: int) -> Any:
        return (self.tensor[index], "label") if self.paired else self.tensor[index]


@pytest.mark.parametrize("paired", [False, True])
def test_references_from_a_data_set(paired: bool, model: nn.Module, x: Tensor) -> None:
    from_rows = rr.ExpectedGradients(Rows(REFERENCES, paired), samples=8)
    wanted = rr.ExpectedGradients(REFERENCES, samples=8)(model, x, 0, generator=seeded())
    assert relative(from_rows(model, x, 0, generator=seeded()), wanted) == 0


@pytest.mark.parametrize("make", [lambda r: r, lambda r: Rows(r, False)], ids=["tensor", "data set"])
def test_too_many_references_are_subsampled_once(make: Any) -> None:
    references = torch.arange(100.0)[:, None]
    before = torch.get_rng_state()
    first, second = (rr.ExpectedGradients(make(references), max_references=10) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.references.shape == (10, 1)
    assert torch.equal(first.references, second.references)
    assert len(first.references.unique()) == 10
    assert torch.equal(rr.ExpectedGradients(references, max_references=100).references, references)


def test_tuples_of_references_are_subsampled_together() -> None:
    pair = (torch.arange(50.0)[:, None], torch.arange(50.0)[:, None] * 2)
    a, b = rr.ExpectedGradients(pair, max_references=7).references
    assert torch.equal(2 * a, b)


def test_two_inputs_share_reference_and_alpha() -> None:
    network = NETWORKS["two inputs"]
    model, x, references, y = network.make(), network.inputs(3), network.inputs(6, seed=8), labels(3)
    method = rr.ExpectedGradients(references, samples=12, estimator=rr.Complete())
    maps = method(model, x, y)
    outputs = model(*references)
    total = model(*x)[torch.arange(3), y] - torch.stack([outputs[:, c].mean() for c in y])
    torch.testing.assert_close(sum(m.flatten(1).sum(1) for m in maps), total.detach())


def test_references_that_require_grad_are_data(model: nn.Module, x: Tensor) -> None:
    references = REFERENCES.clone().requires_grad_()
    maps = rr.ExpectedGradients(references, samples=8)(model, x, 0, create_graph=True)
    maps.sum().backward()
    assert references.grad is None


def test_one_dimensional_inputs() -> None:
    x = torch.tensor([1.0, 3.0], dtype=torch.float64)
    references = torch.zeros(3, dtype=torch.float64)
    for estimator in ESTIMATORS[:3]:
        maps = rr.ExpectedGradients(references, samples=9, estimator=estimator)(lambda z: 2 * z, x)
        torch.testing.assert_close(maps, 2 * x)


REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "samples": (
        REFERENCES,
        {"samples": 0},
        InputError,
        "samples must be a whole number of at least 1.*; got 0",
    ),
    "max_references": (
        REFERENCES,
        {"max_references": -1},
        InputError,
        "max_references must be a whole number of at least 1",
    ),
    "word": ("train", {}, InputError, "data set or 'batch'; got 'train'"),
    "batch and shared": ("batch", {"draws": "shared"}, InputError, "gives every row its own references"),
    "batch and centred": ("batch", {"estimator": rr.Complete()}, InputError, "Independent.. or Stratified"),
    "empty": (REFERENCES[:0], {}, InputError, r"references has no rows \(shape \(0, 4\)\)"),
    "empty data set": (Rows(REFERENCES[:0], False), {}, InputError, "references has no rows"),
    "NaN": (REFERENCES * torch.nan, {}, InputError, "references has 48 NaN or infinite values"),
    "NaN in a data set": (Rows(REFERENCES * torch.nan, False), {}, InputError, "references has 48 NaN"),
    "rows differ": ((REFERENCES, REFERENCES[:3]), {}, ShapeError, "must have the same number of rows"),
    "a data set of lists": ([[["x"]], [["y"]]], {}, InputError, "every row of a reference data set must be"),
}


@pytest.mark.parametrize(("references", "settings", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_references_and_settings_that_make_no_sense(
    references: Any, settings: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        rr.ExpectedGradients(references, **settings)


def test_calls_that_do_not_fit_the_references(model: nn.Module, x: Tensor) -> None:
    with pytest.raises(ShapeError, match=r"references of shape \(12, 3\).*expected \(R, 4\)"):
        rr.ExpectedGradients(REFERENCES[:, :3])(model, x, 0)
    with pytest.raises(ShapeError, match="references has 2 tensors for 1 inputs"):
        rr.ExpectedGradients((REFERENCES, REFERENCES))(model, x, 0)
    method = rr.ExpectedGradients(REFERENCES)
    with pytest.raises(ShapeError, match="reference_output has shape .* for 12 references"):
        method(model, x, 0, reference_output=torch.zeros(3, 3))
    with pytest.raises(InputError, match="references must be tensors; got str"):
        rr.reference_output(model, rr.ExpectedGradients("batch"))


@pytest.mark.parametrize("settings", [{"at": "1"}, {}], ids=["at", "keyword"])
def test_complete_needs_f_at_the_references(settings: dict[str, Any], x: Tensor) -> None:
    def scaled(z: Tensor, scale: Tensor) -> Tensor:
        return z.sum(1) * scale

    method = rr.ExpectedGradients(REFERENCES, samples=16, estimator=rr.Complete(), **settings)
    model = mlp().double() if settings else scaled
    keywords = None if settings else {"scale": torch.arange(5.0)}
    with pytest.raises(InputError, match=r"Complete\(\) needs f at the references"):
        method(model, x, 0 if settings else None, model_kwargs=keywords)
