import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from rightreasons import __version__
from rightreasons.cli import main
from rightreasons.cli._progress import Display
from rightreasons.core._errors import DataError
from rightreasons.recipes import json_schema, parse
from rightreasons.runs import Progress, RunDirectory, plan, run
from tests.runs.cases import TABLE, table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Runs go into a temporary folder and stay in this process."""
    monkeypatch.chdir(tmp_path)

    def in_this_process(*given: object, workers: int | None = None, **more: object) -> object:
        return run(*given, workers=0, **more)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr("rightreasons.runs.run", in_this_process)
    return tmp_path


def test_train_then_report(here: Path, recipe_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(recipe_file)]) == 0
    out, err = capsys.readouterr()
    page = here / "runs" / "tiny-table" / "report.html"
    assert out == "Report: runs/tiny-table/report.html\n"
    assert "training 4 fits" in err
    written = page.read_text()
    page.unlink()
    assert main(["report", "runs/tiny-table"]) == 0
    assert page.read_text() == written


def test_values_of_a_recipe_can_be_set(here: Path, recipe_file: Path) -> None:
    assert (
        main(
            ["train", str(recipe_file), "--no-report", "--set", "training.epochs=1", "--set", "data.splits=1"]
        )
        == 0
    )
    recipe = RunDirectory(here / "runs" / "tiny-table").recipe()
    assert (recipe.training.epochs, recipe.data.splits) == (1, 1)


def test_the_schema_of_recipes_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()


def test_several_recipes_have_a_folder_each(
    here: Path, recipe_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = here / "other.yaml"
    other.write_text(TABLE.replace("tiny-table", "other").replace("splits: 2", "splits: 1"))
    assert main(["train", str(recipe_file), str(other), "-o", "out", "--no-report"]) == 0
    assert capsys.readouterr().out == "Run: out/tiny-table\nRun: out/other\n"
    assert (here / "out" / "other" / "metrics.json").is_file()


def broken(there: str, instead: str) -> Callable[[Path], list[str]]:
    def write(path: Path) -> list[str]:
        path.write_text(TABLE.replace(there, instead, 1))
        return ["train", str(path)]

    return write


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (broken("epochs", "epoch"), "there is no key 'epoch' here. Did you mean 'epochs'?"),
        (broken("epochs: 3", "epochs: three"), "training.epochs: input should be a valid integer"),
        (broken("nhefs", "nhef"), "Did you mean 'nhefs'?"),
        (lambda path: ["train", str(path.with_name("recipes.yaml"))], "Did you mean"),
        (lambda path: ["train", str(path), str(path)], "recipes given together must have different names"),
        (lambda path: ["report", str(path.with_name("nothing"))], "does not exist"),
        (lambda path: ["train"], "Missing argument 'RECIPE...'. Try: rightreasons train --help\n"),
        (lambda path: ["predict", "a"], "Missing argument 'DATA'. Try: rightreasons predict --help\n"),
        (lambda path: ["data", "describe"], "Try: rightreasons data describe --help\n"),
        (
            lambda path: ["train", str(path), "--epochs", "3"],
            "--epochs. It is said in the recipe; for one run: --set "
            "training.epochs=VALUE. Try: rightreasons train --help\n",
        ),
        (lambda path: ["train", str(path), "--lr", "3"], "--set training.optimizer.lr=VALUE"),
        (
            lambda path: ["train", str(path), "--nonsense"],
            "option: --nonsense. Try: rightreasons train --help\n",
        ),
        (
            lambda path: ["attack", str(path), "--esp", "1"],
            "option: --esp. Did you mean --eps? Try: rightreasons attack",
        ),
        (lambda path: ["trian", str(path)], "No such command 'trian'"),
        (lambda path: ["train", str(path), "--worker", "2"], "option: --worker. Did you mean --workers? Try"),
        (lambda path: ["train", str(path), "--workers", "0"], "Invalid value"),
        (lambda path: ["train", str(path), "--set", "training.epoch=1"], "Did you mean 'epochs'?"),
        (lambda path: ["train", str(path), "--set", "epochs"], "--set takes KEY=VALUE"),
    ],
)
def test_errors_are_one_line_and_exit_code_two(
    here: Path,
    recipe_file: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: Callable[[Path], list[str]],
    message: str,
) -> None:
    assert main(arguments(recipe_file)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert message in err
    assert "Traceback" not in err


def test_version_help_and_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rightreasons {__version__}\n"
    assert main(["train", "--help"]) == 0
    assert "--workers" in capsys.readouterr().out
    assert main([]) == 2
    assert "train" in capsys.readouterr().err


def test_an_interrupt_says_how_to_go_on(
    recipe_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rightreasons.runs.run", interrupted)
    assert main(["train", str(recipe_file), "-o", str(recipe_file.parent / "run")]) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_an_error_nobody_foresaw_is_not_hidden(recipe_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_inside(*given: object, **more: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("rightreasons.runs.run", broken_inside)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main(["train", str(recipe_file), "-o", str(recipe_file.parent / "run")])


def test_python_dash_m_is_the_command() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "rightreasons", "train", "nowhere.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no recipe 'nowhere.yaml'")


def test_progress_on_a_terminal_names_the_last_fit() -> None:
    console = Console(force_terminal=True, width=160, record=True, file=open(os.devnull, "w"))
    fits = plan(table())
    with Display("tiny", console) as display:
        display(Progress("train", 1, 4, 1))
        display(Progress("train", 2, 4, 1, fits[0]))
    assert "2/4" in console.export_text()
    console.file.close()


def interrupted_run() -> None:
    with Display("tiny") as display:
        display(Progress("train", 1, 4, 1))
        for done in (2, 3, 4):
            display(Progress("train", done, 4, 1, plan(table())[done - 1]))
        raise DataError("stop")


def test_progress_elsewhere_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="stop"):
        interrupted_run()
    lines = capsys.readouterr().err.splitlines()
    assert [line.rsplit(" (", 1)[0] for line in lines] == [
        "tiny: starting",
        "tiny: training 4 fits, 1 found finished",
        "tiny: training 4/4, Sparse, split 2",
    ]


def many(count: int) -> list[Progress]:
    fits = plan(parse(TABLE.replace("splits: 2", f"splits: {count // 2}")))
    return [Progress("train", done, count, 0, fits[done - 1]) for done in range(1, count + 1)]


def test_two_hundred_fits_are_a_line_every_ten_seconds_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(10**6))
    monkeypatch.setattr("rightreasons.cli._progress.monotonic", lambda: float(next(clock)))
    with Display("tiny") as display:
        for progress in many(200):
            display(progress)
    lines = capsys.readouterr().err.splitlines()
    assert 15 < len(lines) < 90
    line = r"tiny: training \d+/200, about \d+ (s|min) left, (Plain|Sparse), split \d+ \(\d+ s\)"
    assert re.fullmatch(line, lines[9])
    assert "200/200, Sparse, split 100" in lines[-2]


def test_the_first_fits_tell_nothing_about_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with Display("tiny") as display:
        for progress in many(10)[:6]:
            display.spoken = -1e9  # long ago
            display(progress)
    lines = [line for line in capsys.readouterr().err.splitlines() if "/10" in line]
    assert [" left" in line for line in lines] == [False] * 3 + [True] * 3


def test_two_hundred_fits_on_a_terminal_are_one_bar_with_the_time_left() -> None:
    console = Console(force_terminal=True, width=160, record=True, file=open(os.devnull, "w"))
    with Display("tiny", console) as display:
        for progress in many(200):
            display(progress)
        text = "".join(segment.text for segment in console.render(display.bars.get_renderable()))
    console.file.close()
    assert len(text.splitlines()) == 1
    assert "200/200" in text
    assert "Sparse, split 100" in text
    assert "left 0:00:00" in text
