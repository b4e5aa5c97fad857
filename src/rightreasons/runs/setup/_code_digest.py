"""Digest of the source code that decides what a fit computes."""

import ast
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

import rightreasons

_DECIDE_NO_FIT = ("audit", "cli", "integrations", "plot", "report", "runs/inference", "runs/results")


@cache
def code_digest() -> str:
    """Ten hexadecimal digits that change if the code behind a fit does, so that results of two versions never mix.

    Each file counts by its statements: moving or renaming a file, its docstrings, comments and layout, and where it
    imports from inside the package decide nothing. Packages that only read results are left out.
    """
    root = Path(rightreasons.__file__).parent
    own = sorted(sha256(_statements(file).encode()).hexdigest() for file in _deciding(root))
    return sha256("\n".join(own).encode()).hexdigest()[:10]


def _deciding(root: Path) -> Iterator[Path]:
    for file in root.rglob("*.py"):
        place = file.relative_to(root).as_posix()
        if not place.startswith(tuple(f"{room}/" for room in _DECIDE_NO_FIT)):
            yield file


def _statements(file: Path) -> str:
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        for name, block in ast.iter_fields(node):
            if isinstance(block, list) and name in ("body", "orelse", "finalbody"):
                block[:] = [statement for statement in block if not _decides_nothing(statement)]
    return ast.dump(tree)


def _decides_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return (statement.module or "").partition(".")[0] == "rightreasons"
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
