import shutil
from pathlib import Path

import pytest

from rightreasons import report
from rightreasons.core._errors import DataError
from rightreasons.report._run_view import Source
from rightreasons.report.pages._index import _verdicts
from rightreasons.runs import RunDirectory


@pytest.fixture
def folder(tmp_path: Path, image_run: RunDirectory, table_run: RunDirectory) -> Path:
    for run in (image_run, table_run):
        to = tmp_path / run.path.name
        to.mkdir()
        for name in ("metrics.json", "recipe.yaml"):
            shutil.copy(run.path / name, to)
    (tmp_path / "stopped").mkdir()
    shutil.copy(image_run.recipe_file, tmp_path / "stopped")
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_a_row_for_each_run_that_leads_to_its_page(folder: Path) -> None:
    where = report.write_index([folder])
    assert where == folder / "index.html"
    page = where.read_text()
    assert '<a href="tiny/report.html">A tiny run (tiny)</a>' in page
    assert '<a href="tiny-table/report.html">tiny-table</a>' in page
    for words in (
        "digits",
        "nhefs",
        "3 × 2",
        "2 × 2",
        "Plain: accuracy",
        "Plain: AUC",
        "Not finished: stopped",
    ):
        assert words in page, words
    assert "notes" not in page


def test_links_are_relative_to_where_the_page_is(folder: Path) -> None:
    where = report.write_index([folder / "tiny", folder / "tiny-table"], folder / "pages" / "all.html")
    assert 'href="../tiny/report.html"' in where.read_text()
    assert report.write_index([folder / "tiny"]) == folder / "index.html"


def test_verdicts_name_the_arms_something_came_out_for(table_run: RunDirectory) -> None:
    source = Source.of(table_run)
    usual = source.metrics["comparisons"][0]
    several = [
        usual | {"arm": "A", "verdict": "helps"}, usual | {"arm": "B", "verdict": "cannot tell"},
        usual | {"arm": "C", "verdict": "helps", "outcome": "salt_and_pepper"},
    ]  # fmt: skip
    source.metrics["comparisons"] = several
    assert _verdicts(source) == "helps: A, C (salt and pepper); cannot tell: 1 of 3"
    source.metrics["comparisons"] = []
    assert _verdicts(source) == "nothing compared"


def test_a_folder_without_runs_is_said(folder: Path) -> None:
    with pytest.raises(DataError, match="has no results yet"):
        report.write_index([folder / "notes"])
    (folder / "tiny" / "metrics.json").write_text('{"headline": "auc"}')
    with pytest.raises(DataError, match="tiny/metrics.json is of another version, or damaged: it has no"):
        report.write_index([folder])
