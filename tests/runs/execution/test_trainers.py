from pathlib import Path

import numpy as np
import pytest
import torch

import rightreasons as rr
from rightreasons import runs
from rightreasons.cli import main
from rightreasons.core._errors import InputError, RecipeError
from rightreasons.models import Trees
from rightreasons.recipes import parse
from rightreasons.report import render, render_comparison
from rightreasons.runs import RunDirectory, compare, comparison_text, plan
from rightreasons.runs.execution._dry_run import rehearse
from rightreasons.runs.results._export import attributions
from rightreasons.runs.setup._build import resolve
from tests.runs.cases import IMAGES, TABLE, finished
from tests.runs.kinds import known

ARMS = """
  - {name: Lasso, peer: lasso, weights: [0.03, 0.1]}
  - {name: Boosting, peer: {name: gradient_boosting, rounds: 9}, weights: [0.1, 0.3]}
  - {name: Forest, peer: {name: random_forest, trees: 9}, weights: [0.2, 0.5]}
  - {name: Dropout, vary: model.dropout, weights: [0.2, 0.6]}
  - {name: Decay, vary: optimizer.weight_decay, weights: [0.1, 1]}
  - {name: Wide, model: {hidden: [16, 4]}}
"""
PEERS = TABLE.replace("weights: [0.1]", "weights: [0.1, 0.3]").rstrip() + ARMS


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished(tmp_path_factory.mktemp("ways"), parse(PEERS))


def test_every_arm_has_the_same_trials_and_every_network_the_same_steps(run: RunDirectory) -> None:
    arms = run.metrics()["arms"]
    assert {arm["fits"] for arm in arms} == {4}
    assert [arm["name"] for arm in arms if arm["steps"] is None] == ["Lasso", "Boosting", "Forest"]
    assert {arm["steps"] for arm in arms if arm["steps"] is not None} == {4 * 3}
    assert all(None not in arm["test"]["auc"] for arm in arms)


def test_linear_peers_are_explained_as_networks_are_and_trees_are_not(run: RunDirectory) -> None:
    arms = {arm["name"]: arm for arm in run.metrics()["arms"]}
    assert arms["Forest"]["gini"] == arms["Boosting"]["gini"] == [None, None]
    trained = rr.load(run.path, arm="Lasso")
    weight = trained.model.layers[-1].weight.detach()[0]  # pyright: ignore[reportIndexIssue, reportAttributeAccessIssue]
    assert 0 < int((weight == 0).sum()) < len(weight)
    rows = trained.parts
    kept = run.maps(arms["Lasso"]["chosen"][0]["key"])
    by_hand = weight * (rows.test.x[kept["rows"]] - rows.train.x.mean(0))
    expected = rr.data.sum_groups(by_hand, rows.test.groups)[1]
    # Expected gradients of a linear model are exact, whatever is drawn.
    np.testing.assert_allclose(kept["maps"], expected.numpy(), atol=1e-4)


def test_what_is_loaded_predicts_what_was_measured(run: RunDirectory) -> None:
    for arm in run.metrics()["arms"]:
        trained = rr.load(run.path, arm=arm["name"])
        found = trained.task.metrics(trained.outputs(trained.parts.test.x), trained.parts.test.y)
        assert found["auc"] == pytest.approx(arm["test"]["auc"][0], abs=1e-6)
    assert isinstance(rr.load(run.path, arm="Forest").model, Trees)
    assert nothing_is_pickled(run)


def nothing_is_pickled(run: RunDirectory) -> bool:
    return {p.suffix for p in (run.path / "fits").iterdir()} == {".json", ".safetensors"}


def test_what_is_varied_reaches_the_network(run: RunDirectory) -> None:
    recipe = run.recipe()
    arms = {arm.name: arm for arm in recipe.arms}
    assert recipe.of(arms["Dropout"], 0.6).model.fields["dropout"] == 0.6
    assert recipe.of(arms["Decay"], 0.1).training.optimizer.fields["weight_decay"] == 0.1
    assert recipe.of(arms["Wide"], None).model.fields["hidden"] == [16, 4]
    assert recipe.of(arms["Plain"], None) == recipe
    wide = rr.load(run.path, arm="Wide").model
    assert [p.shape[0] for p in wide.parameters() if p.dim() > 1] == [16, 4, 1]


def test_a_page_is_made_of_arms_without_maps(run: RunDirectory) -> None:
    page = render(run)
    assert "It has no attributions." in page
    assert "Forest" in page


def test_a_peer_can_be_what_others_are_compared_with(tmp_path: Path) -> None:
    text = TABLE.replace(
        "  - {name: Plain}", "  - {name: Trees, peer: {name: random_forest, trees: 5}, weights: [0.3]}"
    )
    done = finished(tmp_path, parse(text))
    assert done.metrics()["reference"] == "Trees"
    assert all(arm["plain_steps"] is None for arm in done.metrics()["arms"])
    render(done)


def test_arms_without_maps_are_left_out_of_an_export(run: RunDirectory) -> None:
    named = set(attributions(run.path)["arm"])
    assert "Lasso" in named
    assert not named & {"Forest", "Boosting"}
    with pytest.raises(InputError, match="decision trees have no attributions, and 'Forest'"):
        attributions(run.path, arm="Forest")


