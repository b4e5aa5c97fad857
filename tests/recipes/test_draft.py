from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rightreasons import runs
from rightreasons.core._errors import DataError, RecipeError
from rightreasons.data import outline
from rightreasons.data import read as read_data
from rightreasons.recipes import draft, parse, read
from rightreasons.runs import plan

AWKWARD = "who,day,age,drink,crp,notes,ill\n" + "".join(
    f"p{i},2020-01-{1 + i % 28:02d},{20 + i % 50 if i else 'unknown'},{('beer', 'wine')[i % 2]},"
    f"{i / 7 if i % 9 else '<0.5'},went home on day {i},{('no', 'yes')[i % 5 == 0]}\n"
    for i in range(60)
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(AWKWARD)
    return path


def test_the_draft_of_an_awkward_table_trains(table: Path, tmp_path: Path) -> None:
    text = draft(table, target="ill", id="who", dates_since="2020-01-01")
    small = (
        text.replace("epochs: 150", "epochs: 2").replace("splits: 2", "splits: 1").replace("patience: 30", "")
    )
    (tmp_path / "people.yaml").write_text(small.replace("weights: [0.02, 0.1]", "weights: [0.1]")
                                          .replace("weights: [0.1, 0.5]", "weights: [1]"))  # fmt: skip
    run = runs.run(read(tmp_path / "people.yaml"), tmp_path / "run", workers=0)
    assert run.metrics()["features"] == ["day", "age", "drink", "crp"]


def test_only_a_label_of_numbers_is_standardised(table: Path) -> None:
    table.write_text(AWKWARD.replace("unknown", "20"))
    assert "standardise_labels: true" in draft(table, target="age", drop=["day", "who", "notes"])
    assert "standardise_labels" not in draft(table, target="ill", drop=["day", "who", "notes"])


def test_what_cannot_be_used_is_left_out_with_the_reason(table: Path) -> None:
    text = draft(table, target="ill", id="who", dates_since="2020-01-01", drop=["day"])
    recipe = parse(text)
    assert recipe.data.drop == ["day", "notes"]
    assert recipe.data.missing == ["unknown", "<0.5"]
    assert "- notes # holds 60 different texts in 60 rows" in text
    assert "- <0.5 # in column crp: taken for no value" in text


def test_numbers_that_are_names_are_no_features(table: Path) -> None:
    lines = AWKWARD.splitlines()
    rows = [f"{i},{i // 2},{900 - i},{line}" for i, line in enumerate(lines[1:])]
    table.write_text("\n".join(["visit,patient_id,receipt_id," + lines[0], *rows]) + "\n")
    recipe = parse(draft(table, target="ill", drop=["who"]))
    assert (recipe.data.id, recipe.data.group) == ("visit", "patient_id")
    assert recipe.data.drop == ["who", "day", "notes", "receipt_id"]
    assert parse(draft(table, target="ill", drop=["who"], id="receipt_id")).data.id == "receipt_id"


def test_a_second_identifier_is_left_out_with_the_reason(tmp_path: Path) -> None:
    rows = [f"{i},{526_301_100 + 17 * i * i},{i % 7},{('no', 'yes')[i % 3 == 0]}" for i in range(150)]
    (tmp_path / "houses.csv").write_text("order,parcel,rooms,sold\n" + "\n".join(rows) + "\n")
    text = draft(tmp_path / "houses.csv", target="sold")
    assert (parse(text).data.id, parse(text).data.drop) == ("order", ["parcel"])
    assert "- parcel # another one in each row, as names are; take it in again if it is measured" in text
    outlined = outline(read_data(tmp_path / "houses.csv", target="sold"))
    assert "another one in each row, as names are? Then leave it out: drop" in outlined


def test_a_named_set_needs_nothing_said() -> None:
    text = draft("digits")
    assert text.startswith("# digits, as `rightreasons init` found it.")
    assert (parse(text).data.name, parse(text).model.name) == ("digits", "cnn")
    with pytest.raises(DataError, match="target is for files of your own; the set digits is read as it is"):
        draft("digits", target="number")


def test_many_rows_take_fewer_epochs(tmp_path: Path) -> None:
    rows = torch.randn(50_000, generator=torch.Generator().manual_seed(0)).tolist()
    for count in (1000, 50_000):
        (tmp_path / "x.csv").write_text("x,y\n" + "".join(f"{x},{int(x > 0)}\n" for x in rows[:count]))
        for long, many in ((False, 9), (True, 34)):
            training = parse(draft(tmp_path / "x.csv", target="y", long=long)).training
            assert training.epochs == (150 if count == 1000 else many)


def test_a_first_recipe_is_short_and_its_weights_are_multiples_of_the_tasks_gradient(table: Path) -> None:
    made = partial(draft, table, target="ill", id="who", dates_since="2020-01-01")
    short, long = (parse(made(long=each)) for each in (False, True))
    assert len(plan(short)) == 12
    assert len(plan(long)) == 90
    for recipe in (short, long):
        schedules = {term.schedule.name for arm in recipe.arms for term in arm.terms}
        assert schedules == {"auto"}
        assert max(weight for arm in recipe.arms for weight in arm.weights) <= 1
    assert "init --long" in made()


def test_paths_are_relative_to_where_the_recipe_will_be(table: Path, tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    text = draft(table, target="ill", drop=["day", "who"], folder=tmp_path / "recipes")
    assert parse(text).data.path == "../people.csv"
    assert parse(draft(table, target="ill", drop=["day", "who"])).data.path == "people.csv"


def test_a_label_is_needed(table: Path) -> None:
    with pytest.raises(
        DataError, match=r"no label to learn yet.*--target.*There are: age, drink, crp, ill, notes\."
    ):
        draft(table, drop=["day", "who"])


def test_dates_need_a_beginning(table: Path) -> None:
    text = draft(table, target="ill", id="who")
    assert "- day # holds dates, such as 2020-01-01" in text


def test_pictures_and_sequences_get_what_suits_them(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((8, 8 + i, 3), i, np.uint8)).save(tmp_path / "pets" / name / f"{i}.png")
    with pytest.raises(DataError, match="have 3 sizes"):
        draft(tmp_path / "pets")
    recipe = parse(draft(tmp_path / "pets", size=(8, 8)))
    assert (recipe.model.name, recipe.data.size) == ("cnn", (8, 8))
    assert recipe.arms[2].terms[0].prior.name == "total_variation"  # pyright: ignore[reportOptionalMemberAccess]
    np.savez(tmp_path / "waves.npz", x=np.zeros((30, 2, 9), np.float32), y=np.arange(30) % 2)
    waves = draft(tmp_path / "waves.npz", target="y")
    assert parse(waves).model.name == "gru"
    assert "drop:" not in waves  # an array has no columns to leave out
    np.savez(tmp_path / "matrix.npz", x=np.random.rand(30, 3), y=np.arange(30) % 2)
    assert "drop:" not in draft(tmp_path / "matrix.npz", target="y")
    np.savez(tmp_path / "texts.npz", x=np.ones((30, 5), np.int64), vocabulary=["", "a"], y=np.arange(30) % 2)
    words = parse(draft(tmp_path / "texts.npz", target="y"))
    assert words.model.name == "transformer"
    assert words.explain.attribution.fields["at"] == "positions.embedding"


def test_options_for_files_are_not_for_named_sets() -> None:
    head, tail = "name: r\nmodel: mlp\ntraining: {epochs: 1}\narms: [{name: a}]\ndata: {", "}"
    with pytest.raises(RecipeError, match=r"data: data are either name: .* or path: .*say one of the two"):
        parse(head + "name: digits, path: x.csv" + tail)
    with pytest.raises(RecipeError, match="target is for files of your own"):
        parse(head + "name: digits, target: y" + tail)
    assert "target" not in parse(head + "name: digits" + tail).model_dump()["data"]


def test_row_numbers_without_a_name_are_left_out_and_arrays_have_no_identifiers(tmp_path: Path) -> None:
    lines = "\n".join(f"{i},{i % 7 / 2},{i % 2}" for i in range(40))
    (tmp_path / "t.csv").write_text(f",v,y\n{lines}\n")
    recipe = parse(draft(tmp_path / "t.csv", target="y"))
    assert (recipe.data.id, recipe.data.drop) == (None, ["Unnamed: 0"])
    np.savez(tmp_path / "m.npz", x=np.arange(120.0).reshape(3, 40).T, y=np.arange(40) % 2)
    assert parse(draft(tmp_path / "m.npz", target="y")).data.id is None


def test_the_label_is_among_the_names_of_a_wide_table(tmp_path: Path) -> None:
    names = [f"v{i}" for i in range(200)]
    names[100], names[150] = "Outcome", "sick"
    rows = "\n".join(",".join(str(i * j % 7 + 0.5) for j in range(200)) for i in range(30))
    (tmp_path / "t.csv").write_text(f"{','.join(names)}\n{rows}\n")
    with pytest.raises(DataError, match=r"There are: Outcome, v0, v1, .* v19, v180, .*v199, and 159 more\."):
        draft(tmp_path / "t.csv")
    (tmp_path / "u.csv").write_text(
        "".join(",".join(line.split(",")[120:170]) + "\n" for line in (",".join(names), *rows.splitlines()))
    )
    with pytest.raises(DataError, match="v149, sick, v151"):
        draft(tmp_path / "u.csv")


def test_what_may_be_the_label_lies_apart_from_arrays_and_genes(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "cells.h5ad", "w") as file:
        file["X"] = np.ones((2, 2), dtype="f4")
        for part in ("obs", "var"):
            file.create_group(part).attrs["_index"] = "name"
            file[f"{part}/name"] = np.array(["a", "b"], dtype="S")
        file["obs/cell_type"] = np.array(["t", "u"], dtype="S")
    with pytest.raises(DataError, match=r"target=NAME \(--target\). There are: cell_type\."):
        draft(tmp_path / "cells.h5ad")
    np.savez(tmp_path / "t.npz", x=np.ones((3, 2)), disease=[0, 1, 0], columns=["a", "b"])
    with pytest.raises(DataError, match=r"There are: disease\."):
        draft(tmp_path / "t.npz")
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    with pytest.raises(DataError, match="There is no other array that could be it"):
        draft(tmp_path / "x.npy")
    np.save(tmp_path / "y.npy", np.ones(3))
    with pytest.raises(DataError, match=r"There are: y.npy\."):
        draft(tmp_path / "x.npy")


def test_notation_and_rows_without_a_label_are_passed_on(tmp_path: Path) -> None:
    lines = "".join(f"{i}.000,5;{'ny'[i % 2] if i else ''}\n" for i in range(30))
    (tmp_path / "t.csv").write_text(f"v;y\n{lines}")
    text = draft(
        tmp_path / "t.csv", target="y", separator=";", decimal=",", thousands=".", skip_unlabelled=True
    )
    found = parse(text).data
    assert (found.thousands, found.skip_unlabelled, found.drop) == (".", True, [])
    assert "label: n 14 (48.3 %), y 15 (51.7 %)" in text


def test_a_misspelt_class_is_noticed(tmp_path: Path) -> None:
    rows = ["ships,flags"] * 50 + ["trees,fields"] * 40 + ["treess,flgas"]
    (tmp_path / "t.csv").write_text(
        "v,kind,y\n" + "".join(f"{i + 0.5},{row}\n" for i, row in enumerate(rows))
    )
    text = draft(tmp_path / "t.csv", target="y")
    assert "flgas 1 (1.1 %); is 'flgas' a misspelt 'flags'?" in text
