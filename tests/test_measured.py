"""Figures in the documentation are those of the committed result files."""

import json
import re
import runpy
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from rightreasons import attribution

ROOT = Path(__file__).parents[1]


def test_the_page_of_measurements_is_what_the_result_files_say() -> None:
    page = runpy.run_path(str(ROOT / "benchmarks" / "_page.py"))["page"]()
    assert (ROOT / "docs" / "measured.md").read_text(encoding="utf-8") == page


def test_the_tables_of_methods_are_what_the_methods_say_of_themselves() -> None:
    script = runpy.run_path(str(ROOT / "benchmarks" / "_methods.py"))
    text = (ROOT / "docs" / "which-method.md").read_text(encoding="utf-8")
    assert script["page"](text) == text, "python benchmarks/_methods.py writes it anew"
    assert set(script["HEADINGS"]) == {field.name for field in fields(attribution.Axioms)} - {"note"}


def test_the_page_of_recipes_is_what_their_result_files_say() -> None:
    page = runpy.run_path(str(ROOT / "recipes" / "results.py"))["page"]()
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("document", ["README.md", "docs/which-method.md"])
def test_ratios_quoted_elsewhere_are_on_that_page(document: str) -> None:
    """A ratio is written as 13.8 times or 2.6 plain steps; each must be a cell of the page."""
    text = (ROOT / document).read_text(encoding="utf-8")
    cells = set(re.findall(r"[\d.]+", (ROOT / "docs" / "measured.md").read_text(encoding="utf-8")))
    quoted = re.findall(r"(\d+\.\d+) (?:times|plain steps)", text)
    assert set(quoted) <= cells


def test_estimators_save_what_the_documentation_promises() -> None:
    """At 1/6, 1/2 and all of 100 references: 3, 5 and 7 times in the median, and the default never loses."""
    found = json.loads((ROOT / "benchmarks" / "results" / "estimators.json").read_text(encoding="utf-8"))
    for draws, goal in (("17", 3), ("50", 5), ("100", 7)):
        assert found["median"][draws]["kriging"] >= goal
        assert found["median"][draws]["kriging, with forwards"] >= goal
    assert all(row["kriging"] > 1 and row["kriging, with forwards"] > 1 for row in found["least"].values())
    assert len(found["saved"]) >= 6


def test_a_penalty_costs_what_the_documentation_promises() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "engines.json").read_text(encoding="utf-8"))
    assert all(target["met"] for target in found["targets"].values())


def test_a_map_costs_no_more_than_elsewhere() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "speed.json").read_text(encoding="utf-8"))
    targets = [target for own in found["networks"].values() for target in own["targets"].values()]
    assert sum("at_most" in target for target in targets) == 7
    assert all(target["met"] for target in targets if "at_most" in target)


def test_explaining_ten_times_the_rows_needs_the_memory_of_one() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "streaming.json").read_text(encoding="utf-8"))
    for peaks in found["peak_megabytes"].values():
        few, many = peaks.values()
        assert many < 1.05 * few


def test_very_many_columns_take_seconds() -> None:
    for found in read("wide")["results"]:
        assert found["read_seconds"] + found["scaled_seconds"] < 20
        assert found["peak_mb"] < 350 + 4 * found["dense_mb"]


def test_a_sparse_matrix_is_read_scaled_and_trained_on_in_less_memory_than_it_takes_dense() -> None:
    (found,) = (e for e in read("wide")["results"] if e["file"] == "h5ad" and e["columns"] == 60_000)
    assert found["peak_mb"] < found["dense_mb"]


def read(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def test_lens_and_attacks_are_as_fast_as_promised() -> None:
    for ratios in read("metrics")["ratios over windows 1-3"].values():
        assert ratios["loop / recall"] >= 50
        assert ratios["loop / diverse"] >= 20
        assert ratios["recall / floor"] <= 3
    for windows in read("metrics")["ratios of each window"].values():
        for ratios in windows.values():
            assert ratios["loop / evaluation"] >= 50
            assert ratios["loop / diverse"] >= 20
    assert read("attacks")["ratios"]["one at a time / batched"] >= 5


def test_an_attack_on_integrated_gradients_needs_fewer_gradients_at_no_less_strength() -> None:
    arms = read("attack_evaluations")["arms"]
    arm, published = arms["5 points, 30 steps"], arms["published"]
    assert arm["interval"][0] < arm["top-k intersection"] < published["top-k intersection"]
    assert arm["published / evaluations"] > 50


def test_attacks_on_predictions_are_those_of_other_libraries() -> None:
    for ball in read("peer_attacks")["attacks"].values():
        strongest = ball["rightreasons: PGD, 5 restarts, 100 steps of eps / 4"]["robust accuracy"]
        assert strongest <= ball["AutoAttack"]["robust accuracy"] + 0.01
        for name in ("foolbox: one step", "foolbox: last iterate", "ART: one step"):
            assert ball[name]["images equal"] > 0.99
