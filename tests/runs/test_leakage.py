"""What test and validation rows hold reaches nothing that is fitted: from outside, for many kinds of arms at once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rightreasons.recipes import read
from rightreasons.runs import RunDirectory, run

RECIPE = """
name: leaks
data: {path: rows.csv, target: y, split: part, id: who, preprocessing: {indicators: true}}
task: {name: binary, weights: balanced}
model: {name: mlp, hidden: [6]}
training: {epochs: 2}
explain: {rows: 6, attribution: {name: expected_gradients, samples: 4}}
arms:
  - {name: Plain}
  - {name: Few columns, terms: [{prior: gini, on: columns}], weights: [0.1, 1]}
  - {name: Groups, terms: [{prior: group_sparsity}], weights: [0.1, 1]}
  - name: Graph
    terms: [{prior: {name: graph_laplacian, graph: co_membership, groups: {one: [a, b], two: [b, c]}}}]
    weights: [0.1, 1]
    controls: true
  - name: Mask
    terms: [{prior: {name: mask, columns: [c]}, attribution: {name: gradient}}]
    weights: [1, 10]
    controls: true
  - name: Learned
    terms: [{prior: {name: learned, statistics: [mean, sd, missing], network: mlp}, on: columns}]
    weights: [1, 10]
    controls: true
  - {name: Lasso, peer: lasso, weights: [0.05, 0.1]}
  - {name: Boosting, peer: {name: gradient_boosting, rounds: 3}, weights: [0.1, 0.3]}
  - {name: Forest, peer: {name: random_forest, trees: 3}, weights: [0.3, 0.6]}
"""


def rows(changed: str) -> str:
    """A table with missing values, whose rows of one part are wild, and of the other class."""
    draws = np.random.default_rng(0)
    lines = ["who,a,b,c,drink,y,part"]
    for i in range(72):
        a, b, c = draws.normal(size=3)
        part, label, drink = (
            ("train", "validation", "test")[i % 3],
            int(a + b / 2 > 0),
            ("beer", "wine")[i % 2],
        )
        if part == changed:
            a, b, c, label, drink = 1000 + a, -b, c**3, 1 - label, "wine"
        shown = "" if i % 7 == 0 else f"{a:.4f}"
        lines.append(f"p{i},{shown},{b:.4f},{c:.4f},{drink},{label},{part}")
    return "\n".join(lines)


def trained(folder: Path, changed: str) -> RunDirectory:
    folder.mkdir()
    (folder / "rows.csv").write_text(rows(changed))
    (folder / "r.yaml").write_text(RECIPE)
    return run(read(folder / "r.yaml"), folder / "run", workers=0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDirectory]:
    folder = tmp_path_factory.mktemp("leaks")
    return {
        changed: trained(folder / (changed or "as it is"), changed) for changed in ("", "validation", "test")
    }


def fits(directory: RunDirectory) -> list[dict[str, Any]]:
    """What is known of every fit, but for its name, which says that the file is another one, and the time it took."""
    found = [json.loads(path.read_text()) for path in (directory.path / "fits").glob("*.json")]
    for fit in found:
        fit["history"] = [{k: v for k, v in each.items() if "second" not in k} for each in fit["history"]]
    kept = [{k: v for k, v in fit.items() if k not in ("id", "seconds")} for fit in found]
    return sorted(kept, key=lambda fit: (fit["arm"], fit["trial"]))


def test_test_rows_reach_no_fit_and_no_choice(runs: dict[str, RunDirectory]) -> None:
    plain, changed = runs[""], runs["test"]
    assert len(fits(plain)) == 36
    assert fits(plain) == fits(changed)
    assert plain.preprocessing_file.read_text() == changed.preprocessing_file.read_text()
    for ours, theirs in zip(plain.metrics()["arms"], changed.metrics()["arms"], strict=True):
        chosen = [
            [(c["trial"], c["weight"], c["best_epoch"]) for c in arm["chosen"]] for arm in (ours, theirs)
        ]
        assert chosen[0] == chosen[1]
    assert plain.metrics()["arms"][0]["test"] != changed.metrics()["arms"][0]["test"]


def test_validation_rows_choose_and_nothing_else(runs: dict[str, RunDirectory]) -> None:
    plain, changed = runs[""], runs["validation"]
    assert plain.preprocessing_file.read_text() == changed.preprocessing_file.read_text()
    for ours, theirs in zip(fits(plain), fits(changed), strict=True):
        assert [epoch["loss"] for epoch in ours["history"]] == [epoch["loss"] for epoch in theirs["history"]]
        assert ours["validation"] != theirs["validation"]
