from pathlib import Path

import pytest
import torch
from PIL import Image

import rightreasons as rr
from rightreasons import data, runs
from rightreasons.core._errors import DataError, InputError, RecipeError
from rightreasons.recipes import parse, read
from tests.runs.cases import finished

PEOPLE = """
name: people
data: {path: people.csv, target: ill, id: who, train: 40, validation: 30, splits: 1}
model: {name: mlp, hidden: [6]}
training: {epochs: 4}
explain: {rows: 10, attribution: {name: expected_gradients, samples: 8}}
arms: [{name: Plain}, {name: Sparse, terms: [{prior: gini}], weights: [0.1]}]
"""
OWN = "from torch import nn\ndef build(shape, outputs): return nn.Linear(shape[0], outputs)\n"


def people(rows: int = 100) -> str:
    lines = ["who,age,drink,ill"]
    for i in range(rows):
        age = 20 + (37 * i) % 60
        lines.append(f"p{i},{age},{('beer', 'wine')[i % 2]},{'yes' if age + 5 * (i % 2) > 50 else 'no'}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people.csv").write_text(people())
    (tmp_path / "recipe.yaml").write_text(PEOPLE)
    return tmp_path


@pytest.fixture
def trained(folder: Path) -> runs.Trained:
    finished(folder / "runs", read(folder / "recipe.yaml"))
    return rr.load(folder / "runs" / "people")


def test_the_network_is_the_one_whose_test_score_was_reported(trained: runs.Trained) -> None:
    reported = trained.run.metrics()
    arm = next(each for each in reported["arms"] if each["name"] == trained.arm)
    test = trained.parts.test
    assert trained.task.metrics(trained.outputs(test.x), test.y)["auc"] == arm["test"]["auc"][0]
    assert not trained.model.training


def test_the_arm_is_the_best_on_validation_unless_one_is_named(trained: runs.Trained) -> None:
    scores = {arm["name"]: arm["chosen"][0]["validation"] for arm in trained.run.metrics()["arms"]}
    assert scores[trained.arm] == max(scores.values())
    assert rr.load(trained.run.path, arm="Sparse").arm == "Sparse"


def test_paths_of_a_recipe_that_was_never_a_file_are_those_of_this_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    finished(folder / "runs", parse(PEOPLE))
    monkeypatch.chdir("/")
    assert len(rr.load(folder / "runs" / "people").parts.train) == 40


def test_new_data_are_read_by_column_name_without_the_training_data(
    trained: runs.Trained, folder: Path
) -> None:
    expected = trained.read(folder / "people.csv").x
    (folder / "people.csv").unlink()
    shuffled = [line.split(",") for line in people().split()]
    new = "\n".join(",".join((row[2], "x", row[1], row[0])) for row in shuffled)
    (folder / "new.csv").write_text(new.replace("x", "hair", 1))
    found = rr.load(folder / "runs" / "people").read(folder / "new.csv", labelled=False)
    assert torch.equal(found.x, expected)
    assert found.ids[:2] == ("p0", "p1")
    assert not found.labelled


def test_a_method_of_the_recipe_explains_it(trained: runs.Trained) -> None:
    test = trained.parts.test
    maps = trained.method()(trained.model, test.x[:3], trained.task.explained(test.y[:3]))
    assert maps.shape == test.x[:3].shape
    assert repr(trained.method("gradient")) == "Gradient()"


