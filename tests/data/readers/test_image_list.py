from pathlib import Path

import numpy as np
import pytest
import torch

from rightreasons.core._errors import DataError
from rightreasons.data import outline, predefined, read, splits

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("pandas")

LINES = "file,finding,age,patient,part\nx/1.png,ill,3.5,p1,train\nx/2.png,well,4,p1,train\ny/z/3.png,ill,7.25,p2,test\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, place in enumerate(("x/1.png", "x/2.png", "y/z/3.png")):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 4), 51 * i).save(tmp_path / place)
    (tmp_path / "labels.csv").write_text(LINES)
    return tmp_path


def test_a_file_says_label_group_and_part_of_images_wherever_they_lie(folder: Path) -> None:
    data = read(folder, labels="labels.csv", target="finding", group="patient", split="part")
    assert data.ids == ("x/1.png", "x/2.png", "y/z/3.png")
    assert (data.y.tolist(), data.classes) == ([0, 1, 0], ("ill", "well"))
    assert (data.clusters, data.parts) == (("p1", "p1", "p2"), ("train", "train", "test"))
    torch.testing.assert_close(data.x[:, 0, 0, 0], torch.tensor([0.0, 0.2, 0.4]))
    assert read(folder, labels="labels.csv", target="age").y.tolist() == [3.5, 4.0, 7.25]


def test_rows_are_in_the_order_of_the_file_and_what_it_does_not_name_is_said(folder: Path) -> None:
    (folder / "labels.csv").write_text("image,y\ny/z/3.png,1\nx/1.png,0\n")
    data = read(folder, labels="labels.csv", target="y", id="image")
    assert data.ids == ("y/z/3.png", "x/1.png")
    assert data.y.tolist() == [1, 0]
    assert "note: 1 images of the folder are not named in labels.csv, such as 2.png: left out." in outline(
        data
    )


def test_without_a_target_folders_are_the_classes(folder: Path) -> None:
    (folder / "y" / "z" / "3.png").rename(folder / "y" / "3.png")
    (folder / "labels.csv").write_text("file,patient\ny/3.png,p2\nx/1.png,p1\n")
    data = read(folder, labels="labels.csv", group="patient")
    assert (data.y.tolist(), data.classes, data.clusters) == ([1, 0], ("x", "y"), ("p2", "p1"))


def test_without_a_target_every_image_is_in_the_folder_of_a_class(folder: Path) -> None:
    (folder / "y" / "z" / "3.png").rename(folder / "y" / "3.png")
    (folder / "more").mkdir()
    Image.new("L", (6, 4)).save(folder / "more" / "4.png")
    (folder / "labels.csv").write_text("file,patient\ny/../more/4.png,p2\nx/1.png,p1\n")
    with pytest.raises(DataError, match=r"4.png, which is in the folder of no class. Say .*target=COLUMN"):
        read(folder, labels="labels.csv", group="patient")


def test_several_images_of_a_patient_stay_on_one_side(tmp_path: Path) -> None:
    lines = ["file,y,patient"]
    for i in range(60):
        (tmp_path / "a").mkdir(exist_ok=True)
        Image.new("L", (3, 3), i).save(tmp_path / "a" / f"{i}.png")
        lines.append(f"a/{i}.png,{i // 3 % 2},p{i // 3}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    data = read(tmp_path, labels="labels.csv", target="y", group="patient")
    for split in splits(data, 3, 0.6, 0.2, None, seed=0, stratify=True):
        sides = [{data.clusters[i] for i in part.tolist()} for part in split]
        assert sum(map(len, sides)) == 20 == len(set.union(*sides))
    with pytest.raises(DataError, match="names train and 0|named train and"):
        next(predefined(data))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, {}, r"The label file .*labels.csv cannot be read as CSV: No such file"),
        (
            "image,y\nx/1.png,0\n",
            {},
            r"labels.csv has no column 'file'\. Known: 'image', 'y'\. Say id=COLUMN",
        ),
        (LINES, {"target": "findin"}, r"has no column 'findin'\. Did you mean 'finding'\?"),
        (
            LINES,
            {"target": "finding", "group": "patients"},
            r"has no column 'patients'\. Did you mean 'patient'\?",
        ),
        ("file,y\nx/9.png,0\nx/1.png,1\n", {}, r"names the image 'x/9.png' in row 1, and there is no file"),
        ("file,y\nx/1.png,0\nx/1.png,1\n", {}, r"must name one row, but 'x/1.png' names rows 1 and 2"),
        ("file,y\nx/1.png,0\nx/../x/1.png,1\n", {}, r"names the image .*1.png in row 1 and in row 2"),
        (
            "file,y\nx/1.png,0\nx/2.png\n",
            {},
            r"cannot be read as CSV: line 3 .row 2. has 1 cells, and the header in line 1 has 2",
        ),
        (
            "file,y\nx/1.png,0,5\nx/2.png,1,5\n",
            {},
            r"cannot be read as CSV: line 2 .row 1. has 3 cells, and the header in line 1 has 2",
        ),
        ("file,y\nx/1.png,0\nx/2.png,\n", {}, r"Target 'y' of .* is missing in 1 of 2 rows, first in row 2"),
    ],
)
def test_what_is_wrong_with_a_label_file_is_named(
    folder: Path, text: str | None, options: dict[str, str], message: str
) -> None:
    (folder / "labels.csv").unlink()
    if text is not None:
        (folder / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read(folder, labels="labels.csv", target=options.get("target", "y"), group=options.get("group"))


@pytest.mark.parametrize(
    "options", [{"target": "finding"}, {"group": "patient"}, {"id": "file"}, {"label": "class"}]
)
def test_columns_of_images_need_a_file(folder: Path, options: dict[str, str]) -> None:
    with pytest.raises(
        DataError, match=rf"have a column '{next(iter(options))}|have a column .* labels=FILE"
    ):
        read(folder, **options)  # pyright: ignore[reportArgumentType]


def test_big_numbers_as_names_stay_text(folder: Path) -> None:
    for name in ("007.png", "1e5.png"):
        Image.new("L", (6, 4)).save(folder / name)
    (folder / "labels.csv").write_text("file,y,patient\n007.png,0,007\n1e5.png,1,1e5\n")
    data = read(folder, labels="labels.csv", target="y", group="patient")
    assert data.clusters == ("007", "1e5")
    assert np.array_equal(data.y.numpy(), [0, 1])


def test_cells_of_the_file_end_where_it_is_said(folder: Path) -> None:
    (folder / "labels.csv").write_text(LINES.replace(",", ";"))
    with pytest.raises(DataError, match=r"The label file .*say separator=';' .--separator."):
        read(folder, labels="labels.csv", target="finding")
    data = read(folder, labels="labels.csv", target="finding", separator=";")
    assert (data.ids, data.y.tolist()) == (("x/1.png", "x/2.png", "y/z/3.png"), [0, 1, 0])
