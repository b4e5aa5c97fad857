"""A learned prior in a recipe, with its controls: from files to the page."""

from pathlib import Path

import pytest
import torch

from rightreasons import priors, report
from rightreasons.core._errors import RecipeError
from rightreasons.recipes import Recipe, parse, read, to_yaml
from rightreasons.report.sections._learned import _reasons, dependence, sentences
from rightreasons.runs import RunDirectory
from rightreasons.runs.execution._dry_run import rehearse
from rightreasons.runs.results._learned import importances
from rightreasons.runs.setup._datasets import index_of, rows_of
from rightreasons.runs.setup._terms import terms_of
from tests.runs.cases import finished

HEAD = """
name: learned
data: {path: rows.csv, target: y, train: 40, validation: 30, test: 30, splits: 2}
model: {name: mlp, hidden: [8]}
training: {epochs: 4, batch_size: 20}
explain:
  rows: 10
  attribution: {name: expected_gradients, samples: 8}
"""
HELD = "  sets: sets.gmt\n  relevant: relevant.txt\n"
ARM = """
arms:
  - {{name: Plain}}
  - name: Known
    terms: [{{prior: {{name: learned, meta_features: meta.csv{more}}}}}]
    weights: [0.1]
    {controls}
"""
META = "column,length,place,is not there\na,1,x,1\nb,2,y,\nkind,3,x,2\nd,5,y,3\n"


def folder(path: Path, meta: str = META) -> Path:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 3, generator=generator)
    lines = [
        f"{a:.4f},{b:.4f},{('red', 'blue')[i % 2]},{d:.4f},{2 * a - b:.4f}"
        for i, (a, b, d) in enumerate(x.tolist())
    ]
    (path / "rows.csv").write_text("a,b,kind,d,y\n" + "\n".join(lines) + "\n")
    (path / "meta.csv").write_text(meta)
    (path / "relevant.txt").write_text("a\n\n b\n")
    (path / "sets.gmt").write_text("front\t\ta\tb\nback\t\tkind\td\tzzz\n")
    return path


def recipe(
    path: Path, more: str = "", controls: str = "controls: true", meta: str = META, held: str = ""
) -> Recipe:
    (folder(path, meta) / "recipe.yaml").write_text(HEAD + held + ARM.format(more=more, controls=controls))
    return read(path / "recipe.yaml")


def prior_of(asked: Recipe, arm: int, split: int = 0) -> priors.LearnedPrior:
    return terms_of(asked, asked.arms[arm], 0.1, split).terms[0].prior  # pyright: ignore[reportAttributeAccessIssue]


def test_features_of_a_column_share_its_row(tmp_path: Path) -> None:
    asked = recipe(tmp_path, ", sets: sets.gmt")
    meta = prior_of(asked, 1).meta_features
    assert meta.features == ("a", "b", "kind=blue", "kind=red", "d")
    assert meta.names == (
        "length",
        "place=x",
        "place=y",
        "is not there",
        "is not there is missing",
        "front",
        "back",
    )
    assert torch.equal(meta.values[2], meta.values[3])
    assert meta.values[:, meta.names.index("front")].tolist() == [1, 1, 0, 0, 0]
    assert {"meta.csv", "sets.gmt"} <= set(asked.arms[1].files)


def test_statistics_are_of_the_training_rows_of_the_split(tmp_path: Path) -> None:
    folder(tmp_path)
    rows = (tmp_path / "rows.csv").read_text().splitlines()
    rows[1:60:3] = [",".join(["", *line.split(",")[1:]]) for line in rows[1:60:3]]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    prior = "{name: learned, statistics: [mean, sd, missing]}"
    (tmp_path / "recipe.yaml").write_text(
        HEAD + f"arms: [{{name: A, terms: [{{prior: {prior}}}], weights: [1]}}]\n"
    )
    asked = read(tmp_path / "recipe.yaml")
    for split in (0, 1):
        meta = prior_of(asked, 0, split).meta_features
        assert meta.names[:3] == ("mean in training", "sd in training", "missing in training")
        a = rows_of(asked).rows(index_of(asked, split).train).x[:, 0].double()
        there = a[~a.isnan()]
        mean, sd, missing = (
            float(meta.values[0, i]) * meta.columns[i].scale + meta.columns[i].centre for i in range(3)
        )
        assert mean == pytest.approx(float(there.mean()), abs=1e-6)
        assert sd == pytest.approx(float(there.std(correction=0)), abs=1e-6)
        assert missing == pytest.approx(1 - len(there) / len(a))
        assert meta.features[2:4] == ("kind=blue", "kind=red")
        assert meta.values[2:4, 3].tolist() == [1, 1]  # categories have no mean
    assert not torch.equal(prior_of(asked, 0, 0).meta, prior_of(asked, 0, 1).meta)


