from pathlib import Path
from typing import Any

import pytest
import torch

from rightreasons import priors
from rightreasons.core._errors import RecipeError
from rightreasons.recipes import _data_priors as beliefs
from rightreasons.recipes._data_priors import Known, Wrong

COLUMNS = {"age": (0,), "sex": (1, 2), "bmi": (3,)}
FEATURES = ("age", "sex=f", "sex=m", "bmi")


def known(folder: Path = Path()) -> Known:
    return Known(COLUMNS, FEATURES, folder)


def wrong(kind: str = "random", seed: int = 0) -> Wrong:
    return Wrong(kind, torch.Generator().manual_seed(seed))


def written(folder: Path, text: str, name: str = "graph.csv") -> Known:
    (folder / name).write_text(text)
    return known(folder)


def edges(prior: Any) -> dict[tuple[int, int], float]:
    pairs = map(tuple, prior.graph.edges.T.tolist())
    return dict(zip(pairs, prior.graph.weights.tolist(), strict=True))


def test_a_mask_covers_all_features_of_a_named_column() -> None:
    prior = beliefs.Mask(["sex", "bmi"]).prior(known())
    assert isinstance(prior, priors.Mask)
    assert prior.mask is not None
    assert prior.mask.tolist() == [0, 1, 1, 1]


def test_a_feature_can_be_named_alone() -> None:
    prior: Any = beliefs.Mask(["sex=m"]).prior(known())
    assert prior.mask.tolist() == [0, 0, 1, 0]


def test_signs_go_to_the_named_columns() -> None:
    prior: Any = beliefs.Monotone({"age": 1, "sex=f": -1}).prior(known())
    assert prior.signs.tolist() == [1, -1, 0, 0]


def test_without_names_guidance_brings_masks_and_signs() -> None:
    assert beliefs.Mask().prior(known()) is not None
    assert repr(beliefs.Mask().prior(known())) == "Mask(mask=None)"
    assert repr(beliefs.Monotone().prior(known())) == "Monotone(signs=None)"


def test_edges_are_read_by_name_with_their_weights(tmp_path: Path) -> None:
    found = written(tmp_path, "from,to,weight\nage,bmi,0.5\nsex=f,age,2\nbmi,age,0.5\nbmi,bmi,3\n")
    prior = beliefs.GraphLaplacian(edges="graph.csv", level="sample").prior(found)
    assert edges(prior) == {(0, 3): 0.5, (0, 1): 2.0}
    assert prior.graph.nodes == 4  # pyright: ignore[reportAttributeAccessIssue]


def test_edges_without_weights_weigh_one(tmp_path: Path) -> None:
    assert edges(beliefs.GraphLaplacian(edges="graph.csv").prior(written(tmp_path, "a,b\nage,bmi\n"))) == {
        (0, 3): 1
    }


def test_members_of_a_group_are_joined_once() -> None:
    groups = {"body": ["age", "bmi"], "all": ["age", "bmi", "sex"]}
    prior = beliefs.GraphLaplacian(graph="co_membership", groups=groups).prior(known())
    assert edges(prior) == dict.fromkeys([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], 1.0)
    assert edges(beliefs.GraphLaplacian(graph="co_membership").prior(known())) == {(1, 2): 1.0}


def test_groups_are_columns_a_mapping_or_a_file(tmp_path: Path) -> None:
    found = written(tmp_path, "pathway,gene\nbody,age\nbody,bmi\nother,sex\n", "groups.csv")
    by_file: Any = beliefs.GroupSparsity("groups.csv", penalty="lasso").prior(found)
    by_name: Any = beliefs.GroupSparsity({"body": ["age", "bmi"], "other": ["sex"]}).prior(known())
    assert by_file.groups == by_name.groups == ((0, 3), (1, 2))
    assert by_file.penalty == "lasso"
    by_column: Any = beliefs.GroupSparsity().prior(known())
    assert by_column.groups == ((0,), (1, 2), (3,))


def test_what_the_data_lack_can_be_dropped(tmp_path: Path) -> None:
    found = written(tmp_path, "a,b\nage,bmi\nage,gene\nother,bmi\n")
    assert edges(beliefs.GraphLaplacian(edges="graph.csv", unknown="drop").prior(found)) == {(0, 3): 1}
    groups: Any = beliefs.GroupSparsity({"a": ["age", "gene"], "b": ["gene"]}, unknown="drop").prior(found)
    assert groups.groups == ((0,),)


def test_files_are_those_that_are_read() -> None:
    assert beliefs.GraphLaplacian(edges="g.csv").files() == ("g.csv",)
    assert beliefs.GraphLaplacian(graph="co_membership", groups="p.csv").files() == ("p.csv",)
    assert beliefs.GroupSparsity("p.csv").files() == ("p.csv",)
    assert beliefs.GroupSparsity().files() == beliefs.GroupSparsity({"a": ["age"]}).files() == ()
    assert beliefs.Mask(["age"]).files() == ()


