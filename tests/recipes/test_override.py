import pytest

from rightreasons.core._errors import RecipeError
from rightreasons.recipes import override, parse
from tests.recipes.test_read import GOOD
from tests.runs.cases import TABLE


def test_values_are_yaml_and_replace_what_is_there() -> None:
    recipe = parse(
        TABLE,
        assignments=["training.epochs=7", "arms.1.weights=[0.2]", "model.hidden=[4, 4]", "data.splits=3"],
    )
    assert recipe.training.epochs == 7
    assert recipe.arms[1].weights == [0.2]
    assert recipe.model.fields["hidden"] == [4, 4]
    assert recipe.data.splits == 3
    assert recipe.arms[0] == parse(TABLE).arms[0]


def test_a_rate_needs_no_name_of_the_optimiser() -> None:
    optimizer = parse(GOOD, assignments=["training.optimizer.lr=0.5"]).training.optimizer
    assert (optimizer.name, optimizer.fields["lr"]) == ("adam", 0.5)


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("model.dropout=0.5", "model", {"name": "mlp", "dropout": 0.5}),  # a bare name gains fields
        ("task=binary", "task", "binary"),  # a new key
        ("select.largest_within=0.1", "select", {"largest_within": 0.1}),
        ("training.clip=null", "training", {"epochs": 2, "clip": None}),
        ("title=a = b", "title", "a = b"),
        ("title=", "title", None),
        ("demo=true", "demo", True),
        ("arms={name: x}", "arms", {"name": "x"}),
    ],
)
def test_places_and_values(assignment: str, path: str, value: object) -> None:
    content = {"name": "r", "model": "mlp", "training": {"epochs": 2}, "arms": [{"name": "plain"}]}
    before = repr(content)
    assert override(content, [assignment])[path] == value
    assert repr(content) == before


def test_the_last_one_wins_and_each_sees_those_before() -> None:
    found = override({}, ["training={epochs: 1, clip: 2}", "training.epochs=3"])
    assert found == {"training": {"epochs": 3, "clip": 2}}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.epochz=3", r"training: there is no key 'epochz' here\. Did you mean 'epochs'\?"),
        ("trainning.epochs=3", r"there is no key 'trainning' here\. Did you mean 'training'\?"),
        ("training.epochs=three", "training.epochs: input should be a valid integer.*got 'three'"),
        ("model.hiden=[3]", r"model 'mlp' has no field 'hiden'\. Did you mean 'hidden'\?"),
        ("arms.1.name=x", r"--set arms\.1\.name=x: '1' is no place in a list of 1 \(plain\)\. .*from 0 to 0"),
        ("arms.plain.name=x", r"'plain' is no place in a list of 1 \(plain\)"),
        ("training.epochs.first=3", "there is no 'first' in 2, which has no keys"),
        ("epochs", r"--set takes KEY=VALUE, such as training\.epochs=5; got 'epochs'"),
        ("=3", "--set takes KEY=VALUE"),
        ("training..epochs=3", "--set takes KEY=VALUE"),
        ("training.epochs=[3", r"--set training\.epochs=\[3: '\[3' is not YAML"),
        ("training={epochs: 1, epochs: 2}", "the key 'epochs' is given twice"),
    ],
)
def test_whatever_is_wrong_is_one_line(assignment: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        parse(GOOD, "x.yaml", [assignment])
    assert len(str(caught.value).splitlines()) == 1
