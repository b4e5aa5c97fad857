import pytest

from rightreasons.core._errors import RecipeError
from rightreasons.recipes import Recipe, parse, to_yaml


def recipe(arm: str) -> Recipe:
    return parse(
        "{name: r, data: {name: nhefs, train: 60, validation: 40}, model: mlp, training: {epochs: 2}, "
        f"arms: [{{name: plain}}, {arm}]}}"
    )


GRAPH = "{name: graph, terms: [{prior: {name: graph_laplacian, graph: co_membership}}], weights: [1, 2]"


def test_a_control_is_an_arm_with_the_same_weights_and_terms_and_random_knowledge() -> None:
    found = recipe(f"{GRAPH}, controls: true}}")
    assert [arm.name for arm in found.arms] == ["plain", "graph", "graph: random graph"]
    own, control = found.arms[1:]
    assert control.weights == own.weights == [1, 2]
    assert [term.control for term in control.terms] == ["random"]
    assert [term.control for term in own.terms] == [None]
    assert control.terms[0].model_copy(update={"control": None}) == own.terms[0]


def test_kinds_can_be_named() -> None:
    names = [arm.name for arm in recipe(f"{GRAPH}, controls: [random, degrees]}}").arms]
    assert names == ["plain", "graph", "graph: random graph", "graph: random graph of the same degrees"]


def test_controls_of_a_learned_prior_include_penalties_that_only_shrink() -> None:
    learned = "{name: A, terms: [{prior: {name: learned, statistics: [mean]}}], weights: [1, 5, 9]"
    found = recipe(f"{learned}, controls: [permuted, group_lasso]}}").arms
    assert [arm.name for arm in found[2:]] == [
        "A: permuted meta-features",
        "A: group lasso of the first layer",
    ]
    lasso = found[3]
    assert lasso.weights == [0.5, 2, 8]
    assert [term.regulariser and term.regulariser.fields["layers"] for term in lasso.terms] == ["first"]
    assert len(recipe(f"{learned}, controls: true}}").arms) == 2 + 4 + 3
    with pytest.raises(RecipeError, match="arm 'graph' has no control 'group_lasso'"):
        recipe(f"{GRAPH}, controls: [group_lasso]}}")


def test_terms_without_knowledge_stay_as_they_are() -> None:
    found = recipe(
        "{name: m, terms: [{prior: {name: mask, columns: [age]}}, {prior: gini}], weights: [1], controls: true}"
    )
    assert [term.control for term in found.arms[2].terms] == ["random", None]


def test_arms_can_be_compared_with_a_control() -> None:
    arm = f"{GRAPH}, controls: true}}], compare: {{against: 'graph: random %s'}}, loggers: ["
    assert recipe(arm % "graph").reference == "graph: random graph"
    with pytest.raises(
        RecipeError, match="names no arm: 'graph: random grape'. Did you mean 'graph: random graph'"
    ):
        recipe(arm % "grape")


def test_an_expanded_recipe_is_read_back_as_it_is() -> None:
    found = recipe(f"{GRAPH}, controls: true}}")
    assert parse(to_yaml(found)) == found


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        (
            "{name: g, terms: [{prior: gini}], weights: [1], controls: true}",
            "arm 'g' has no prior that knows something",
        ),
        (f"{GRAPH}, controls: [degree]}}", r"arm 'graph' has no control 'degree'. Did you mean 'degrees'\?"),
        (
            "{name: g, terms: [{prior: gini, control: random}], weights: [1]}",
            "'gini' has no control 'random'",
        ),
    ],
)
def test_controls_that_do_not_exist_are_refused(arm: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(arm)
