from pathlib import Path

import pytest
import torch

from rightreasons import tasks
from rightreasons.core._errors import RecipeError
from rightreasons.recipes import parse, read
from rightreasons.runs.execution._dry_run import rehearse
from rightreasons.runs.setup import _build as material
from rightreasons.runs.setup import _datasets as rows
from rightreasons.runs.setup._build import resolve
from tests.runs.cases import IMAGES, TABLE, images, table


def test_parts_are_the_splits_of_the_recipe_and_share_no_row() -> None:
    found = rows.parts(table(), 1)
    assert [len(found.train), len(found.validation), len(found.test)] == [60, 40, 50]
    assert not set(found.train.ids) & set(found.test.ids)
    assert not set(found.validation.ids) & set(found.test.ids)
    assert found.train.ids != rows.parts(table(), 0).train.ids


def test_preprocessing_is_fitted_on_training_rows_only() -> None:
    found = rows.parts(table(), 0)
    torch.testing.assert_close(found.train.x.mean(0), torch.zeros(found.train.x.shape[1]), atol=1e-5, rtol=0)
    assert float(found.test.x.mean(0).abs().max()) > 0.01


def test_images_are_rescaled_where_the_recipe_says_so() -> None:
    recipe = parse(IMAGES.replace("splits: 2", "splits: 2, bounds: [-0.5, 0.5]"))
    assert float(rows.parts(recipe, 0).train.x.min()) == -0.5
    assert rows.parts(images(), 0).preprocessing is None


@pytest.mark.parametrize(("recipe", "task"), [(images(), tasks.MultiClass(10)), (table(), tasks.Binary())])
def test_the_data_say_what_the_task_is(recipe: object, task: object) -> None:
    assert material.task_of(recipe) == task  # pyright: ignore[reportArgumentType]


def test_a_task_that_is_said_is_kept() -> None:
    said = parse(TABLE + "\ntask: {name: binary, weights: [1, 4]}\n")
    assert material.task_of(said) == tasks.Binary(weights=(1.0, 4.0))


def test_models_fit_the_data_and_depend_on_the_seed_alone() -> None:
    train = rows.parts(images(), 0).train
    form = material.Form.of(train, material.task_of(images()))
    one, same, other = (material.model_of(images(), form, seed) for seed in (1, 1, 2))
    assert one(train.x[:1]).shape == (1, 10)
    pairs = list(zip(one.parameters(), same.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


def test_rehearsal_of_a_good_recipe_says_nothing() -> None:
    rehearse(images())


def test_rehearsal_names_what_is_wrong() -> None:
    text = TABLE.replace("name: mlp", "name: cnn, channels: [2]").replace("hidden: [8]", "hidden: 8")
    with pytest.raises(RecipeError, match=r"^tiny-table: "):
        rehearse(parse(text))


@pytest.fixture
def parted(tmp_path: Path) -> Path:
    """A table whose rows are named train, validation and test, five each of two classes, and a recipe for it."""
    rows = [f"{i},{i % 2},{part}" for part in ("train", "validation", "test") for i in range(10)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,y,part", *rows]))
    (tmp_path / "r.yaml").write_text(PARTED)
    return tmp_path / "r.yaml"


PARTED = """
name: parted
data: {path: rows.csv, target: y, split: part}
model: {name: mlp, hidden: [4]}
training: {epochs: 1}
arms: [{name: Plain}]
"""


def test_data_that_name_their_validation_rows_have_one_split_unless_more_are_asked_for(parted: Path) -> None:
    assert resolve(read(parted)).data.splits == 1
    rehearse(resolve(read(parted)))
    with pytest.raises(RecipeError, match="names 10 validation rows, so there is one split .* got 10 splits"):
        rehearse(resolve(read(parted, ["data.splits=10"])))


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_part_with_one_class_is_named_before_anything_is_trained(parted: Path, part: str) -> None:
    table = parted.with_name("rows.csv")
    table.write_text(table.read_text().replace(f",0,{part}", f",1,{part}"))
    with pytest.raises(RecipeError, match=f"parted: the 10 {part} rows of split 0 have no auc"):
        rehearse(resolve(read(parted)))
