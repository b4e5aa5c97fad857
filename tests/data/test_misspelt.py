import pytest

from rightreasons.data._misspelt import misspelt


@pytest.mark.parametrize("name", ["flgas", "flag", "flaggs", "fligs", "Flags", "FLAGS ", "fla gs", "fla-gs"])
def test_one_letter_of_a_frequent_name(name: str) -> None:
    assert misspelt({"flags": 100, name: 10, "other": 100}) == {name: "flags"}


@pytest.mark.parametrize(
    "counts",
    [
        {"flags": 100, "flgas": 11},  # not rare
        {"grade 1": 100, "grade 2": 1},  # digits are no letters
        {"male": 100, "female": 1},
        {"cat": 100, "bat": 1},  # short names
        {"flags": 100, "falsg": 1},  # two moves
        {"flags": 100, "flgas": 0},
        {"a": 100, "": 1},
        {},
    ],
)
def test_other_names_are_left_alone(counts: dict[str, int]) -> None:
    assert misspelt(counts) == {}
