from pathlib import Path

import pytest

from tests.runs.cases import TABLE


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(TABLE)
    return path
