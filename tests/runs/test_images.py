"""Runs on folders of images: what training saw is what predictions, evaluations and explanations see."""

from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from PIL import Image

import rightreasons as rr
from rightreasons import recipes, runs
from rightreasons.core._errors import DataError
from rightreasons.runs.setup._build import digests

RECIPE = {
    "name": "tiny-images",
    "model": {"name": "cnn", "channels": [2], "hidden": 4},
    "training": {"epochs": 1},
    "arms": [{"name": "Plain"}],
}


def saved(file: Path, mode: str, seed: int) -> None:
    """Noise of 8 x 8 pixels."""
    file.parent.mkdir(parents=True, exist_ok=True)
    bands = {"L": (), "RGB": (3,), "RGBA": (4,), "LA": (2,)}[mode]
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 8, *bands), np.uint8), mode).save(file)


def ran(folder: Path, mode: str, **reading: object) -> Path:
    """A run on two classes of images of one mode."""
    for i in range(24):
        saved(folder / "known" / "ab"[i % 2] / f"{i}.png", mode, i)
    data = {"path": str(folder / "known"), "splits": 1, **reading}
    runs.run(recipes.validate(RECIPE | {"data": data}), folder / "run", workers=0)
    return folder / "run"


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(tmp_path_factory.mktemp("colour"), "RGB")


def test_grey_images_among_colour_are_predicted_and_explained_alike(colour: Path, tmp_path: Path) -> None:
    for i in range(8):
        saved(tmp_path / "new" / f"{i}.png", "L" if i < 4 else "RGB", i)
    trained = rr.load(colour)
    rows = trained.read(tmp_path / "new", labelled=False)
    assert rows.x.shape == (8, 3, 8, 8)
    assert torch.equal(rows.x[0, 0], rows.x[0, 2])
    whole = trained.method("gradient")(trained.model, rows.x)
    assert isinstance(whole, torch.Tensor)
    job = runs.Job(str(colour), str(tmp_path / "new"), "gradient", rows=4)
    stored = zarr.open_group(runs.explain(job, tmp_path / "maps.zarr"), mode="r")
    np.testing.assert_allclose(np.asarray(stored["maps"]), whole.numpy(), atol=1e-6)
    assert len(trained.predict(trained.read(tmp_path / "new", labelled=False))["id"]) == 8


def test_a_folder_of_grey_images_alone_is_taken_by_a_colour_network(colour: Path, tmp_path: Path) -> None:
    saved(tmp_path / "new" / "1.png", "L", 0)
    assert rr.load(colour).read(tmp_path / "new", labelled=False).x.shape == (1, 3, 8, 8)


def test_what_training_said_of_colour_and_background_holds_for_new_images(tmp_path: Path) -> None:
    run = ran(tmp_path, "RGBA", colour=False, background="black")
    clear = np.full((8, 8, 4), 255, np.uint8)
    clear[..., 3] = 0
    (tmp_path / "new").mkdir()
    Image.fromarray(clear, "RGBA").save(tmp_path / "new" / "1.png")
    rows = rr.load(run).read(tmp_path / "new", labelled=False)
    assert torch.equal(rows.x, torch.zeros(1, 1, 8, 8))


def test_colour_images_are_refused_by_a_grey_network(tmp_path: Path) -> None:
    run = ran(tmp_path, "L")
    saved(tmp_path / "new" / "1.png", "RGB", 0)
    with pytest.raises(
        DataError, match=r"takes rows of shape \(1, 8, 8\), and 'new' has rows of \(3, 8, 8\)"
    ):
        rr.load(run).read(tmp_path / "new", labelled=False)


def test_a_network_of_ones_own_sees_the_same_channels_in_every_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(4):
        saved(tmp_path / "new" / f"{i}.png", "L" if i < 2 else "RGB", i)
    code = "from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 2))\n"
    (tmp_path / "colour_network.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    job = runs.Job("colour_network:build", "new", "gradient", rows=2)
    stored = zarr.open_group(runs.explain(job, tmp_path / "maps.zarr"), mode="r")
    assert np.asarray(stored["maps"]).shape == (4, 3, 8, 8)


def test_images_with_a_label_file_are_trained_on_scored_and_explained(tmp_path: Path) -> None:
    lines = ["file,finding,patient"]
    for i in range(36):
        saved(tmp_path / "x" / f"p{i // 3}" / f"{i}.png", "L", i)
        lines.append(f"p{i // 3}/{i}.png,{('well', 'ill')[i // 3 % 2]},p{i // 3}")
    (tmp_path / "x" / "labels.csv").write_text("\n".join(lines))
    data = {
        "path": str(tmp_path / "x"),
        "labels": "labels.csv",
        "target": "finding",
        "group": "patient",
        "splits": 1,
    }
    run = runs.run(recipes.validate(RECIPE | {"data": data}), tmp_path / "run", workers=0).path
    trained = rr.load(run)
    parts = [
        set(part.clusters) for part in (trained.parts.train, trained.parts.validation, trained.parts.test)
    ]
    assert sum(map(len, parts)) == 12 == len(set.union(*parts))
    rows = trained.read(tmp_path / "x")
    assert (rows.classes, rows.y[:4].tolist()) == (("ill", "well"), [1, 1, 1, 0])
    unlabelled = trained.read(tmp_path / "x", labelled=False)
    assert not unlabelled.labelled
    assert len(unlabelled) == 36
    job = runs.Job(str(run), str(tmp_path / "x"), "gradient", explained="label", rows=10)
    stored = zarr.open_group(runs.explain(job, tmp_path / "maps.zarr"), mode="r")
    assert np.asarray(stored["maps"]).shape == (36, 1, 8, 8)

    (tmp_path / "x" / "labels.csv").write_text("\n".join(lines).replace("ill", "bad"))
    with pytest.raises(DataError, match="has changed since this run"):
        _ = rr.load(run).parts


def test_a_label_file_outside_the_folder_counts_among_the_files_of_a_run(tmp_path: Path) -> None:
    for i in range(6):
        saved(tmp_path / "x" / f"{i}.png", "L", i)
    (tmp_path / "labels.csv").write_text("file,y\n" + "".join(f"{i}.png,{i % 2}\n" for i in range(6)))
    data = {"path": str(tmp_path / "x"), "labels": "../labels.csv", "target": "y"}
    recipe = recipes.validate(RECIPE | {"data": data})
    before = digests(recipe)
    (tmp_path / "labels.csv").write_text("file,y\n" + "".join(f"{i}.png,{i // 3}\n" for i in range(6)))
    after = digests(recipe)
    assert before["data"] == after["data"]
    assert before["labels"] != after["labels"]
