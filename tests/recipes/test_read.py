import os
from pathlib import Path

import pytest

from rightreasons.core._errors import RecipeError
from rightreasons.recipes import parse, read, to_yaml, validate
from rightreasons.recipes._yaml import load
from rightreasons.runs import plan

ROOT = Path(__file__).resolve().parents[2]
GOOD = "{name: r, data: {name: digits, validation: 100}, model: mlp, training: {epochs: 2}, arms: [{name: plain}]}"
ARM = "{name: plain}"

# What is written instead of what, and what the one line must say: where, what, and the closest valid one.
WRONG = {
    "misspelt key": (
        "epochs", "epochz",
        r"x\.yaml: training: there is no key 'epochz' here\. Did you mean 'epochs'\?",
    ),
    "misspelt top-level key": ("training:", "trainings:", r"x\.yaml: recipe: there is no key 'trainings'"),
    "data set": ("digits", "digit", r"data\.name: there is no data set 'digit'\. Did you mean 'digits'\?"),
    "model": ("mlp", "mpl", r"model: there is no model 'mpl'\. Did you mean 'mlp'\?"),
    "field of a model": (
        "mlp", "{name: mlp, hiden: [3]}", r"model 'mlp' has no field 'hiden'\. Did you mean 'hidden'\?",
    ),
    "type in a model": ("mlp", "{name: mlp, hidden: abc}", r"model: hidden: .* got 'abc'"),
    "model without a name": ("mlp", "{hidden: [3]}", r"model: must say its name"),
    "model that is a number": ("mlp", "3", r"model: must be a name, or a mapping.*got 3"),
    "prior": (
        ARM, "{name: a, terms: [{prior: ginni}], weights: [1]}",
        r"arms\[0\]\.terms\[0\]\.prior: there is no prior 'ginni'\. Did you mean 'gini'\?",
    ),
    "choice of a prior": (
        ARM, "{name: a, terms: [{prior: {name: gini, level: globel}}], weights: [1]}",
        r"prior: level: input should be 'sample' or 'global', got 'globel'",
    ),
    "attribution": (
        ARM, "{name: a, terms: [{prior: gini, attribution: expected_gradient}], weights: [1]}",
        r"there is no attribution 'expected_gradient'\. Did you mean 'expected_gradients'\?",
    ),
    "references": (
        ARM,
        "{name: a, terms: [{prior: gini, attribution: {name: expected_gradients, references: trian}}], weights: [1]}",
        r"references cannot be 'trian'\. Did you mean 'train'\?",
    ),
    "task": ("name: r,", "name: r, task: binray,", r"task: there is no task 'binray'\. Did you mean 'binary'\?"),
    "type": ("epochs: 2", "epochs: two", r"training\.epochs: input should be a valid integer.*got 'two'"),
    "rate": (
        "epochs: 2", "epochs: 2, optimizer: {name: adam, lr: fast}",
        r"training\.optimizer: lr: input should be a valid number.*got 'fast'",
    ),
    "optimiser": (
        "epochs: 2", "epochs: 2, optimizer: {name: rmsprop, alpa: 1}",
        r"training\.optimizer: optimizer 'rmsprop' has no field 'alpa'\. Did you mean 'alpha'\?",
    ),
    "schedule": (
        "epochs: 2", "epochs: 2, schedule: cosin",
        r"training\.schedule: there is no schedule 'cosin'\. Did you mean 'cosine'\?",
    ),
    "augmentation": (
        "epochs: 2", "epochs: 2, augment: [shift, {name: flip, axis: up}]",
        r"training\.augment\[1\]: axis: input should be 'horizontal' or 'vertical', got 'up'",
    ),
    "engine": ("epochs: 2", "epochs: 2, engine: recomput", r"training\.engine: .*Did you mean 'recompute'\?"),
    "precision": ("epochs: 2", "epochs: 2, precision: 16", r"training\.precision: input should be '32-true'"),
    "logger": ("name: r,", "name: r, loggers: [cvs],", r"loggers\[0\]: input should be 'csv' or 'tensorboard'"),
    "weights of classes": (
        "name: r,", "name: r, task: {name: binary, weights: blanced},", r"task: weights: .*got 'blanced'",
    ),
    "balance without classes": (
        "name: r,", "name: r, task: {name: regression, weights: balanced},",
        r"task 'regression' has no field 'weights'",
    ),
    "schedule of a term": (
        ARM, "{name: a, terms: [{prior: gini, schedule: {name: ramp, lst: 3}}], weights: [1]}",
        r"terms\[0\]\.schedule: weighting 'ramp' has no field 'lst'\. Did you mean 'last'\?",
    ),
    "ramp without an end": (
        ARM, "{name: a, terms: [{prior: gini, schedule: ramp}], weights: [1]}",
        r"schedule: weighting 'ramp' needs last",
    ),
    "missing key": ("name: r,", "", r"x\.yaml: name: this key is required"),
    "no arms": (ARM, "", r"arms: list should have at least 1 item"),
    "terms without weights": (ARM, "{name: a, terms: [{prior: gini}]}", r"needs both terms and weights"),
    "weights twice": (
        ARM, "{name: a, terms: [{prior: gini}], weights: [1, 1]}", r"positive, finite and different",
    ),
    "term of nothing": (ARM, "{name: a, terms: [{rows: 0.5}], weights: [1]}", r"say one of the two"),
    "unequal trials": (
        ARM, "{name: a, terms: [{prior: gini}], weights: [1]}, {name: b, terms: [{prior: l1}], weights: [1, 2]}",
        r"same number of trials, else one is luckier; got \{'a': 1, 'b': 2\}",
    ),
    "arms of one name": (ARM, "{name: a}, {name: a}", r"arms must have different names"),
    "compared with nothing": (
        "name: r,", "name: r, compare: {against: plane},", r"names no arm: 'plane'\. Did you mean 'plain'\?",
    ),
    "select": ("name: r,", "name: r, select: bst,", r"select\.rule: input should be 'best' or 'largest_within'"),
    "a billion splits": (
        "validation: 100", "splits: 1000000000",
        r"x\.yaml: data\.splits: input should be less than or equal to 10000, got 1000000000",
    ),
    "many fits": (
        "validation: 100}", "splits: 9999}, trials: 100", r"trials and 9999 splits are 999,900 fits, and 100,000",
    ),
    "many epochs": ("epochs: 2", "epochs: 99999999", r"epochs: .* less than or equal to 10000000, got 99999999"),
    "a wide network": ("mlp", "{name: mlp, hidden: [10000000000]}", r"model: hidden: 1,000,000 is the most"),
    "many layers": ("mlp", "{name: gru, layers: 5000}", r"model: layers: 1,000 is the most, got 5000"),
    "true for a number": ("epochs: 2", "epochs: true", r"training: epochs cannot be true or false, got true"),
    "true in a list": ("mlp", "{name: mlp, hidden: [true]}", r"model: hidden cannot be true or false, got \[true\]"),
    "a rate that is no number": (
        "epochs: 2", "epochs: 2, optimizer: {lr: .nan}", r"training\.optimizer: lr: numbers are finite, got nan",
    ),
    "an infinite share": ("validation: 100", "train: .inf", r"data\.train.*: input should be a finite number"),
    "a long name": ("name: r,", f"name: {'r' * 5000},", r"x\.yaml: name: string should have at most 100 characters"),
    "a long arm": (ARM, "{name: " + "a" * 5000 + "}", r"arms\[0\]\.name: string should have at most 100 characters"),
    "a long file": (
        "name: digits", f"path: {'d' * 5000}.csv", r"data\.path: no system has such a path: a name in it",
    ),
    "a file of a belief": (
        ARM, "{name: a, weights: [1], terms: [{prior: {name: graph_laplacian, edges: " + "e" * 300 + "}}]}",
        r"prior: edges: no system has such a path",
    ),
    "a long value": ("epochs: 2", f"epochs: {'x' * 5000}", r"training\.epochs: .*got 'xxx+\.\.\. \(5,002 characters\)"),
    "key twice": ("epochs: 2", "epochs: 2, epochs: 3", r"line 1, column \d+: the key 'epochs' is given twice"),
    "syntax": (f"[{ARM}]", f"[{ARM}", r"line 1, column \d+: expected ',' or '\]'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_whatever_is_wrong_is_one_line_that_names_it(case: str) -> None:
    there, instead, message = WRONG[case]
    assert there in GOOD
    with pytest.raises(RecipeError, match=message) as caught:
        parse(GOOD.replace(there, instead, 1), "x.yaml")
    assert len(str(caught.value).splitlines()) == 1


def test_a_recipe_is_a_mapping() -> None:
    with pytest.raises(RecipeError, match="a recipe is a mapping of keys to values, got list"):
        parse("[1, 2]")


def test_several_problems_are_counted() -> None:
    with pytest.raises(RecipeError, match=r"\(1 more after this one\)"):
        parse(GOOD.replace("digits", "digit").replace("mlp", "mpl"))


def test_a_missing_file_names_the_closest(tmp_path: Path) -> None:
    (tmp_path / "sparsity.yaml").write_text(GOOD)
    with pytest.raises(
        RecipeError, match=r"there is no recipe .*sparsty\.yaml'\. Did you mean .*sparsity\.yaml'"
    ):
        read(tmp_path / "sparsty.yaml")


def test_what_is_no_file_or_no_path_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"^x+\.\.\. \(5,000 characters\) cannot be read: File name too long"
    ):
        read("x" * 5000)
    with pytest.raises(RecipeError, match="there is no recipe"):
        read(tmp_path / "a\0b")
    os.mkfifo(tmp_path / "pipe")  # which nobody ever writes to
    with pytest.raises(
        RecipeError, match="pipe cannot be read: it is no file, but a folder, a pipe or a device"
    ):
        read(tmp_path / "pipe")


def test_titles_survive_being_written() -> None:
    content = load(GOOD) | {"title": "a\x85b\u2028c\n d", "description": "\u2029- x: \x85"}
    recipe = validate(content)
    assert parse(to_yaml(recipe)) == recipe


def test_a_directory_and_bytes_are_not_recipes(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(RecipeError, match="is not a text file"):
        read(tmp_path / "x.yaml")


def test_bare_names_and_full_ones_are_the_same_recipe() -> None:
    full = GOOD.replace("mlp", "{name: mlp, hidden: [512, 128, 32], dropout: 0, activation: relu}")
    assert parse(full) == parse(GOOD)


def test_short_and_long_rules_are_the_same() -> None:
    short = parse(GOOD.replace("name: r,", "name: r, select: {largest_within: 0.02},"))
    assert (short.select.rule, short.select.within) == ("largest_within", 0.02)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_and_resolve_to_themselves(path: Path) -> None:
    recipe = read(path)
    again = parse(to_yaml(recipe))
    assert again == recipe
    assert plan(again) == plan(recipe)  # so a resolved recipe finds the finished fits


def test_numbers_without_a_point_are_numbers() -> None:
    # YAML 1.1 takes 1e-3 for text.
    recipe = parse(GOOD.replace("epochs: 2", "epochs: 2, optimizer: {name: adam, lr: 1e-3}"))
    assert recipe.training.optimizer.fields["lr"] == 0.001


def test_validate_takes_a_mapping() -> None:
    with pytest.raises(RecipeError, match="got NoneType"):
        validate(None)
