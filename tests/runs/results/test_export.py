from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rightreasons.core._errors import DataError, InputError
from rightreasons.runs import RunDirectory, attributions, write_table
from tests.runs.kinds import known, run_of

FIRST = ["arm", "split", "row", "id", "label", "explained"]


def test_every_explained_row_is_there_under_the_names_of_the_data(
    table_run: RunDirectory, tmp_path: Path
) -> None:
    metrics = table_run.metrics()
    write_table(attributions(table_run.path), tmp_path / "maps.parquet")
    found = pd.read_parquet(tmp_path / "maps.parquet")
    assert list(found) == [*FIRST, *metrics["features"]]
    assert len(found) == 2 * 2 * 10
    assert set(found["explained"]) == {"death"}
    assert set(found["label"]) <= {"alive", "death"}
    for arm in metrics["arms"]:
        for chosen in arm["chosen"]:
            own = found[(found["arm"] == arm["name"]) & (found["split"] == chosen["split"])]
            np.testing.assert_array_equal(
                own[metrics["features"]].to_numpy(np.float32), table_run.maps(chosen["key"])["maps"]
            )


def test_one_arm(table_run: RunDirectory) -> None:
    assert set(attributions(table_run.path, arm="Sparse")["arm"]) == {"Sparse"}
    with pytest.raises(InputError, match="has no arm 'Spars'. Did you mean 'Sparse'"):
        attributions(table_run.path, arm="Spars")


def test_images_have_no_columns(image_run: RunDirectory) -> None:
    with pytest.raises(
        DataError, match=r"'digits', which is no table: its maps are arrays, in .*/maps/\*\.npz"
    ):
        attributions(image_run.path)


@pytest.mark.parametrize(
    ("kind", "labels", "explained"),
    [
        ("survival", ["label: time", "label: event"], {"log-hazard"}),
        ("multilabel", ["label: red", "label: green", "label: blue"], {"red", "green", "blue"}),
        ("regression", ["label"], {"predicted value"}),
        ("multiclass-table", ["label"], {"low", "mid", "high"}),
    ],
)
def test_every_task_says_its_labels_and_what_is_explained(
    kind: str, labels: list[str], explained: set[str], tmp_path: Path
) -> None:
    run = run_of(kind, tmp_path)
    with known():
        found = attributions(run.path)
    assert list(found) == ["arm", "split", "row", *labels, "explained", *(f"lab {i}" for i in range(6))]
    assert set(found["explained"]) == explained
    assert {len(values) for values in found.values()} == {2 * 2 * 24}
