"""Pages in a real browser. Skipped where there is none; `apt-get install chromium` brings one."""

from pathlib import Path

import pytest

from rightreasons import report
from rightreasons.runs import RunDirectory
from tests.report.browser import measure, needs_chromium, pdf

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(params=["image_run", "table_run"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    run: RunDirectory = request.getfixturevalue(request.param)
    to = tmp_path / "report.html"
    to.write_text(report.render(run))
    return to


def test_a_page_fits_every_width_says_nothing_and_asks_for_nothing(page: Path, tmp_path: Path) -> None:
    found, said = measure(page, tmp_path)
    assert "CONSOLE" not in said
    for name, frame in found.items():
        assert frame["width"] <= frame["asked"], name
        assert frame["requests"] == []
        assert frame["focusable"] > 10
    assert found["w400"]["hidden"] > 0  # behind their summaries
    assert found["print"]["hidden"] == 0  # all is open in print


def test_a_page_prints(page: Path, tmp_path: Path) -> None:
    content = pdf(page, tmp_path)
    assert content.startswith(b"%PDF")
    assert 3 <= content.count(b"/Type /Page\n") <= 20


def test_the_browser_would_say_what_is_wrong(tmp_path: Path) -> None:
    """The test above can fail: a page that is too wide, logs, and asks for a picture."""
    wrong = tmp_path / "wrong.html"
    wrong.write_text(
        "<!doctype html><body><div style='width:3000px'>wide</div><img src='http://127.0.0.1:9/picture.png'>"
        "<script>console.error('a word')</script>"
    )
    found, said = measure(wrong, tmp_path)
    assert "a word" in said
    assert found["w400"]["width"] > 400
    assert found["w400"]["requests"]