def test_wrong_masks_signs_and_groups_have_the_same_sizes() -> None:
    mask: Any = [beliefs.Mask(["sex"]).prior(known(), wrong(seed=s)) for s in range(8)]
    assert {int(each.mask.sum()) for each in mask} == {2}
    assert len({tuple(each.mask.tolist()) for each in mask}) > 1
    signs: Any = [beliefs.Monotone({"age": 1, "bmi": -1}).prior(known(), wrong(seed=s)) for s in range(8)]
    assert {tuple(sorted(each.signs.tolist())) for each in signs} == {(-1, 0, 0, 1)}
    assert len({tuple(each.signs.tolist()) for each in signs}) > 1
    groups: Any = [beliefs.GroupSparsity().prior(known(), wrong(seed=s)) for s in range(8)]
    assert {tuple(map(len, each.groups)) for each in groups} == {(1, 2, 1)}
    assert len({each.groups for each in groups}) > 1
    assert all(sorted(i for group in each.groups for i in group) == [0, 1, 2, 3] for each in groups)


@pytest.mark.parametrize("kind", ["random", "degrees"])
def test_a_wrong_graph_has_the_same_edges_and_weights(tmp_path: Path, kind: str) -> None:
    found = written(tmp_path, "a,b,weight\nage,bmi,1\nsex=f,sex=m,2\n")
    made = [beliefs.GraphLaplacian(edges="graph.csv").prior(found, wrong(kind, s)) for s in range(8)]
    assert all(sorted(edges(each).values()) == [1, 2] for each in made)
    assert len({tuple(sorted(edges(each))) for each in made}) > 1


@pytest.mark.parametrize(
    ("belief", "message"),
    [
        (beliefs.Mask(["agee"]), r"mask: there is no column 'agee'. Did you mean 'age'\?"),
        (beliefs.Monotone({"heigth": 1}), "monotone: there is no column 'heigth'"),
        (beliefs.Monotone({"sex": 1}), "monotone: the column 'sex' is 2 features .*'sex=f'. Say on: columns"),
        (
            beliefs.GroupSparsity({"a": ["bmy"]}),
            r"group 'a': there is no column 'bmy' .*'bmi'.* unknown: drop",
        ),
        (beliefs.GroupSparsity({"a": ["x"]}, unknown="drop"), "no group has a column of the data"),
        (beliefs.GroupSparsity("no.csv"), "no.csv cannot be read: No such file"),
        (beliefs.GraphLaplacian(edges="no.csv"), "no.csv cannot be read: No such file"),
        (beliefs.GraphLaplacian(), "needs edges: FILE, or graph: co_membership"),
        (beliefs.GraphLaplacian(edges="a.csv", graph="co_membership"), "say one of the two"),
    ],
)
def test_what_does_not_fit_the_data_is_named(belief: beliefs.Belief, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        belief.prior(known())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\nage,bmj\n",
            r"line 2: there is no column 'bmj' in the data. Did you mean 'bmi'\?.* unknown: drop",
        ),
        ("a,b\nage,sex\n", "line 2: the column 'sex' is 2 features"),
        ("a,b,weight\nage,bmi,many\n", "line 2: the weight 'many' is no number"),
        ("a,b,weight\nage,bmi,-1\n", "finite and not negative.*got -1"),
        (
            "a,b,weight\nage,bmi,1\nbmi,age,2\n",
            "line 3: the edge 'bmi' to 'age' has the weight 2 here and 1 before",
        ),
        ("a,b\nage,age\n", "no edge joins two different features"),
        (
            "a,b\nage,\n",
            r"line 2: there must be 2 cells .*the first two of which are names; got \['age', ''\]",
        ),
        ("a,b,weight\nage,bmi,0,5\n", r"line 2: there must be 3 cells as in the header.*got .*'0', '5'"),
        ("a,b,weight\nage,bmi\n", r"line 2: there must be 3 cells as in the header"),
        ("age\n", r"two columns or more, of different names; got \['age'\]"),
        ("gene,gene\nage,bmi\n", r"of different names; got \['gene', 'gene'\]"),
        ("a,b\nage," + "x" * 200_000, "cannot be read: field larger than field limit"),
    ],
)
def test_what_is_wrong_in_a_graph_file_is_named_by_line(tmp_path: Path, text: str, message: str) -> None:
    found = written(tmp_path, text)
    with pytest.raises(RecipeError, match=message):
        beliefs.GraphLaplacian(edges="graph.csv").prior(found)


def test_pictures_have_no_columns() -> None:
    pictures = Known({}, (), Path())
    for belief in (beliefs.Mask(["age"]), beliefs.Monotone({"age": 1}), beliefs.GroupSparsity()):
        with pytest.raises(RecipeError, match="not a table"):
            belief.prior(pictures)


def test_a_mask_of_everything_has_no_control() -> None:
    with pytest.raises(RecipeError, match="all 4 features are named, so random knowledge"):
        beliefs.Mask(["age", "sex", "bmi"]).prior(known(), wrong())


def test_of_many_columns_the_closest_and_a_few_are_shown() -> None:
    names = tuple(f"gene{i}" for i in range(5000))
    many = Known({name: (i,) for i, name in enumerate(names)}, names, Path())
    with pytest.raises(
        RecipeError, match=r"no column 'x'. The 5000 names are like 'gene0', 'gene1', 'gene2'"
    ):
        beliefs.Mask(["x"]).prior(many)
    with pytest.raises(
        RecipeError, match=r"Did you mean 'gene4711'\? The 5000 names are like 'gene0'"
    ) as caught:
        beliefs.Mask(["gene4711x"]).prior(many)
    assert len(str(caught.value)) < 200
