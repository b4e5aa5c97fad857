"""`predict` and `evaluate`, as a user calls them."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import rightreasons as rr
from rightreasons import data, runs, tasks
from rightreasons.cli import main
from rightreasons.core._errors import DataError
from rightreasons.recipes import read
from tests.runs.cases import finished
from tests.runs.inference.test_load import PEOPLE, people


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    (folder / "people.csv").write_text(people())
    (folder / "recipe.yaml").write_text(PEOPLE)
    finished(folder, read(folder / "recipe.yaml"))
    return folder


def new_rows(folder: Path, change: str = "", instead: str = "") -> str:
    path = folder / "new.csv"
    path.write_text(people(20).replace(change, instead) if change else people(20))
    return str(path)


def test_predict_writes_a_table(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = tmp_path / "out.parquet"
    assert main(["predict", str(made / "people"), new_rows(tmp_path), "-o", str(to), "--arm", "Sparse"]) == 0
    found = pd.read_parquet(to)
    assert list(found) == ["id", "predicted", "p(no)", "p(yes)"]
    assert found["id"].tolist() == [f"p{i}" for i in range(20)]
    assert "20 rows by 'Sparse', split 0" in capsys.readouterr().out
    assert main(["predict", str(made / "people"), new_rows(tmp_path), "--arm", "Sparse"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "id,predicted,p(no),p(yes)"


def test_evaluate_says_the_mean_of_each_arm(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(made / "people"), new_rows(tmp_path), "-o", str(tmp_path / "m.csv")]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["arm", "Plain", "Sparse"]
    found = pd.read_csv(tmp_path / "m.csv")
    assert list(found[found["of"] == "all rows"]["arm"]) == ["Plain", "Sparse"]


def elsewhere(folder: Path, known: int) -> str:
    """So many rows of the training file, the others of an age that nobody there has."""
    header, *lines = people(100).splitlines()
    new = [f"q{i},{80.5 + i},{('beer', 'wine')[i % 2]},{('no', 'yes')[i % 2]}" for i in range(30)]
    (folder / "mixed.csv").write_text("\n".join([header, *lines[:known], *new]) + "\n")
    return str(folder / "mixed.csv")


def test_rows_that_were_trained_on_are_counted_and_the_others_measured_apart(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = rr.load(made / "people", arm="Plain")
    taken = [i for part in ("train", "validation") for i in getattr(trained.parts, part).ids]
    rows = trained.read(elsewhere(tmp_path, 100))
    ours = set(rows.ids) & set(taken)
    assert len(ours) == 70
    seen = {name for name, each in zip(rows.ids, trained.seen(rows).tolist(), strict=True) if each}
    twins = {f"p{i}" for i in range(100) for j in range(100) if f"p{j}" in ours and (i - j) % 60 == 0}
    assert seen == twins  # those of the same age, drink and label are the same row to a network
    assert (
        main(["evaluate", str(made / "people"), elsewhere(tmp_path, 100), "-o", str(tmp_path / "m.csv")]) == 0
    )
    out = capsys.readouterr().out
    assert f"{len(twins)} of 130 rows were trained on or chosen by: scores of all rows are flattered." in out
    assert f"{130 - len(twins)} rows; mean" in out
    found = pd.read_csv(tmp_path / "m.csv").query("arm == 'Plain'").set_index("of")
    new = rows.rows((~trained.seen(rows)).nonzero().flatten())
    assert found.loc["new rows", "auc"] == pytest.approx(trained.evaluate(new)["auc"])
    assert found.loc["all rows", "auc"] == pytest.approx(trained.evaluate(rows)["auc"])
    assert (found.loc["all rows", "seen"], found.loc["new rows", "rows"]) == (len(twins), 130 - len(twins))


def test_rows_from_elsewhere_are_scored_without_a_word(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(made / "people"), elsewhere(tmp_path, 0)]) == 0
    out = capsys.readouterr().out
    assert "trained on" not in out
    assert len(out.splitlines()) == 4


def test_classes_in_another_order_are_the_same_classes(made: Path) -> None:
    trained = rr.load(made / "people")
    raw = data.read(made / "people.csv", target="ill", id="who")
    turned = replace(raw, y=1 - raw.y, classes=raw.classes[::-1])
    assert trained.evaluate(trained.read(turned)) == trained.evaluate(trained.read(raw))
    with pytest.raises(DataError, match=r"has the class 'maybe', which training did not have. Did you mean"):
        trained.read(replace(raw, classes=("no", "maybe")))


LIVES = """
name: lives
data: {path: lives.csv, target: days, event: died, train: 60, validation: 30, splits: 1}
model: {name: mlp, hidden: [4]}
training: {epochs: 20, optimizer: {name: adam, lr: 0.05}}
explain: {rows: 10, attribution: gradient}
arms: [{name: Plain}]
"""


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lives")
    rows = [f"{i % 10},{100 - 7 * (i % 10) + i % 7},{int(i % 4 > 0)}" for i in range(120)]
    (folder / "lives.csv").write_text("x,days,died\n" + "\n".join(rows) + "\n")
    (folder / "recipe.yaml").write_text(LIVES)
    finished(folder, read(folder / "recipe.yaml"))
    return folder


def test_survival_is_predicted_with_its_median(
    lives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "out.csv"
    asked = ["predict", str(lives / "lives"), str(lives / "lives.csv"), "-o", str(to)]
    assert main([*asked, "--times", "50,90"]) == 0
    found = pd.read_csv(to)
    assert list(found) == ["log hazard", "median survival", "S(50)", "S(90)"]
    trained = rr.load(lives / "lives")
    train = trained.parts.train
    wanted = tasks.Baseline.fit(trained.outputs(train.x), train.y)
    rows = trained.read(lives / "lives.csv", labelled=False)
    expected = wanted.survival(trained.outputs(rows.x), [50.0, 90.0])
    assert found[["S(50)", "S(90)"]].to_numpy() == pytest.approx(expected.numpy())
    median = found["median survival"].tolist()
    assert min(median[::10]) > max(median[9::10])
    assert main(asked) == 0
    assert len(pd.read_csv(to).columns) == 5
    capsys.readouterr()
    assert main([*asked, "--times", "5000"]) == 2
    assert "known from time 0 to 105, the longest observation" in capsys.readouterr().err
    assert main([*asked, "--times", "soon"]) == 2
    assert "--times are numbers separated by commas, such as 30,365; got 'soon'." in capsys.readouterr().err


def test_times_are_for_survival(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(made / "people"), new_rows(tmp_path), "--times", "3"]) == 2
    assert "times are for survival" in capsys.readouterr().err


def test_what_a_metric_cannot_say_is_a_dash_and_odd_units_fit() -> None:
    table = {
        "arm": ["A", "A"],
        "split": [0, 1],
        "of": ["all rows", "all rows"],
        "rows": [3, 3],
        "seen": [0, 0],
        "auc": [float("nan"), 0.5],
        "mse": [7.25e12, 8e12],
    }
    line = runs.evaluation_text(table).splitlines()[1]
    assert line.split() == ["A", "-", "7.625e+12", "[7.250e+12,", "8.000e+12]"]
    small = runs.evaluation_text(table | {"auc": [0.5, 0.0], "mse": [2e-20, 4e-20]}).splitlines()[1]
    assert small.split() == ["A", "0.250", "[0.000,", "0.500]", "3.000e-20", "[2.000e-20,", "4.000e-20]"]


@pytest.mark.parametrize(
    ("change", "instead", "message"),
    [
        ("age", "agee", "no column 'age'. Did you mean 'agee'?"),
        ("wine", "gin", "'gin' in row 2 (10 of 20 rows), a category the model has never seen"),
        ("who", "name", "say id=COLUMN (--id)"),
        (",57,", ",old,", "holds numbers, but 'old' in row 2 is none"),
    ],
)
def test_what_is_wrong_with_new_data_is_one_line(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, instead: str, message: str
) -> None:
    assert main(["predict", str(made / "people"), new_rows(tmp_path, change, instead)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_unseen_categories_can_be_allowed(made: Path, tmp_path: Path) -> None:
    assert main(["predict", str(made / "people"), new_rows(tmp_path, "wine", "gin"), "--allow-unseen"]) == 0


def test_evaluate_needs_labels(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "unlabelled.csv"
    pd.read_csv(new_rows(tmp_path)).drop(columns="ill").to_csv(path, index=False)
    assert main(["evaluate", str(made / "people"), str(path)]) == 2
    error = capsys.readouterr().err
    assert "no column 'ill'" in error
    assert "say target=COLUMN (--target)" in error
    assert (
        main(["evaluate", str(made / "people"), new_rows(tmp_path, "ill", "sick"), "--target", "sick"]) == 0
    )


@pytest.mark.parametrize("command", [["predict"], ["evaluate"], ["explain", "-o", "maps.csv"]])
def test_swapped_arguments_are_noticed(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    rows, run = new_rows(tmp_path), str(made / "people")
    assert main([*command, rows, run]) == 2
    assert f"the run comes first, then the data: {run} {rows}" in capsys.readouterr().err


def test_a_file_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", new_rows(tmp_path), new_rows(tmp_path)]) == 2
    assert "is a file, and a run is a folder" in capsys.readouterr().err


def test_evaluate_may_skip_rows_without_a_label(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = new_rows(tmp_path)
    Path(rows).write_text(Path(rows).read_text() + "p99,30,beer,\n")
    assert main(["evaluate", str(made / "people"), rows]) == 2
    assert (
        "first in row 21. A row without a label teaches nothing: leave these rows out"
        in capsys.readouterr().err
    )
    assert main(["evaluate", str(made / "people"), rows, "--skip-unlabelled"]) == 0
    assert "20 rows; mean" in capsys.readouterr().out
