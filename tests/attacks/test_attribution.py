"""What holds for every attack on attributions."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.attacks import (
    AttributionAttack,
    Manipulate,
    MassCentre,
    Norm,
    RandomSign,
    RankCorrelation,
    Softplus,
    Status,
    TargetRegion,
    TopK,
)
from rightreasons.core._errors import DifferentiabilityError, InputError, ShapeError, TargetError
from tests.attacks.networks import NORMS, check_untouched, cnn, copies, generator, mlp, rows
from tests.attacks.oracles import top_k_attack

REGION = torch.zeros(6, 6, dtype=torch.bool)
REGION[:2, :2] = True
BALL = {"eps": 0.2, "steps": 6, "bounds": (0.0, 1.0)}
ATTACKS: dict[str, AttributionAttack] = {
    "top-k": TopK(k=6, **BALL),
    "lens": TopK(k=4, window=1, **BALL),
    "diverse": TopK(k=3, window=1, diverse=True, **BALL),
    "centre": MassCentre(**BALL),
    "region": TargetRegion(region=REGION, **BALL),
    "manipulate": Manipulate(towards=REGION.double(), **BALL),
    "rank": RankCorrelation(**BALL),
}
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


@pytest.fixture
def x() -> Tensor:
    return rows(8, 2, 6, 6)


@pytest.fixture
def y(x: Tensor) -> Tensor:
    return cnn()(x).argmax(1)


@every_attack
def test_attacks_move_their_measure_more_than_their_control(
    attack: AttributionAttack, x: Tensor, y: Tensor
) -> None:
    model, method = cnn(), rr.Gradient()
    found = attack(model, x, y, attribution=method, generator=generator())
    control = RandomSign(attack)(model, x, y, attribution=method, generator=generator())
    sign = 1 if attack.lower_is_stronger else -1
    assert sign * found.summary.all < sign * control.summary.all
    assert sign * found.summary.all < sign * found.summary.before
    assert control.evaluations.direction == 0


@every_attack
def test_results_are_what_they_say(attack: AttributionAttack, x: Tensor, y: Tensor) -> None:
    model, method = cnn(), rr.Gradient()
    found = attack(model, x, y, attribution=method, generator=generator())
    maps = method(model, found.adversarial, y)
    clean = method(model, x, y)
    assert isinstance(maps, Tensor)
    assert isinstance(clean, Tensor)
    index = torch.arange(len(x))
    torch.testing.assert_close(found.maps, maps)
    torch.testing.assert_close(found.clean_maps, clean)
    torch.testing.assert_close(found.after, attack.goal(clean).measure(maps, index))
    torch.testing.assert_close(found.before, attack.goal(clean).measure(clean, index))
    better = found.after < found.before if attack.lower_is_stronger else found.after > found.before
    assert torch.equal(better, found.rows(Status.BETTER))
    assert not found.maps.requires_grad
    assert found.unsmoothed == ("max_pool2d",)


@settings(max_examples=20)
@given(
    name=st.sampled_from(sorted(ATTACKS)),
    aimless=st.booleans(),
    norm=st.sampled_from(NORMS),
    eps=st.floats(0.001, 0.6),
    seed=st.integers(0, 99),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    restarts=st.integers(1, 2),
    training=st.booleans(),
)
def test_invariants(
    name: str,
    aimless: bool,
    norm: Norm,
    eps: float,
    seed: int,
    dtype: torch.dtype,
    restarts: int,
    training: bool,
) -> None:
    attack = replace(ATTACKS[name], norm=norm, eps=eps, restarts=restarts, steps=3)
    x, model = rows(4, 2, 6, 6, seed=seed).to(dtype), cnn().to(dtype).train(training)
    y = model(x).argmax(1)
    values, clean = copies(model), x.clone()
    search = RandomSign(attack) if aimless else attack
    found, again = (
        search(model, x, y, attribution=rr.Gradient(), generator=generator(seed)) for _ in range(2)
    )
    moved = found.adversarial.double() - x.double()
    assert bool((attack.norm.size(moved) <= eps).all())
    assert float(found.adversarial.min()) >= 0
    assert float(found.adversarial.max()) <= 1
    assert torch.equal(model(found.adversarial).argmax(1), y)
    assert torch.equal(found.adversarial, again.adversarial)
    assert found.status == again.status
    assert torch.equal(x, clean)
    check_untouched(model, values, training)


@every_attack
def test_same_generator_same_result_whatever_the_chunk_and_the_global_state(
    attack: AttributionAttack, x: Tensor, y: Tensor
) -> None:
    call = {"attribution": rr.Gradient()}
    x, y, attack = x[:4], y[:4], replace(attack, steps=3)
    for each in (attack, RandomSign(attack)):
        first = each(cnn(), x, y, **call, generator=generator())
        torch.manual_seed(99)
        state = torch.get_rng_state()
        again = each(cnn(), x, y, **call, generator=generator(), chunk=3)
        assert torch.equal(torch.get_rng_state(), state)
        torch.testing.assert_close(again.adversarial, first.adversarial)
        assert again.status == first.status


def test_layers_and_inputs_are_left_as_found(x: Tensor, y: Tensor) -> None:
    model = cnn().train()
    values, before = copies(model), x.clone()
    for method in (rr.Gradient(), rr.Gradient(at="0")):
        with torch.no_grad():
            attack = TopK(k=2, eps=0.1, steps=2, reduce=lambda maps: maps.abs().sum(1))
            attack(model, x, y, attribution=method)
    assert torch.equal(x, before)
    check_untouched(model, values, training=True)


@pytest.mark.parametrize("radius", [0, 1])
def test_batched_search_equals_one_image_at_a_time(radius: int, x: Tensor, y: Tensor) -> None:
    model = cnn()
    attack = TopK(
        k=5,
        window=radius,
        eps=0.2,
        step_size=0.03,
        steps=10,
        bounds=(0.0, 1.0),
        random_start=False,
        repair=False,
        surrogate=Softplus(4.0),
    )
    found = attack(model, x, y, attribution=rr.Gradient())
    for i, label in enumerate(y.tolist()):
        point, value = top_k_attack(
            model, x[i], label, k=5, radius=radius, beta=4.0, eps=0.2, step=0.03, steps=10
        )
        assert float(found.after[i]) == pytest.approx(value, abs=1e-12)
        torch.testing.assert_close(found.adversarial[i], point, rtol=0, atol=1e-12)


def test_more_restarts_never_hurt_and_are_really_different(x: Tensor, y: Tensor) -> None:
    call = {"attribution": rr.Gradient()}
    one = TopK(k=6, eps=0.2, steps=4)(cnn(), x, y, **call, generator=generator())
    many = TopK(k=6, eps=0.2, steps=4, restarts=5)(cnn(), x, y, **call, generator=generator())
    assert float(many.after.sum()) < float(one.after.sum())
    assert len({float(v) for v in many.adversarial.flatten()}) > 10


def test_misclassified_rows_are_excluded_and_reported(x: Tensor, y: Tensor) -> None:
    wrong = y.clone()
    wrong[2] = (wrong[2] + 1) % 3
    found = TopK(k=6, **BALL)(cnn(), x, wrong, attribution=rr.Gradient(), generator=generator())
    assert found.status[2] == "excluded"
    assert torch.equal(found.adversarial[2], x[2])
    assert found.after[2] == found.before[2]
    assert (found.summary.attacked, found.summary.excluded) == (7, 1)


@pytest.mark.parametrize("name", ["top-k", "lens", "centre", "rank"])
def test_rows_whose_clean_map_is_all_zero_are_excluded_and_reported(name: str, x: Tensor, y: Tensor) -> None:
    def flat_in_row_1(model: nn.Module, x: Tensor, y: Tensor, **call: object) -> Tensor:
        maps = rr.Gradient()(model, x, y, create_graph=True)
        assert isinstance(maps, Tensor)
        return maps * (x - blank).square().flatten(1).sum(1).ge(0.1).reshape(-1, 1, 1, 1)

    blank = x[1]
    found = ATTACKS[name](cnn(), x, y, attribution=flat_in_row_1, generator=generator())
    assert found.status[1] == "excluded"
    assert found.before[1].isnan()
    assert torch.equal(found.adversarial[1], x[1])
    assert found.summary.attacked == 7
    assert found.summary.all == pytest.approx(float(found.after[[0, *range(2, 8)]].mean()))


@pytest.mark.parametrize("norm", NORMS[:2], ids=repr)
def test_noise_that_strides_across_the_ball_ends_at_its_edge(norm: Norm, x: Tensor, y: Tensor) -> None:
    eps = torch.where(torch.arange(6) < 3, 0.1, 0.2).double()
    attack = RankCorrelation(eps=eps, norm=norm, steps=8)
    call = {"attribution": rr.Gradient()}
    walk, far = (
        RandomSign(attack, stride)(cnn(), x, y, **call, generator=generator()) for stride in (None, 2.0)
    )
    better = far.rows(Status.BETTER)
    size = norm.size((far.adversarial - x)[better] / eps)
    torch.testing.assert_close(size, torch.ones_like(size))
    assert far.summary.all < walk.summary.all
    still = RandomSign(replace(attack, eps=0.0), 2.0)(cnn(), x, y, **call)
    assert torch.equal(still.adversarial, x)
    with pytest.raises(
        InputError, match="stride is the length of a step in radii, positive and finite; got 0"
    ):
        RandomSign(attack, stride=0.0)


def test_baselines_of_rows_follow_their_rows(x: Tensor, y: Tensor) -> None:
    y = torch.where(
        torch.arange(8) % 2 == 0, y, (y + 1) % 3
    )  # four rows are left out: with two starts eight remain
    together = rr.IntegratedGradients(baseline=rows(8, 2, 6, 6, seed=3), steps=4)
    attack = replace(ATTACKS["rank"], restarts=2)
    found = attack(cnn(), x, y, attribution=together, generator=generator())
    for row in (0, 2, 4, 6):
        assert isinstance(together.baseline, Tensor)
        alone = rr.IntegratedGradients(baseline=together.baseline[row], steps=4)
        maps = alone(cnn(), found.adversarial[row : row + 1], y[row : row + 1])
        torch.testing.assert_close(found.maps[row : row + 1], maps)


def test_maps_with_nan_are_an_error(x: Tensor, y: Tensor) -> None:
    def broken(model: nn.Module, x: Tensor, y: Tensor, **call: object) -> Tensor:
        return torch.full_like(x, torch.nan)

    with pytest.raises(InputError, match="NaN or infinite entries in 8 of 8 rows"):
        TopK(k=6, **BALL)(cnn(), x, y, attribution=broken)


def test_a_batch_of_only_misclassified_rows_is_reported(x: Tensor, y: Tensor) -> None:
    found = TopK(k=6, **BALL)(cnn(), x, (y + 1) % 3, attribution=rr.Gradient())
    assert set(found.status) == {Status.EXCLUDED}
    assert torch.tensor(found.summary[2:]).isnan().all()


def test_failures_are_told_apart_and_never_count_as_robust() -> None:
    def model(x: Tensor) -> Tensor:
        # x0 decides; x1 and x2 change the order of the map only where x3 is 1.
        open_ = x[:, 3:4].detach()
        curved = open_ * (x[:, 1:2] ** 2 - x[:, 2:3] ** 2)
        return torch.cat([x[:, :1] + curved, -x[:, :1] - curved], 1)

    x = torch.tensor([[5.0, 2.0, 1.0, 1.0], [5.0, 2.0, 1.0, 0.0], [-5.0, 2.0, 1.0, 1.0]], dtype=torch.float64)
    attack = TopK(k=1, eps=1.5, steps=20, mask=torch.tensor([False, True, True, False]))
    found = attack(model, x, torch.zeros(3).long(), attribution=rr.Gradient(), generator=generator())
    assert found.status == ("better", "no_gain", "excluded")
    assert torch.equal(found.adversarial[1:], x[1:])
    summary = found.summary
    assert (summary.failure_rate, summary.better, summary.all) == (0.5, 0.0, 0.5)


def test_lost_labels_are_a_status_of_their_own() -> None:
    def model(x: Tensor) -> Tensor:  # predicts 0 at the input itself only
        away = (x - 0.5).square().sum(1, keepdim=True)
        return torch.cat([-away, away - 1e-9], 1)

    x = torch.full((2, 3), 0.5, dtype=torch.float64)
    x[:, 0] += 1e-5
    found = TopK(k=1, eps=0.3, steps=3, repair=False)(
        model, x, torch.zeros(2).long(), attribution=rr.Gradient(), generator=generator()
    )
    assert found.status == (Status.LABEL_LOST,) * 2
    assert found.summary.failure_rate == 1.0
    assert torch.isnan(torch.tensor(found.summary.better))
    assert found.summary.all == 1.0


def test_a_step_from_where_the_label_is_lost_goes_back(x: Tensor) -> None:
    model, x = cnn(), rows(24, 2, 6, 6, seed=8)
    y = model(x).argmax(1)
    drifting = TopK(k=6, eps=0.5, steps=12, repair=False)(
        model, x, y, attribution=rr.Gradient(), generator=generator()
    )
    repaired = TopK(k=6, eps=0.5, steps=12)(model, x, y, attribution=rr.Gradient(), generator=generator())
    assert repaired.evaluations.judging > drifting.evaluations.judging
    assert repaired.summary.all <= drifting.summary.all


def test_rows_that_reached_the_optimum_stop() -> None:
    x = rows(5, 6)
    model = mlp(nn.Tanh)
    y = model(x).argmax(1)
    attack = TopK(k=1, eps=2.0, steps=30)
    found = attack(model, x, y, attribution=rr.Gradient(), generator=generator())
    assert int((found.after == 0).sum()) >= 4
    assert found.evaluations.direction < 30 * 5 / 2


def test_judging_less_often_costs_less_and_always_judges_the_last(x: Tensor, y: Tensor) -> None:
    found = TopK(k=6, judge_every=4, **BALL)(cnn(), x, y, attribution=rr.Gradient(), generator=generator())
    assert found.evaluations.judging <= 8 * (1 + 2)
    assert found.rows(Status.BETTER).any()


def test_fewer_path_points_for_directions_than_for_judging(x: Tensor, y: Tensor) -> None:
    judged, climbed = rr.IntegratedGradients(steps=20), rr.IntegratedGradients(steps=4)
    attack = TopK(k=6, repair=False, eps=0.2, steps=5)
    cheap = attack(cnn(), x, y, attribution=judged, direction=climbed, generator=generator())
    assert cheap.evaluations.direction <= 8 * 4 * 5
    assert cheap.evaluations.judging % 20 == 0
    index = torch.arange(8)
    maps = judged(cnn(), cheap.adversarial, y)
    assert isinstance(maps, Tensor)
    torch.testing.assert_close(cheap.after, attack.goal(cheap.clean_maps).measure(maps, index))


def test_random_methods_are_judged_under_the_same_draws(x: Tensor, y: Tensor) -> None:
    method = rr.ExpectedGradients(rows(10, 2, 6, 6, seed=3), samples=8)
    still = TopK(k=6, eps=0.0, steps=2)
    found = still(cnn(), x, y, attribution=method, generator=generator())
    assert set(found.status) == {Status.NO_GAIN}
    moved = TopK(k=6, eps=0.2, steps=4)(cnn(), x, y, attribution=method, generator=generator())
    assert moved.rows(Status.BETTER).any()


def test_annealing_and_backward_mode_run(x: Tensor, y: Tensor) -> None:
    for softplus in (Softplus(1.0, anneal_to=50.0), Softplus(5.0, mode="backward")):
        attack = TopK(k=6, surrogate=softplus, **BALL)
        found = attack(cnn(), x, y, attribution=rr.Gradient(), generator=generator())
        assert found.summary.all < 1


def test_one_logit_models_are_explained_without_a_target() -> None:
    model, x = mlp(nn.Tanh, classes=1), rows(6, 6)
    y = (model(x)[:, 0] > 0).long()
    found = TopK(k=2, eps=0.5, steps=10)(model, x, y, attribution=rr.Gradient(), generator=generator())
    assert found.summary.all < 1
    assert torch.equal((model(found.adversarial)[:, 0] > 0).long(), y)


def test_keywords_follow_their_rows() -> None:
    base = mlp(nn.Tanh)

    def model(x: Tensor, shift: Tensor) -> Tensor:
        return base(x + shift)

    x, shift = rows(5, 6), rows(5, 6, seed=4)
    y = model(x, shift).argmax(1)
    attack = TopK(k=2, eps=0.3, steps=4, restarts=2)
    found = attack(
        model, x, y, attribution=rr.Gradient(), generator=generator(), chunk=3, model_kwargs={"shift": shift}
    )
    maps = rr.Gradient()(model, found.adversarial, y, model_kwargs={"shift": shift})
    assert isinstance(maps, Tensor)
    torch.testing.assert_close(found.maps, maps)
    assert torch.equal(model(found.adversarial, shift).argmax(1), y)


def test_an_attack_shows_its_fields() -> None:
    assert repr(TopK(k=5, eps=0.1)) == "TopK(eps=0.1, k=5)"
    assert repr(RandomSign(MassCentre(eps=0.1), 2.0)) == "RandomSign(of=MassCentre(eps=0.1), stride=2.0)"
    assert "region=<6x6>" in repr(ATTACKS["region"])


def test_a_piecewise_linear_model_needs_a_surrogate(x: Tensor, y: Tensor) -> None:
    with pytest.raises(
        DifferentiabilityError, match=r"second derivative zero. Smooth it: surrogate=Softplus\(\)"
    ):
        TopK(k=6, surrogate=None, **BALL)(cnn(), x, y, attribution=rr.Gradient())


def test_maps_that_do_not_move_cannot_be_attacked() -> None:
    model, x = nn.Linear(6, 3).double(), rows(4, 6)
    with pytest.raises(DifferentiabilityError, match=r"do not change with the input.*Is the model linear"):
        TopK(k=2, eps=0.1)(model, x, model(x).argmax(1), attribution=rr.Gradient())


def test_methods_without_a_graph_are_refused_unless_another_gives_the_direction(x: Tensor, y: Tensor) -> None:
    def detached(model: nn.Module, x: Tensor, y: Tensor, **call: object) -> Tensor:
        maps = rr.Gradient()(model, x, y)
        assert isinstance(maps, Tensor)
        return maps.detach()

    with pytest.raises(
        DifferentiabilityError, match=r"carry no graph under create_graph=True.*direction=rr.Gradient"
    ):
        TopK(k=6, **BALL)(cnn(), x, y, attribution=detached)
    found = TopK(k=6, **BALL)(cnn(), x, y, attribution=detached, direction=rr.Gradient())
    assert found.rows(Status.BETTER).any()


def test_methods_must_return_one_map_for_each_row(x: Tensor, y: Tensor) -> None:
    with pytest.raises(ShapeError, match=r"returned maps \(2,\) for 8 rows: one map for each is needed"):
        TopK(k=6, **BALL)(cnn(), x, y, attribution=lambda *a, **k: torch.ones(2))
    with pytest.raises(InputError, match="returned tuple; attacks take one tensor of maps"):
        TopK(k=6, **BALL)(cnn(), x, y, attribution=lambda *a, **k: (x, x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TopK(k=6, judge_every=0, **BALL), "judge_every counts steps, at least 1; got 0"),
        (lambda: TopK(k=6, window=-1, **BALL), "window is a radius in positions, at least 0; got -1"),
        (lambda: TopK(k=6, diverse=True, **BALL), "diverse=True needs window >= 1"),
        (lambda: TopK(k=6, eps=-0.1), "eps is the radius of a ball"),
        (lambda: MassCentre(random_start=False, **BALL), "has gradient zero at its start"),
        (lambda: TargetRegion(region=torch.zeros(6, 6), **BALL), "some positions, and not all"),
        (lambda: Manipulate(towards=-torch.ones(6, 6), **BALL), "finite, non-negative values"),
        (lambda: Manipulate(towards=torch.zeros(6, 6), **BALL), "towards is all zero"),
    ],
)
def test_bad_fields(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # pyright: ignore[reportCallIssue]


def test_what_only_the_maps_can_tell(x: Tensor, y: Tensor) -> None:
    def run(attack: AttributionAttack) -> None:
        attack(cnn(), x, y, attribution=rr.Gradient())

    with pytest.raises(InputError, match="k must lie between 1 and the 36 positions of a map; got 37"):
        run(TopK(k=37, **BALL))
    with pytest.raises(
        InputError, match=r"leave room for \d+ diverse positions in some map, fewer than k=30"
    ):
        run(TopK(k=30, window=2, diverse=True, **BALL))
    with pytest.raises(ShapeError, match=r"region of shape \(5, 6\) fits neither one map \(6, 6\) nor all"):
        run(TargetRegion(region=REGION[:5], **BALL))
    with pytest.raises(TargetError, match="whole numbers from 0 to 2"):
        TopK(k=6, **BALL)(cnn(), x, y + 5, attribution=rr.Gradient())
