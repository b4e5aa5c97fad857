import pytest

from rightreasons import runs
from rightreasons.recipes import parse
from tests.runs.cases import TABLE, finished

DIGITS = """
name: digits
data: {name: digits, train: 200, validation: 40, test: 60, splits: 1}
model: {name: mlp, hidden: [16]}
training: {epochs: 20, batch_size: 30}
noise: {gaussian: [0]}
explain: {rows: 2, attribution: {name: gradient}}
arms: [{name: Plain}, {name: Smooth, terms: [{prior: total_variation}], weights: [0.001]}]
"""


@pytest.fixture(scope="package")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> runs.RunDirectory:
    return finished(tmp_path_factory.mktemp("runs"), parse(DIGITS))


@pytest.fixture(scope="package")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> runs.RunDirectory:
    return finished(tmp_path_factory.mktemp("runs"), parse(TABLE.replace("splits: 2", "splits: 1")))
