"""Adding an attribution method touches the files that CONTRIBUTING names, and no others."""

import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COPIED = (
    "src",
    "tests",
    "benchmarks",
    "docs",
    "recipes",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "pyproject.toml",
)
METHOD = '''"""Half the gradient."""

from dataclasses import dataclass
from typing import ClassVar, final

from rightreasons.attribution._attribution import Advice, Axioms, Call
from rightreasons.attribution.path._gradient import GradientSum
from rightreasons.attribution.path._path import PathAttribution, PathSum, Sums
from rightreasons.core._checked import checked
from rightreasons.core._score import Output
from rightreasons.core.model._function import ScoreFunction


class _Half(GradientSum):
    def combine(self, sums: Sums, rows: slice) -> Sums:
        return tuple(g / 2 for g in sums)


@final
@checked
@dataclass(frozen=True, repr=False)
class HalvedGradient(PathAttribution):
    """Half the derivative of the explained output [nobody2026]."""

    axioms: ClassVar[Axioms] = Axioms(
        complete=False,
        sensitive=False,
        dummy=True,
        implementation_invariant=True,
        linear=True,
        differentiable=True,
    )
    advice: ClassVar[Advice] = Advice("it is a test", "it is not")

    output: Output = "logit"
    at: str | None = None

    def path(self, function: ScoreFunction, call: Call) -> PathSum:
        return _Half(function, times_input=False)
'''
TEST = '''"""Half the gradient."""

import torch

import rightreasons as rr


def test_it_is_half_the_slope() -> None:
    x = torch.tensor([[1.0, 3.0]])
    assert torch.equal(rr.HalvedGradient()(lambda x: (x**2).sum(1), x), x)
'''
BIB = "@misc{nobody2026,\n  author = {Nobody},\n  title = {Half},\n  year = {2026},\n}\n\n"
EDITS = {
    "src/rightreasons/attribution/path/_halved_gradient.py": ("", METHOD),
    "src/rightreasons/attribution/__init__.py": (
        '__all__ = [\n',
        "from rightreasons.attribution.path._halved_gradient import HalvedGradient\n\n"
        '__all__ = [\n    "HalvedGradient",\n',
    ),
    "src/rightreasons/references.bib": ("", BIB),
    "tests/cases.py": (
        'CATALOGUE: tuple[Catalogued, ...] = (\n',
        'CATALOGUE: tuple[Catalogued, ...] = (\n    Catalogued("halved gradient", rr.HalvedGradient()),\n',
    ),
    "tests/attribution/path/test_halved_gradient.py": ("", TEST),
    "CHANGELOG.md": ("### Added\n\n", "### Added\n\n- `HalvedGradient`.\n"),
}  # fmt: skip
CHECKED = (
    *("tests/attribution/test_catalogue.py", "tests/attribution/test_axiom_table.py"),
    *("tests/attribution/test_constructs.py", "tests/attribution/path/test_halved_gradient.py"),
    *("tests/test_measured.py", "tests/test_repository.py", "tests/recipes/test_names.py"),
)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def named_in_contributing() -> set[str]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files = re.findall(r"^\d\. `([^`]+)`", text, re.MULTILINE)
    return {file.replace("KIND", "path").replace("METHOD", "halved_gradient") for file in files}


def edit(folder: Path) -> None:
    for name, (there, instead) in EDITS.items():
        file = folder / name
        if name.endswith(".bib"):
            file.write_text(_sorted_in(file.read_text(encoding="utf-8")), encoding="utf-8")
            continue
        before = file.read_text(encoding="utf-8") if there else ""
        assert there in before, name
        file.write_text(before.replace(there, instead or "", 1) if there else instead or "", encoding="utf-8")


def _sorted_in(text: str) -> str:
    later = next(m for m in re.finditer(r"^@\w+\{(\w+),", text, re.MULTILINE) if m[1] > "nobody2026")
    return text[: later.start()] + BIB + text[later.start() :]


def run(folder: Path, *words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    for name in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[name]
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_a_method_touches_six_files_and_passes_every_conformance_test(tmp_path: Path) -> None:
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    before = digests(tmp_path)
    edit(tmp_path)
    after = digests(tmp_path)
    touched = {name for name in after if after[name] != before.get(name)}
    assert touched == named_in_contributing()
    assert len(touched) <= 6
    run(tmp_path, "benchmarks/_methods.py")
    chosen = (
        "halved or Halved or every_method or every_public or the_tables or references or snake or round_trips"
    )
    run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CHECKED, "-k", chosen)
    named = "from rightreasons.recipes import _names; assert 'halved_gradient' in _names.KINDS['attribution']"
    run(tmp_path, "-c", named)
