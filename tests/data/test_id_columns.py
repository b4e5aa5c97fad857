import pytest
import torch

from rightreasons.data import Column, DataSet, identifiers

ROWS = 40
SHUFFLED = torch.randperm(ROWS, generator=torch.Generator().manual_seed(0)).double()


def found(name: str, values: torch.Tensor, **fields: object) -> dict[str, str]:
    column = Column(name, **fields)  # pyright: ignore[reportArgumentType]
    return dict(identifiers(DataSet("d", values[:, None], torch.zeros(len(values)), columns=(column,))))


@pytest.mark.parametrize(
    "name", ["id", "ID", "patient_id", "PatientID", "userId", "sample identifier", "visit.id"]
)
def test_whole_numbers_called_identifiers_are_names(name: str) -> None:
    assert found(name, 7 * SHUFFLED + 3) == {name: "id"}
    assert found(name, 7 * (SHUFFLED // 2)) == {name: "group"}


@pytest.mark.parametrize("name", ["acid", "grid", "COVID", "idle", "identity", "age"])
def test_what_only_sounds_alike_is_a_measurement(name: str) -> None:
    assert found(name, 7 * SHUFFLED + 3) == {}


def test_whatever_counts_the_rows_names_them() -> None:
    assert found("Unnamed: 0", SHUFFLED + 100) == {"Unnamed: 0": "id"}
    assert found("age", (SHUFFLED // 2) + 20) == {}


def test_what_differs_in_each_of_many_rows_may_be_a_name() -> None:
    many = torch.randperm(100, generator=torch.Generator().manual_seed(1)).double()
    parcels = 526_301_100 + 17 * many**2
    assert found("PID", parcels) == {"PID": "unlike"}
    assert found("PID", parcels[:99]) == {}  # fewer are different by chance
    assert found("price", torch.where(many == 3, parcels[0], parcels)) == {}  # one repeats itself
    assert found("weight", parcels + 0.5) == {}
    names = tuple(f"p{i}" for i in range(ROWS))
    assert found("who", SHUFFLED, levels=names) == {"who": "unlike"}
    assert found("ward", SHUFFLED // 2, levels=names) == {}


def test_measurements_are_none_whatever_they_are_called() -> None:
    assert found("id", SHUFFLED + 0.5) == {}
    assert found("id", torch.where(SHUFFLED == 3, torch.nan, SHUFFLED)) == {}
    assert found("id", SHUFFLED % 2, levels=("no", "yes")) == {}
    assert found("id", SHUFFLED[:10]) == {}
