import pytest
import torch

from rightreasons.data import SURVIVAL, Column, DataSet, outline
from rightreasons.data._describe import doubts


def test_columns_with_their_kind_and_what_is_missing() -> None:
    x = torch.tensor([[20.0, 0.0], [float("nan"), 1.0], [40.0, 1.0], [60.0, float("nan")]])
    columns = (Column("age"), Column("drink", levels=("beer", "wine")))
    found = outline(DataSet("people", x, torch.tensor([0, 0, 0, 1]), columns=columns, classes=("no", "yes")))
    assert found.splitlines() == [
        "people: 4 rows of shape (2)",
        "label: no 3 (75.0 %), yes 1 (25.0 %)",
        "  age    numbers 20 to 60, mean 40, 1 missing (25.0 %)",
        "  drink  2 categories: beer, wine, 1 missing (25.0 %)",
    ]


def test_numbers_that_are_names_are_pointed_out() -> None:
    x = torch.stack([torch.arange(30), torch.arange(30) // 3], dim=1).float()
    columns = (Column("row"), Column("patient_id"))
    lines = outline(DataSet("visits", x, torch.zeros(30), columns=columns)).splitlines()[2:]
    assert lines[0].endswith("names rows? Then say so: id")
    assert lines[1].endswith("names what rows belong to? Then say so: group")


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"y": torch.tensor([[3.0, 1.0], [5.0, 0.0]]), "labels": SURVIVAL}, "time 3 to 5, 1 events (50.0 %)"),
        ({"y": torch.tensor([[1.0, 1.0], [0.0, 1.0]])}, "0 1 (50.0 %), 1 2 (100.0 %)"),
        ({"y": torch.tensor([2.0, 4.0])}, "numbers 2 to 4, mean 3"),
        ({"y": torch.tensor([torch.nan, torch.nan])}, "none"),
    ],
)
def test_labels_of_every_task(fields: dict[str, object], label: str) -> None:
    data = DataSet("d", torch.zeros(2, 1, 2, 2), **fields)  # pyright: ignore[reportArgumentType]
    assert outline(data).splitlines()[1] == f"label: {label}"


def test_what_else_one_should_know() -> None:
    data = DataSet(
        "d",
        torch.zeros(2, 1, 2, 2),
        torch.zeros(2),
        bounds=(0.0, 1.0),
        clusters=("a", "a"),
        parts=("train", "test"),
    )
    assert outline(data).splitlines()[2:] == [
        "values: within [0, 1]",
        "groups: 1, never divided between parts of a split",
        "parts: train 1, test 1",
    ]


def test_names_that_are_probably_misspelt() -> None:
    x = torch.tensor([[0.0]] * 40 + [[1.0]])
    y = torch.tensor([0] * 40 + [1])
    columns = (Column("sex", levels=("male", "mael")),)
    text = outline(DataSet("d", x, y, columns=columns, classes=("flags", "flgas")))
    assert "flgas 1 (2.4 %); is 'flgas' a misspelt 'flags'?" in text
    assert "2 categories: male, mael; is 'mael' a misspelt 'male'?" in text


def test_doubts_name_the_column_and_both_names() -> None:
    x = torch.tensor([[0.0]] * 40 + [[1.0], [torch.nan]])
    y = torch.tensor([0] * 40 + [1, 1])
    columns = (Column("sex", levels=("male", "mael")),)
    found = doubts(DataSet("d", x, y, columns=columns, classes=("flags", "flgas")))
    assert found == ["label: is 'flgas' a misspelt 'flags'?", "sex: is 'mael' a misspelt 'male'?"]
    assert doubts(DataSet("d", x, y, columns=columns, classes=("ill", "well")))[1:] == []
    assert doubts(DataSet("d", x, torch.zeros(42))) == []
