"""`predict` and `evaluate`, as a user calls them."""

from pathlib import Path

import pandas as pd
import pytest

from rightreasons import runs
from rightreasons.cli import main
from rightreasons.recipes import read
from tests.runs.cases import finished
from tests.runs.test_load import PEOPLE, people


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
    assert list(pd.read_csv(tmp_path / "m.csv")["arm"]) == ["Plain", "Sparse"]


def test_what_a_metric_cannot_say_is_a_dash_and_odd_units_fit() -> None:
    table = {
        "arm": ["A", "A"],
        "split": [0, 1],
        "rows": [3, 3],
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