def test_changed_training_data_are_not_taken_for_those_it_was_trained_on(
    trained: runs.Trained, folder: Path
) -> None:
    (folder / "people.csv").write_text(people(90))
    with pytest.raises(DataError, match=r"people\.csv has changed since this run"):
        rr.load(trained.run.path).parts  # noqa: B018


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arm": "Spars"}, r"no arm 'Spars'\. Did you mean 'Sparse'\?"),
        ({"split": 1}, r"has splits 0 to 0; got 1"),
    ],
)
def test_what_a_run_has_not(trained: runs.Trained, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rr.load(trained.run.path, **options)  # pyright: ignore[reportArgumentType]


def test_damaged_files_are_named(trained: runs.Trained) -> None:
    path = trained.run.path
    chosen = next(arm for arm in trained.run.metrics()["arms"] if arm["name"] == trained.arm)["chosen"][0]
    weights = trained.run.model_file(chosen["id"])
    whole = weights.read_bytes()
    weights.write_bytes(whole[:50])
    with pytest.raises(
        DataError, match=r"\.safetensors is gone or damaged: it is not the file that was written"
    ):
        rr.load(path)
    weights.write_bytes(whole)
    trained.run.preprocessing_file.write_text("[")
    with pytest.raises(DataError, match=r"preprocessing\.json is gone or damaged"):
        rr.load(path)


def test_data_of_another_form_are_refused(tmp_path: Path) -> None:
    text = "name: tiny\ndata: {name: digits, train: 60, validation: 40, test: 60, splits: 1}\n"
    text += (
        "model: {name: mlp, hidden: [4]}\ntraining: {epochs: 1}\nexplain: {rows: 2}\narms: [{name: Plain}]\n"
    )
    finished(tmp_path, parse(text))
    network = rr.load(tmp_path / "tiny")
    with pytest.raises(DataError, match=r"takes rows of shape \(1, 8, 8\), and 'd' has rows of \(1, 9, 9\)"):
        network.read(data.DataSet("d", torch.zeros(2, 1, 9, 9), torch.zeros(2)))


def test_a_table_is_no_pictures_and_pictures_are_no_table(trained: runs.Trained, folder: Path) -> None:
    Image.new("L", (4, 6)).save(folder / "1.png")
    with pytest.raises(
        DataError, match=r"trained on a table, and .* is a folder of images\. Pass data of the form"
    ):
        trained.read(folder, labelled=False)
    with pytest.raises(DataError, match=r"trained on a table, and 'd' is none"):
        trained.read(data.DataSet("d", torch.zeros(2, 1, 9, 9), torch.zeros(2)))
    text = "name: tiny\ndata: {name: digits, train: 60, validation: 40, test: 60, splits: 1}\n"
    text += (
        "model: {name: mlp, hidden: [4]}\ntraining: {epochs: 1}\nexplain: {rows: 2}\narms: [{name: Plain}]\n"
    )
    finished(folder, parse(text))
    with pytest.raises(DataError, match=r"trained on rows of shape \(1, 8, 8\), and .*people.csv is a table"):
        rr.load(folder / "tiny").read(folder / "people.csv")


def test_code_of_a_run_is_not_run_unasked(folder: Path) -> None:
    (folder / "my_own_networks.py").write_text(OWN)
    text = PEOPLE.replace("{name: mlp, hidden: [6]}", "my_own_networks:build")
    (folder / "recipe.yaml").write_text(text)
    recipe = read(folder / "recipe.yaml")
    with pytest.raises(RecipeError, match=r"is code, and code that a run brings along is not run unasked"):
        finished(folder / "runs", recipe)
    finished(folder / "runs", recipe.model_copy(update={"code": str(folder)}))
    with pytest.raises(RecipeError, match=r"--trust"):
        rr.load(folder / "runs" / "people")
    network = rr.load(folder / "runs" / "people", trust=True, code=folder)
    assert isinstance(network.model, torch.nn.Linear)
    with pytest.raises(RecipeError, match=r"recipe: a recipe cannot say where code is imported from"):
        parse(text + "\ncode: .")


def test_results_of_changed_files_are_not_mixed(folder: Path, trained: runs.Trained) -> None:
    (folder / "people.csv").write_text(people(90))
    with pytest.raises(RecipeError, match=r"the data of this run had the digest sha256:"):
        runs.run(trained.run.recipe(), folder / "runs" / "people", workers=0)


def test_a_few_whole_numbers_are_no_classes_where_training_had_a_quantity(tmp_path: Path) -> None:
    rows = "".join(f"{i % 17},{i * 7 % 23},{i + 0.5}\n" for i in range(90))
    (tmp_path / "t.csv").write_text(f"a,b,y\n{rows}")
    text = PEOPLE.replace("people.csv, target: ill, id: who", "t.csv, target: y").replace("people", "r")
    (tmp_path / "r.yaml").write_text(text)
    finished(tmp_path / "runs", read(tmp_path / "r.yaml"))
    (tmp_path / "new.csv").write_text("a,b,y\n1,2,10\n2,3,30\n3,4,20\n4,5,\n")
    found = rr.load(tmp_path / "runs" / "r").read(tmp_path / "new.csv", skip_unlabelled=True)
    assert (found.y.tolist(), found.classes) == ([10, 30, 20], ())
    with pytest.raises(DataError, match="is missing in 1 of 4 rows, first in row 4"):
        rr.load(tmp_path / "runs" / "r").read(tmp_path / "new.csv")
