"""`report` of several runs, `compare` and `export`, as a user calls them."""

import shutil
from pathlib import Path

import pytest

from rightreasons.cli import main
from rightreasons.recipes import parse
from tests.runs.cases import TABLE, finished


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    one = finished(folder, parse(TABLE)).path
    shutil.copytree(one, folder / "copy")
    return folder


def test_compare_prints_a_table_and_writes_a_page(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(made / "tiny-table"), str(made / "copy")]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split()[:2] == ["arm", "auc"]
    assert out[1].startswith("tiny-table: Plain")
    assert out[-1] == f"Page: {made / 'comparison.html'}"
    assert "copy: Sparse" in (made / "comparison.html").read_text()


def test_report_of_a_folder_writes_every_page_and_an_index(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(made)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == [
        f"Report: {made / 'copy' / 'report.html'}",
        f"Report: {made / 'tiny-table' / 'report.html'}",
        f"Index: {made / 'index.html'}",
    ]
    assert (made / "copy" / "report.html").is_file()


def test_an_index_of_one_run_is_written_where_it_is_asked_for(made: Path, tmp_path: Path) -> None:
    assert main(["report", str(made / "copy"), "-o", str(tmp_path / "index.html")]) == 0
    assert "tiny-table" in (tmp_path / "index.html").read_text()


def test_export_writes_named_attributions(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, to = str(made / "tiny-table"), tmp_path / "maps.csv"
    assert main(["export", run, "-o", str(to)]) == 0
    assert capsys.readouterr().out == f"40 explained rows: {to}\n"
    assert to.read_text().splitlines()[0].startswith("arm,split,row,id,label,explained,")
    assert main(["export", run, "--arm", "Sparse"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 21


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["compare", "{made}/copy"], "two runs or more"),
        (["compare", "{made}/copy", "{made}/tiny-tabel"], "Did you mean"),
        (
            ["compare", "{made}/copy", "{made}/tiny-table", "--against", "Sparse"],
            "2 runs have an arm 'Sparse'",
        ),
        (["export", "{made}/copy", "-o", "maps.xlsx"], "written as one of .csv, .parquet"),
        (["report", "{made}/nowhere"], "does not exist"),
    ],
)
def test_errors_are_one_line(
    made: Path, command: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(made=made) for word in command]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert message in err
