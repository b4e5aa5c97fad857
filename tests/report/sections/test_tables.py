import pytest

from rightreasons.report.sections._provenance import _steps
from rightreasons.report.sections._tables import arms_table, comparisons_table, cost_table, noise_tables
from rightreasons.runs import RunDirectory


def test_every_row_has_a_cell_for_every_column(image_run: RunDirectory, table_run: RunDirectory) -> None:
    for run in (image_run, table_run):
        metrics = run.metrics()
        for table in (arms_table(metrics, "95%"), comparisons_table(metrics, "95%"), cost_table(metrics)):
            assert {len(row) for row in table.rows} == {len(table.columns)}
            assert table.caption


def test_scores_under_noise_are_listed_by_level(image_run: RunDirectory) -> None:
    gaussian, pepper = noise_tables(image_run.metrics(), "accuracy")
    assert gaussian.caption == "Gaussian noise: mean test accuracy at each level."
    assert gaussian.columns == ["Arm", "0", "0.2"]
    assert pepper.columns == ["Arm", "0.1"]
    assert [row[0] for row in gaussian.rows] == ["Plain", "Smooth <b>", "Decay"]


def test_two_splits_are_listed_and_more_have_an_interval(image_run: RunDirectory) -> None:
    metrics = image_run.metrics()
    table = arms_table(metrics, "95%")
    assert table.columns[2] == "Each split"
    assert table.rows[0][2] == ", ".join(f"{s:.3f}" for s in metrics["arms"][0]["test"]["accuracy"])
    table = arms_table(metrics | {"splits": 10}, "95%")
    assert table.columns[2] == "95% interval"
    for row in table.rows:
        low, high = (float(end) for end in row[2].split(" to "))
        assert 0 <= low <= high <= 1  # a share ends there


def test_the_loss_of_survival_is_no_log_loss(table_run: RunDirectory) -> None:
    metrics = table_run.metrics()
    assert "Log loss" in arms_table(metrics, "95%").columns
    for arm in metrics["arms"]:
        arm["test"]["concordance"] = arm["test"].pop("auc")
    columns = arms_table(metrics | {"headline": "concordance"}, "95%").columns
    assert "Cox loss" in columns
    assert "Log loss" not in columns


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((10, 10), " and the same number of task-gradient steps"),
        (
            (10, None),
            " and the same number of task-gradient steps; arms without steps are fitted by an algorithm",
        ),
        (
            (10, 7),
            " and the same limit of task-gradient steps, of which fits that stopped early or failed took fewer",
        ),
        ((None, None), ""),
    ],
)
def test_equal_steps_are_claimed_only_where_they_were_taken(steps: tuple[int | None, ...], said: str) -> None:
    found = _steps([{"steps": each} for each in steps])
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_what_arms_and_weights_there_were(table_run: RunDirectory) -> None:
    rows = arms_table(table_run.metrics(), "95%").rows
    assert [(row[0], row[-1]) for row in rows] == [("Plain", "–"), ("Sparse", "0.1")]
    assert "On" not in comparisons_table(table_run.metrics(), "95%").columns
    assert "Gini of attributions" in cost_table(table_run.metrics()).columns