def test_controls_are_one_line(tmp_path: Path) -> None:
    asked = recipe(tmp_path)
    assert [arm.name for arm in asked.arms] == [
        "Plain", "Known", "Known: permuted meta-features", "Known: random meta-features", "Known: g = 0",
        "Known: constant g", "Known: L1 of all weights", "Known: L1 of the first layer",
        "Known: group lasso of the first layer",
    ]  # fmt: skip
    shrinking = asked.arms[-1]
    assert shrinking.weights == [2.0]
    assert shrinking.terms[0].schedule.name == "auto"
    assert parse(to_yaml(asked)).arms == asked.arms
    real, permuted, random, zero, constant = (prior_of(asked, arm) for arm in range(1, 6))
    assert torch.equal(permuted.meta.sort(0).values, real.meta.sort(0).values)
    assert torch.equal(permuted.meta, prior_of(asked, 2).meta)
    assert not torch.equal(
        permuted.meta, prior_of(asked, 2, split=1).meta
    )  # another permutation for each split
    assert random.meta.shape == real.meta.shape
    assert [sum(p.numel() for p in prior.parameters()) for prior in (zero, constant)] == [0, 1]


def test_columns_instead_of_features(tmp_path: Path) -> None:
    recipe(tmp_path)
    text = (HEAD + ARM.format(more="", controls="")).replace("meta.csv}}", "meta.csv}, on: columns}")
    (tmp_path / "recipe.yaml").write_text(text)
    asked = read(tmp_path / "recipe.yaml")
    grouped = terms_of(asked, asked.arms[1], 0.1, 0).terms[0].prior  # pyright: ignore[reportAttributeAccessIssue]
    assert grouped.prior.meta_features.features == ("a", "b", "kind", "d")
    rehearse(asked)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    path = tmp_path_factory.mktemp("learned")
    return finished(
        path / "runs",
        recipe(path, ", network: mlp, lr: 0.01", "controls: [permuted, zero, constant]", held=HELD),
    )


def test_the_run_records_what_was_learned(run: RunDirectory) -> None:
    arms = {arm["name"]: arm["learned"] for arm in run.metrics()["arms"]}
    assert arms["Plain"] is None
    assert arms["Known: g = 0"] is None
    own = arms["Known"]
    assert len(own) == 2
    assert own[0]["features"] == ["a", "b", "kind=blue", "kind=red", "d"]
    assert any(own[0]["importance"])
    assert set(own[0]["dependence"]) == {"length", "place", "is not there", "is not there is missing"}
    assert len(set(arms["Known: constant g"][0]["importance"])) == 1


def test_the_page_says_whether_real_beat_permuted(run: RunDirectory) -> None:
    page = report.render(run)
    assert "What the learned priors learned" in page
    assert "Known: the real meta-features against permuted ones: " in page
    assert "from 2 splits, too few for a test" in page
    assert "Two splits agree on the order of |g| with a rank correlation" in page
    metrics = run.metrics()
    curves = dependence(next(arm for arm in metrics["arms"] if arm["name"] == "Known")["learned"])
    assert curves["place"].levels == ("x", "y")
    assert curves["length"].runs.shape == (2, 21)
    assert curves["length"].features.shape == (5, 21)
    assert "Most of it from" in page


def test_the_page_holds_it_against_what_is_known(run: RunDirectory) -> None:
    arms = {arm["name"]: arm for arm in run.metrics()["arms"]}
    own = arms["Known"]["held_against"]
    assert "held_against" not in arms["Plain"]
    assert (own["relevant"], own["features"], len(own["recovery"])) == (2, 5, 2)
    assert [each["name"] for each in own["enrichment"]] == ["back"]  # front has two members, too few to test
    page = report.render(run)
    assert "g tells the 2 features that are known to matter from the other 3 with an AUC of" in page
    assert "Its controls: permuted meta-features" in page
    assert f"sets of sets.gmt among the {own['top']} features on top, of 5; hypergeometric test" in page
    assert "no evidence from elsewhere" not in page  # this prior did not know the sets


def test_curves_of_other_values_meet_where_all_splits_have_some() -> None:
    curves = [
        {"dependence": {"sd": {"values": values, "levels": [], "mean": [2 * v for v in values]}}}
        for values in ([0.0, 1.0, 2.0], [1.0, 2.0, 3.0])
    ]
    found = dependence(curves)["sd"]
    assert (found.values.tolist(), found.levels) == ([1.0, 1.5, 2.0], ())
    assert found.runs.tolist() == [[2.0, 3.0, 4.0]] * 2
    curves[1]["dependence"]["sd"]["levels"] = ["x"]
    assert dependence(curves) == {}


def test_what_makes_a_feature_matter_in_words() -> None:
    explained = [
        {"a": {"size": 0.5, "age": -0.25, "kind": 0.0}},
        {"a": {"age": -1.0, "size": 0.5}},
        {"b": {}},
    ]
    learned = [{"explained": each} for each in explained]
    assert _reasons(learned, "a") == "age −0.625, size +0.5"
    assert _reasons(learned, "c") == _reasons([{}], "a") == "–"


def test_what_is_recorded_of_features_on_top_adds_up(run: RunDirectory) -> None:
    own = next(arm for arm in run.metrics()["arms"] if arm["name"] == "Known")["learned"][0]
    assert set(own["explained"]) == set(own["features"])
    g = dict(zip(own["features"], own["importance"], strict=True))
    rest = [sum(added.values()) - g[name] for name, added in own["explained"].items()]
    assert max(rest) - min(rest) < 1e-4 * max(map(abs, g.values())) + 1e-7  # complete: g less its mean
    assert set(own["dependence"]["length"]["curves"]) == set(own["features"])


