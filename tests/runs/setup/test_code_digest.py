"""A fit is known by the code that decides it, not by where that code lies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import rightreasons
from rightreasons.runs import plan
from rightreasons.runs.setup._code_digest import code_digest
from tests.runs.cases import images

LINES = """\"\"\"What it is for.\"\"\"

from rightreasons.data._b import other


def double(x: int) -> int:
    \"\"\"Twice x.\"\"\"
    return other(2 * x)  # why
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of one file, in place of ours."""
    root = tmp_path / "rightreasons"
    for room in ("data", "data/readers", "report", "runs/results"):
        (root / room).mkdir(parents=True)
    (root / "data" / "_a.py").write_text(LINES)
    monkeypatch.setattr(rightreasons, "__file__", str(root / "__init__.py"))
    code_digest.cache_clear()
    yield root
    code_digest.cache_clear()


def now() -> str:
    code_digest.cache_clear()
    return code_digest()


def test_moving_renaming_documenting_and_laying_out_decide_nothing(package: Path) -> None:
    before = now()
    (package / "data" / "_a.py").rename(package / "data" / "readers" / "_renamed.py")
    moved = (
        LINES.replace("data._b", "data.readers._c").replace("Twice x.", "Two times x.").replace("  # why", "")
    )
    (package / "data" / "readers" / "_renamed.py").write_text(moved.replace("\n\n\n", "\n\n"))
    assert now() == before


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ("2 * x", "3 * x"),
        ("double", "twice"),
        ("return", "import math\n    return"),
        ("int) ->", "float) ->"),
    ],
)
def test_what_is_computed_decides(package: Path, there: str, instead: str) -> None:
    before = now()
    (package / "data" / "_a.py").write_text(LINES.replace(there, instead))
    assert now() != before


def test_new_code_makes_other_fits_but_pages_and_summaries_do_not(package: Path) -> None:
    def names() -> set[str]:
        code_digest.cache_clear()
        return {fit.id for fit in plan(images())}

    before = names()
    for room in ("report", "runs/results"):
        (package / room / "_b.py").write_text("x = 1\n")
    assert names() == before
    (package / "data" / "_b.py").write_text("x = 1\n")
    assert not names() & before