def test_the_network_does_not_decide_what_a_peer_is() -> None:
    ids = {fit.arm: fit.id for fit in plan(parse(PEERS))}
    others = {fit.arm: fit.id for fit in plan(parse(PEERS.replace("rounds: 9", "rounds: 8")))}
    assert {arm for arm in ids if ids[arm] != others[arm]} == {"Boosting"}


@pytest.mark.parametrize("name", ["lasso", "random_forest"])
def test_peers_are_for_tables(name: str) -> None:
    text = IMAGES.replace(
        "{name: Plain, description: the network alone}", f"{{name: P, peer: {name}, weights: [1, 2]}}"
    )
    with pytest.raises(
        RecipeError, match=rf"tiny: arm 'P': the peer '{name}' is for tables.*shape \(1, 8, 8\)"
    ):
        rehearse(parse(text))


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ("peer: logistic_lasso, weights: [1]", r"there is no peer 'logistic_lasso'. Did you mean 'lasso'\?"),
        ("peer: {name: random_forest, tree: 5}, weights: [1]", r"no field 'tree'. Did you mean 'trees'\?"),
        ("peer: {name: lasso, strength: 5}, weights: [1]", "'lasso' has no field 'strength'"),
        ("peer: lasso", "needs both terms and weights .* for a peer"),
        ("peer: lasso, vary: model.dropout, weights: [1]", "has vary and peer, and its weights are for one"),
        ("peer: lasso, model: {hidden: [3]}, weights: [1]", "is a peer and has no network"),
        (
            "vary: dropout, weights: [1]",
            "model.FIELD or optimizer.FIELD, such as model.dropout; got 'dropout'",
        ),
        ("vary: model.dropuot, weights: [0.1]", r"no field 'dropuot'. Did you mean 'dropout'\?"),
        ("vary: optimizer.momentum, weights: [0.1]", "'adam' has no field 'momentum'"),
        ("model: {hiden: [3]}", r"no field 'hiden'. Did you mean 'hidden'\?"),
    ],
)
def test_arms_that_cannot_be_are_named(arm: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(TABLE.rstrip() + f"\n  - {{name: Other, {arm}}}\n")


def test_a_setting_that_a_peer_or_network_refuses_is_said_before_training(tmp_path: Path) -> None:
    for arm in ("vary: model.dropout, weights: [1.5]", "peer: gradient_boosting, weights: [2]"):
        recipe = parse(TABLE.rstrip() + f"\n  - {{name: Other, {arm}}}\n")
        with pytest.raises(RecipeError, match="arm 'Other': .*got (1.5|2.0)"):
            runs.run(recipe, tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()


def test_trees_say_that_nothing_explains_them(run: RunDirectory) -> None:
    trained = rr.load(run.path, arm="Forest")
    with pytest.raises(rr.RightReasonsError, match="gradient"):
        rr.Gradient()(trained.model, trained.parts.test.x[:2], torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("peer", ["gradient_boosting", "random_forest"])
def test_trees_say_before_training_which_tasks_they_learn(peer: str) -> None:
    text = (
        f"{{name: r, data: {{name: kind-survival}}, model: mlp, training: {{epochs: 1}}, "
        f"arms: [{{name: Trees, peer: {peer}, weights: [0.1]}}]}}"
    )
    message = r"arm 'Trees': .* is for binary, multi-class and regression tasks; got Survival.*lasso"
    with known(), pytest.raises(RecipeError, match=message):
        rehearse(resolve(parse(text)))


def test_explaining_trees_names_the_arms_that_can_be_explained(run: RunDirectory) -> None:
    message = r"arm 'Forest' is made of decision trees.*--arm\): 'Plain', 'Sparse', 'Lasso', 'Dropout'"
    with pytest.raises(InputError, match=message):
        rr.load(run.path, arm="Forest").method()


def test_where_trees_scored_best_the_best_arm_with_attributions_is_explained(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = run.metrics()
    for place, arm in enumerate(metrics["arms"]):
        for chosen in arm["chosen"]:
            chosen["validation"] = {"Boosting": 0.99, "Wide": 0.98}.get(arm["name"], 0.5 + place / 100)
    monkeypatch.setattr(RunDirectory, "metrics", lambda self: metrics)
    assert rr.load(run.path).arm == "Boosting"
    assert rr.load(run.path, explains=True).arm == "Wide"
    to = tmp_path / "maps.csv"
    asked = ["explain", str(run.path), "nhefs", "-o", str(to), "--method", "gradient", "--rows", "2000"]
    assert main(asked) == 0
    assert "'Boosting' scored best and has no attributions" in capsys.readouterr().err
    assert len(to.read_text().splitlines()) == 1630


def test_runs_with_peers_are_compared_like_any_other(run: RunDirectory, tmp_path: Path) -> None:
    other = finished(tmp_path, parse(PEERS.replace("hidden: [8]", "hidden: [12]")))
    found = compare([run.path, other.path], against=f"{run.path}: Forest")
    assert found["paired"]
    assert len(found["arms"]) == 16
    by_arm = {each["arm"]: each for each in found["comparisons"]}
    # What is no network is the same in both runs, on the same rows.
    assert by_arm[f"{other.path}: Forest"]["differences"] == [0, 0]
    lasso = by_arm[f"{other.path}: Lasso"]
    assert lasso["differences"] == by_arm[f"{run.path}: Lasso"]["differences"]
    assert "Forest" in comparison_text(found)
    assert "Boosting" in render_comparison(found)