def test_features_that_some_splits_lack_are_left_out() -> None:
    learned = [
        {"features": ["a", "b", "b is missing"], "importance": [1.0, 2.0, 3.0]},
        {"features": ["b", "a"], "importance": [4.0, 5.0]},
    ]
    features, values = importances(learned)
    assert (features, values.tolist()) == (["a", "b"], [[1.0, 2.0], [5.0, 4.0]])


def scored(real: list[float], permuted: list[float]) -> list[str]:
    arms = [
        {"name": name, "test": {"r2": scores}}
        for name, scores in (("A", real), ("A: permuted meta-features", permuted))
    ]
    metrics = {"headline": "r2", "higher_is_better": True, "arms": arms, "splits": len(real),
               "rows": {"train": 400, "validation": 200, "test": 200}}  # fmt: skip
    return sentences(metrics, "A")


def test_the_sentence_is_the_corrected_test() -> None:
    noise = [0.001 * (i % 3) for i in range(12)]
    (beat,) = scored([0.5 + n for n in noise], [0.4] * 12)
    assert beat.startswith("the real meta-features beat permuted ones: +0.101 R²")
    (level,) = scored([0.5, 0.25] * 6, [0.25] * 12)
    assert "do not beat permuted ones: +0.125" in level
    assert scored([0.5], [0.4])[0].endswith("cannot be told from one split (R²).")


@pytest.mark.parametrize(
    ("more", "meta", "message"),
    [
        ("", META + "e,1,x,1\n", "1 rows of meta.csv are about no column of the data .'e'"),
        ("", META.replace("kind", "Kind"), "no column of the data .'Kind'; did 'Kind' mean 'kind'"),
        ("", META.replace("place", "length"), "meta.csv has several columns of the name 'length'. Rename all but one"),
        ("", META.replace(",", ";"), "one column between ','s.*put a line sep=; on top of it"),
        ("", "column\na\nb\nkind\nd\n", "got no other column"),
        (", sets: few.gmt", META, "none of 1 sets has between 1 and 4 members.*members like .'zzz'"),
        (", edges: edges.csv", META, "edges.csv, line 3: there is no column 'zzz' in the data"),
        (", lr: -1", META, "terms: lr must be finite and not negative"),
        ("", META.replace("d,5,y,3\n", ""), "1 of 5 features have no row .'d'"),
        ("", META + "a,1,x,1\n", "must name each column of the data once.*got 'a' twice"),
        ("", "column\na\nb\n", "got no other column"),
        ("", META.replace("1,x", "7,x").replace("2,y", "7,y").replace("3,x", "7,x").replace("5,y", "7,y"),
         "meta-feature 'length' is 7 for all"),
        (", network: forest", META, "network: .*'forest'"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(tmp_path: Path, more: str, meta: str, message: str) -> None:
    (tmp_path / "few.gmt").write_text("few\t\tzzz\n")
    (tmp_path / "edges.csv").write_text("from,to\na,b\nb,zzz\n")
    with pytest.raises(RecipeError, match=message):
        rehearse(recipe(tmp_path, more, meta=meta))


def test_names_are_as_they_are_written_and_a_graph_is_known_of(tmp_path: Path) -> None:
    folder(tmp_path)
    rows = (tmp_path / "rows.csv").read_text().replace("a,b,kind,d,y", "007,NA,kind,d,y", 1)
    (tmp_path / "rows.csv").write_text(rows)
    (tmp_path / "meta.csv").write_text("column,length\n 007 ,1\nNA,2\nkind,3\nd,5\n")
    (tmp_path / "edges.csv").write_text("from,to\n007,NA\nNA,d\nd,zzz\n")
    prior = "{name: learned, meta_features: meta.csv, edges: edges.csv, unmatched: ignore}"
    (tmp_path / "recipe.yaml").write_text(
        HEAD + f"arms: [{{name: A, terms: [{{prior: {prior}}}], weights: [1]}}]\n"
    )
    asked = read(tmp_path / "recipe.yaml")
    meta = prior_of(asked, 0).meta_features
    assert meta.features == ("007", "NA", "kind=blue", "kind=red", "d")
    assert meta.names == ("length", "degree", "degree of neighbours", "degree of neighbours is missing")
    assert meta.values[:, 1].argmax() == 1
    assert meta.values[2:4, 3].tolist() == [1, 1]  # in no edge
    assert asked.arms[0].files == ("meta.csv", "edges.csv")


def test_rows_and_features_may_be_missing_if_it_is_said(tmp_path: Path) -> None:
    meta = META.replace("d,5,y,3\n", "e,1,x,1\n")
    asked = recipe(tmp_path, ", unmatched: ignore, absent: impute", meta=meta)
    found = prior_of(asked, 1).meta_features
    assert found.values[4, found.names.index("length")] == 0
    assert prior_of(recipe(tmp_path, ", sets: sets.gmt", meta=META), 1).meta_features.names[-1] == "back"
