import pytest

from rightreasons.runs import RunDirectory
from tests.runs.cases import finished, images, table


@pytest.fixture(scope="package")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished(tmp_path_factory.mktemp("runs"), images())


@pytest.fixture(scope="package")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished(tmp_path_factory.mktemp("runs"), table())
