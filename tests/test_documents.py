"""Every Python block of the README and the documentation runs, top to bottom, page by page."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rightreasons.recipes import _names
from rightreasons.recipes._training import Training

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [
    path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if BLOCK.search(path.read_text())
]


@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning")  # Lightning's, about torch
@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The blocks of a page share one namespace, so a page is one test: random order must not separate them.
    monkeypatch.chdir(tmp_path)
    text = path.read_text()
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in BLOCK.finditer(text):
        # Blank lines in front, so that a traceback shows the line of the page.
        above = "\n" * text[: block.start(1)].count("\n")
        exec(compile(above + block[1], str(path), "exec"), namespace)


@pytest.mark.slow
def test_the_script_for_torchrun_trains_the_same_on_one_and_two_processes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "training.md").read_text()
    script = re.search(r"<!-- torchrun -->\n```py\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert script is not None
    (tmp_path / "train.py").write_text(script[1])
    found = []
    for processes in (1, 2):
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        endpoint = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, *endpoint, "train.py"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        count, sums = done.stdout.strip().split(" processes: ")
        assert count == str(processes)
        found.append(ast.literal_eval(sums))
    assert found[0] == pytest.approx(found[1], abs=2e-4)  # printed to four digits


def test_the_table_of_how_to_train_names_every_key() -> None:
    page = (ROOT / "docs" / "training.md").read_text()
    keys = {
        key
        for line in page.splitlines()
        if line.startswith("| `")
        for key in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert keys == set(Training.model_fields)
    for kind in ("optimizer", "schedule", "augmentation", "engine"):
        for name in _names.KINDS[kind]:
            assert f"`{name}`" in page
