"""An attack next to its controls."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.attacks import MassCentre, RandomSign, Status, TopK
from rightreasons.audit import CONTROLS, robustness, robustness_columns, robustness_text
from rightreasons.audit._attack_registry import ByGroup
from rightreasons.core._errors import InputError
from rightreasons.metrics import lens, spearman, topk_intersection
from tests.attacks.networks import cnn, generator, mlp, rows

ATTACK = TopK(k=6, eps=0.2, steps=6, bounds=(0.0, 1.0))


@pytest.fixture
def x() -> Tensor:
    return rows(8, 2, 6, 6)


@pytest.fixture
def y(x: Tensor) -> Tensor:
    return cnn()(x).argmax(1)


def test_values_are_the_metrics_of_what_was_compared(x: Tensor, y: Tensor) -> None:
    y[3] = (y[3] + 1) % 3
    method = rr.Gradient()
    found = robustness(cnn(), x, y, attribution=method, attack=ATTACK, k=6, generator=generator(), block=3)
    kept = torch.tensor([i for i in range(8) if i != 3])
    assert found.found.status[3] == Status.EXCLUDED
    assert list(found.values) == ["attack", *CONTROLS]
    clean, after = method(cnn(), x[kept], y[kept]), method(cnn(), found.found.adversarial[kept], y[kept])
    assert isinstance(clean, Tensor)
    assert isinstance(after, Tensor)
    measures = found.values["attack"]
    torch.testing.assert_close(measures["top-k"], topk_intersection(clean, after, 6))
    torch.testing.assert_close(measures["LENS"], lens(clean, after, 6).observed)
    for level in ("unrelated", "uniform"):
        near = lens(clean, after, 6, adjust=level)
        scaled = (near.observed - near.chance) / (1 - near.chance.mean())
        torch.testing.assert_close(measures[f"LENS less {level}"], scaled)
    torch.testing.assert_close(
        found.values["another row's map"]["Spearman"], spearman(clean, clean.roll(1, 0))
    )
    torch.testing.assert_close(measures["top-k"], found.found.after[kept])


def test_the_attack_does_more_than_its_control_and_noise_is_at_chance(x: Tensor, y: Tensor) -> None:
    table = robustness(
        cnn(), x, y, attribution=rr.Gradient(), attack=ATTACK, k=6, generator=generator()
    ).table
    assert table["attack"]["top-k"].mean < table["random perturbation"]["top-k"].mean
    noise = table["white noise"]["LENS less uniform"]
    assert noise.low < 0 < noise.high
    assert noise.n == 8


def test_maps_of_random_methods_have_the_same_draws_in_attack_and_control(x: Tensor, y: Tensor) -> None:
    method = rr.ExpectedGradients(rows(10, 2, 6, 6, seed=3), samples=4)
    still = TopK(k=6, eps=0.0, steps=1)
    found = robustness(cnn(), x, y, attribution=method, attack=still, k=6, generator=generator())
    for name in ("attack", "random perturbation"):
        assert found.values[name]["top-k"].tolist() == [1.0] * 8


def test_tables_have_no_windows(x: Tensor) -> None:
    model, x = mlp(nn.Tanh), rows(6, 6)
    attack = TopK(k=2, eps=0.3, steps=4)
    found = robustness(model, x, model(x).argmax(1), attribution=rr.Gradient(), attack=attack, k=2)
    assert found.window is None
    assert list(found.table["attack"]) == ["top-k", "top-k less uniform", "top-k less unrelated", "Spearman"]


def test_another_rows_map_is_at_the_level_of_other_rows() -> None:
    def maps(model: nn.Module, x: Tensor, y: Tensor, **call: object) -> Tensor:
        return x  # two kinds of rows: within a kind all agree, between them nothing does

    x = torch.eye(4).repeat_interleave(torch.tensor([6, 4, 1, 1]), 0) + 0.01 * torch.rand(12, 4)
    model = nn.Linear(4, 2)
    y = model(x).argmax(1)
    attack = TopK(k=1, eps=0.0, steps=1)
    found = robustness(model, x, y, attribution=maps, attack=attack, k=1, direction=rr.InputTimesGradient())
    other = found.table["another row's map"]
    # 8 of 12 rows come after one of their kind; of all pairs of rows 6 * 5 + 4 * 3 of 12 * 11 are of one kind.
    assert other["top-k"].mean == pytest.approx(8 / 12)
    level = (6 * 5 + 4 * 3) / (12 * 11)
    assert other["top-k less unrelated"].mean == pytest.approx((8 / 12 - level) / (1 - level))
    assert found.table["attack"]["top-k less unrelated"].mean == pytest.approx(1)


def test_intervals_end_where_the_measure_ends(x: Tensor, y: Tensor) -> None:
    strong = TopK(k=6, eps=0.3, steps=20)
    table = robustness(cnn(), x[:3], y[:3], attribution=rr.Gradient(), attack=strong, k=6).table
    ends = {"top-k": (0, 1), "LENS": (0, 1), "Spearman": (-1, 1), "centre shift": (0, float("inf"))}
    for measures in table.values():
        for name, cell in measures.items():
            low, high = ends.get(name, (-float("inf"), 1))
            assert low <= cell.low <= cell.mean <= cell.high <= high
    assert table["white noise"]["top-k"].low == 0


def test_failed_rows_are_told_with_both_means(x: Tensor, y: Tensor) -> None:
    frozen = torch.zeros(2, 6, 6).index_fill(2, torch.tensor([0]), 1.0)
    weak = TopK(k=6, eps=0.03 * frozen, steps=2)
    found = robustness(cnn(), x, y, attribution=rr.Gradient(), attack=weak, k=6, generator=generator())
    summary = found.found.summary
    assert 0 < summary.failure_rate < 1
    text = robustness_text(found)
    assert f"{summary.before:.2f} before, {summary.all:.2f} after. It failed on" in text
    assert f"clean map; {summary.better:.2f} where it worked." in text


def test_the_own_measure_of_an_attack_is_told_where_the_table_has_none(x: Tensor, y: Tensor) -> None:
    diverse = TopK(k=3, window=1, diverse=True, eps=0.2, steps=6)
    found = robustness(cnn(), x, y, attribution=rr.Gradient(), attack=diverse, k=3, generator=generator())
    assert f"The attack's own measure: 1.00 before, {found.found.summary.all:.2f} after." in robustness_text(
        found
    )


def test_white_noise_is_at_chance_where_positions_stand_for_several_features() -> None:
    model, x = mlp(nn.Tanh), rows(60, 6)
    attack = TopK(k=1, eps=0.3, steps=1, reduce=ByGroup(((0, 1, 2, 3), (4,), (5,))))
    found = robustness(model, x, model(x).argmax(1), attribution=rr.Gradient(), attack=attack, k=1)
    chance = found.table["white noise"]["top-k less uniform"]
    assert chance.low < 0 < chance.high
    assert abs(chance.mean) < 0.2


def test_same_generator_same_values_and_progress_is_told(x: Tensor, y: Tensor) -> None:
    told: list[tuple[int, int]] = []
    run = partial(robustness, cnn(), x, y, attribution=rr.Gradient(), attack=MassCentre(eps=0.1, steps=2))
    first = run(generator=generator(), block=3, progress=lambda done, total: told.append((done, total)))
    again = run(generator=generator(), block=3)
    assert torch.equal(first.values["attack"]["centre shift"], again.values["attack"]["centre shift"])
    assert told == [(3, 16), (6, 16), (9, 16), (12, 16), (14, 16), (16, 16)]


def test_text_and_columns_say_the_same(x: Tensor, y: Tensor) -> None:
    y[0] = (y[0] + 1) % 3
    found = robustness(cnn(), x, y, attribution=rr.Gradient(), attack=ATTACK, k=6, generator=generator())
    text, columns = robustness_text(found), robustness_columns(found)
    assert "7 rows attacked, 1 left out" in text
    assert len(columns["row"]) == 4 * 6
    cell = found.table["attack"]["top-k"]
    assert f"{cell.mean:.2f} [{cell.low:.2f}, {cell.high:.2f}]" in text
    place = list(zip(columns["row"], columns["measure"], strict=True)).index(("attack", "top-k"))
    assert columns["mean"][place] == cell.mean


def test_failures_and_undefined_rows_are_said(x: Tensor, y: Tensor) -> None:
    still = TopK(k=30, eps=0.0, steps=1)
    found = robustness(cnn(), x, y, attribution=rr.Gradient(), attack=still, k=30, window=3)
    text = robustness_text(found)
    assert "The attack's own measure: 1.00 before, 1.00 after. It failed on 100% of the rows" in text
    assert "The random perturbation's own measure" in text
    assert "LENS less unrelated of attack is defined for 0 of 8 rows: elsewhere chance is above .99" in text
    assert "undefined" in text


def test_joined_results_are_those_of_one_batch(x: Tensor, y: Tensor) -> None:
    control = RandomSign(ATTACK)
    parts = [control(cnn(), x[i], y[i], attribution=rr.Gradient()) for i in (slice(5), slice(5, 8))]
    joined = type(parts[0]).joined(parts)
    assert joined.adversarial.shape == x.shape
    assert joined.status == parts[0].status + parts[1].status
    assert joined.evaluations == tuple(map(sum, zip(parts[0].evaluations, parts[1].evaluations, strict=True)))
    assert joined.unsmoothed == parts[0].unsmoothed


def test_what_cannot_be_measured(x: Tensor, y: Tensor) -> None:
    run = partial(robustness, cnn(), attribution=rr.Gradient(), attack=ATTACK)
    with pytest.raises(
        InputError, match="0 of 8 rows can be attacked: the others are not predicted as their label"
    ):
        run(x, (y + 1) % 3)
    with pytest.raises(InputError, match="block is how many rows are attacked at once, at least 1; got 0"):
        run(x, y, block=0)
