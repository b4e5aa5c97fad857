"""Read a folder of images, one subfolder per class."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from rightreasons.core._errors import DataError
from rightreasons.core._suggest import did_you_mean
from rightreasons.data._dataset import DataSet
from rightreasons.data.readers._image_list import listed
from rightreasons.data.readers._options import Asked, extra
from rightreasons.data.readers._pixels import BACKGROUND, ENDINGS, colour_of, has_colour, pixels, require_size

_PARTS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}


def read_images(path: Path, asked: Asked) -> DataSet:
    """Images (N, channels, height, width) in [0, 1]; the folder each lies in is its class, or a file names its label.

    `folder/class/image` or `folder/train/class/image` with folders train, validation (or val) and test, which become
    `parts`; images directly in the folder have no label. With `labels` the rows are those of a CSV file, see `listed`.
    Ids are paths within the folder. Images are turned as their camera says, the first frame of several is taken,
    transparency is laid over `background`.
    """
    extra("PIL", "Pillow")
    require_size(asked.size)
    background = asked.background or BACKGROUND
    colour_of(background)
    files, about_rows = _rows(path, asked)
    pictures, sizes, transparent = [], Counter[tuple[int, int]](), 0
    for file in files:
        picture, seen_through = pixels(file, colour=asked.colour, size=asked.size, background=background)
        pictures.append(picture)
        sizes[picture.shape[:2]] += 1
        transparent += seen_through
    if len(sizes) > 1:
        height, width = _usual(sizes)
        raise DataError(
            f"The {len(files)} images in {path} have {len(sizes)} sizes: {_said(sizes)} (height x width). A network "
            f"takes one. Say size=({height}, {width}) (--size {height} {width}) to resize them (stretched)."
        )
    channels = max(picture.shape[2] for picture in pictures)
    stacked = np.stack([np.broadcast_to(each, (*each.shape[:2], channels)) for each in pictures])
    notes = list(about_rows.pop("notes", ()))
    if transparent:
        notes.append(f"{transparent} of {len(files)} images are transparent in part: laid over {background}.")
    name = path.resolve().name
    return DataSet(
        name=name,
        x=torch.from_numpy(stacked.transpose(0, 3, 1, 2).astype(np.float32) / 255),
        bounds=(0.0, 1.0),
        description=" ".join([f"{len(files)} images in {name}.", *notes]),
        notes=tuple(notes),
        source=name,
        **about_rows,
    )


def _rows(path: Path, asked: Asked) -> tuple[list[Path], dict[str, Any]]:
    """Files, and fields of the data set that say something about each."""
    said = [*asked.about_rows, *([] if asked.label is None else ["label"])]
    if asked.labels is None and said:
        raise DataError(
            f"{path} is a folder of images, which have a column {said[0]!r} only in a file that names them. Say which: "
            "labels=FILE (--labels), a CSV file with a column file."
        )
    if asked.labels is None:
        found = _found(path)
        return [file for file, _, _ in found], _in_folders(path, found, asked)
    files, fields = listed(path, asked)
    if not asked.targets:
        known = {each[0]: each for each in _found(path)}
        for file in files:
            if file not in known:
                raise DataError(
                    f"{path / asked.labels} names {file}, which is in the folder of no class. Say which column is the "
                    "label: target=COLUMN (--target)."
                )
        fields = _in_folders(path, [known[file] for file in files], asked) | fields
    return files, fields


def _in_folders(path: Path, found: Sequence[tuple[Path, str, str]], asked: Asked) -> dict[str, Any]:
    """What the folders say of images."""
    return {
        "ids": tuple(file.relative_to(path).as_posix() for file, _, _ in found),
        "parts": tuple(part for _, _, part in found if part),
        **_labels(path, [name for _, name, _ in found], asked),
    }


def images_in(path: Path) -> list[Path]:
    """All images of a folder, in the order of the rows that `read_images` makes of them."""
    return [file for file, _, _ in _found(path)]


def any_colour(path: Path) -> bool:
    """Whether an image of a folder has colours, so that all are read with three channels; only headers are read."""
    return any(map(has_colour, images_in(path)))


def _labels(path: Path, names: Sequence[str], asked: Asked) -> dict[str, Any]:
    if not any(names):
        return {"y": torch.full((len(names),), torch.nan)}
    classes = asked.classes or tuple(sorted(set(names)))
    for name in names:
        if name not in classes:
            raise DataError(
                f"The folder {name!r} in {path} is a class that is not among those given. {did_you_mean(name, classes)}"
            )
    if len(classes) == 1:
        raise DataError(
            f"{path} has images of one class only, {classes[0]!r}: there is nothing to tell apart. Pass the folder "
            "that "
            "holds the folders of all classes."
        )
    return {"y": torch.tensor([classes.index(name) for name in names]), "classes": classes}


def _found(path: Path) -> list[tuple[Path, str, str]]:
    """(file, class, part) of every image."""
    folders = _folders(path)
    loose = _images(path)
    if folders and loose:
        raise DataError(
            f"{path} holds both folders and {len(loose)} images, such as {loose[0].name}, which are of no class. Move "
            "them into the folder of their class."
        )
    if loose:
        return [(file, "", "") for file in loose]
    if not folders:
        raise DataError(
            f"{path} holds no images. Put those of each class into a folder of its own, as {path / 'cat' / '1.png'}; "
            f"known endings: {', '.join(ENDINGS)}."
        )
    split = all(each.name.lower() in _PARTS and _folders(each) for each in folders)
    within = [(each, _PARTS[each.name.lower()]) for each in folders] if split else [(path, "")]
    return [
        (file, folder.name, part)
        for parent, part in within
        for folder in _folders(parent)
        for file in _require_some(folder)
    ]


def _folders(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))


def _images(path: Path) -> list[Path]:
    return sorted(
        each
        for each in path.iterdir()
        if each.is_file() and each.suffix.lower() in ENDINGS and not each.name.startswith(".")
    )


def _require_some(folder: Path) -> list[Path]:
    files = _images(folder)
    if not files:
        raise DataError(f"The folder {folder} is a class, for lack of a label file, but {_within(folder)}")
    return files


def _within(folder: Path) -> str:
    """What there is instead of images directly in a folder, and what to do about it."""
    deeper = [each for each in folder.rglob("*") if each.suffix.lower() in ENDINGS and each.is_file()]
    if not deeper:
        return (
            f"holds no images (known endings: {', '.join(ENDINGS)}). Put those of the class directly into it, or move "
            "it elsewhere."
        )
    homes = Counter(each.parent for each in deeper)
    home, count = homes.most_common(1)[0]
    return (
        f"its {len(deeper)} images lie deeper, in {len(homes)} folder{'s' * (len(homes) > 1)} such as {home} "
        f"({count}). If the folders within it are the classes, pass {folder}; else move the images up, or name each "
        "image and its label in a CSV file: labels=FILE (--labels)."
    )


def _usual(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """The size of most images, or else their median height and width in steps of 8 pixels."""
    common, count = sizes.most_common(1)[0]
    if count > sizes.total() / 2:
        return common
    each = list(sizes.elements())
    height, width = (max(8, 8 * round(median(side) / 8)) for side in zip(*each, strict=True))
    return (height, width)


def _said(sizes: Counter[tuple[int, int]]) -> str:
    listed = [f"{height} x {width} ({count})" for (height, width), count in sizes.most_common(3)]
    return ", ".join(listed) + (", ..." if len(sizes) > 3 else "")
