"""Experiments on learned priors: nothing that is fitted sees a row outside training, and results are as committed."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from rightreasons import data

FOLDER = Path(__file__).parents[2] / "experiments" / "weinberger2020"
CELLS, GENES = 60, 40


def load(place: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A file of the folder as a module, as if its script were run."""
    path = FOLDER / place
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    for name in ("material", "shared"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = importlib.util.spec_from_file_location(
        f"weinberger2020_{path.parent.name.replace('-', '_')}", path
    )
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    for name in ("material", "shared"):  # so that they are gone after the test
        if name in sys.modules:
            monkeypatch.setitem(sys.modules, name, sys.modules.pop(name))
    return module


def cell_lines(seed: int) -> data.DataSet:
    generator = torch.Generator().manual_seed(seed)
    spread = 0.5 + torch.rand(GENES, generator=torch.Generator().manual_seed(9))
    x = torch.randn(CELLS, GENES, generator=generator) * spread
    columns = tuple(data.Column(f"G{i}") for i in range(GENES))
    ids = tuple(f"C{i}" for i in range(CELLS))
    return data.DataSet("cells", x, torch.randn(CELLS, generator=generator), columns=columns, ids=ids)


def alterations(seed: int) -> data.Alterations:
    rng = np.random.default_rng(seed)
    cells, genes = tuple(f"C{i}" for i in range(CELLS)), tuple(f"G{i}" for i in range(GENES))
    return data.Alterations(
        cells, genes, rng.random((CELLS, GENES)) < 0.4, rng.integers(-1, 2, (CELLS, GENES)).astype(np.int8)
    )


def knowledge(material: ModuleType):
    genes = tuple(f"G{i}" for i in range(GENES))
    rng = np.random.default_rng(3)
    annotation = {name: rng.integers(0, 50, GENES).astype(float).tolist() for name in material.COUNTS}
    pathways = {f"P{i}": [f"G{j}" for j in rng.choice(GENES, 6, replace=False)] for i in range(8)}
    return material.Knowledge(genes, annotation, pathways)


def mixed(split: data.Split, own: data.DataSet, other: data.DataSet) -> data.DataSet:
    """Training rows of one data set, all others of another."""
    x, y = other.x.clone(), other.y.clone()
    x[split.train], y[split.train] = own.x[split.train], own.y[split.train]
    return data.DataSet("cells", x, y, columns=own.columns, ids=own.ids)


def test_drug_response_learns_from_training_rows_only(monkeypatch):
    material = load("drug-response/material.py", monkeypatch)
    monkeypatch.setattr(material, "SET_SIZES", (2, 30))
    known, altered = knowledge(material), alterations(0)
    own = cell_lines(0)
    split = next(data.splits(own, 1, 30, 15, 15))
    elsewhere = np.ones(CELLS, dtype=bool)
    elsewhere[split.train.numpy()] = False
    changed = data.Alterations(
        altered.cells, altered.genes, altered.mutated ^ elsewhere[:, None], altered.copies.copy()
    )
    changed.copies[elsewhere] *= -1
    first = material.prepared(own, known, altered, split, genes=20)
    second = material.prepared(mixed(split, own, cell_lines(1)), known, changed, split, genes=20)
    assert first.genes == second.genes
    assert torch.equal(first.x["train"], second.x["train"])
    assert torch.equal(first.y["train"], second.y["train"])
    assert (first.mean, first.scale) == (second.mean, second.scale)
    assert first.meta.digest == second.meta.digest
    assert torch.equal(first.graph.edges, second.graph.edges)
    assert not torch.equal(first.x["test"], second.x["test"])
    # And it does learn from training rows.
    third = material.prepared(mixed(split, cell_lines(1), own), known, altered, split, genes=20)
    assert third.meta.digest != first.meta.digest


def test_every_split_has_a_permutation_of_its_own(monkeypatch):
    run = load("drug-response/run.py", monkeypatch)
    material = sys.modules["material"]
    monkeypatch.setattr(material, "SET_SIZES", (2, 30))
    own = cell_lines(0)
    split = next(data.splits(own, 1, 30, 15, 15))
    made = material.prepared(own, knowledge(material), alterations(0), split, genes=20)
    permuted = [run.network_arms(made, seed)["permuted"][1](1.0)[0].prior.meta for seed in (0, 1, 0)]
    assert torch.equal(permuted[0], permuted[2])
    assert not torch.equal(permuted[0], permuted[1])
    assert torch.equal(permuted[0].sort(0).values, made.meta.values.sort(0).values)
    references = run.network_arms(made, 0)["zero"][1](1.0)[0].attribution.references
    assert torch.equal(references, made.x["train"])


def test_two_moons_meta_features_are_of_training_rows(monkeypatch):
    run = load("two-moons/run.py", monkeypatch)
    x, y = run.problem(6, 0)
    assert x.shape == (1000, 8)
    assert set(y.tolist()) == {0, 1}
    arms = run.arms(x[: run.TRAIN], 0)
    prior = arms["DAPr"][1](1.0)[0].prior
    sd = x[: run.TRAIN].std(0)
    assert torch.allclose(prior.meta[:, 0], (sd - sd.mean()) / sd.std(correction=0), atol=1e-4)
    assert len({len(run.WEIGHTS[kind]) for kind, _ in arms.values()}) == 1  # as many trials for every arm


def test_survival_meta_features_are_of_training_rows(monkeypatch):
    run = load("survival/run.py", monkeypatch)
    names = [name for names in run.KINDS.values() for name in names]
    x = torch.randn(50, len(names))
    x[:10, 3] = torch.nan
    x[:, names.index("sex")] = torch.arange(50) % 2
    columns = [data.Column(name, levels=("f", "m") if name == "sex" else ()) for name in names]
    raw = data.DataSet("d", x, torch.ones(50, 2), columns=tuple(columns))
    meta = run.meta_features(raw, data.Preprocessing.fit(raw)(raw))
    assert meta.features[:3] == ("age", "sex=f", "sex=m")
    missing, category = (meta.values[:, meta.names.index(name)] for name in ("missing", "category"))
    assert meta.features[missing.argmax()] == names[3]
    assert (category > 0).nonzero().flatten().tolist() == [1, 2]
    arms = run.arms(x.nan_to_num(), meta, 0)
    assert len({len(weights) for weights, _ in arms.values()}) == 1


def test_finished_jobs_are_taken_from_where_they_are_kept(tmp_path, monkeypatch):
    shared = load("shared.py", monkeypatch)
    kept = tmp_path / "kept.jsonl"
    kept.write_text('[["b", 1], 2.0]\n[["a", 0], {"x": 1.5}]\n')
    found = shared.done(lambda job: 1 / 0, [("a", 0), ("b", 1)], 1, kept)
    assert list(found.items()) == [(("a", 0), {"x": 1.5}), (("b", 1), 2.0)]
    assert shared.done(abs, [-1, 2], 1, tmp_path / "new.jsonl") == {-1: 1, 2: 2}
    assert (tmp_path / "new.jsonl").read_text() == "[-1, 1]\n[2, 2]\n"


def test_scores_that_moved_are_told(monkeypatch):
    shared = load("shared.py", monkeypatch)
    expected = {"d": {"arms": {"MLP": {"R2": 0.5}, "DAPr": {"R2": 0.6}}}}
    found = {"d": {"arms": {"MLP": {"R2": 0.52}, "DAPr": {"R2": 0.7}}}}
    assert shared.differences(found, expected, "R2", 0.05) == ["d DAPr: 0.7, expected 0.6"]


def test_the_pages_say_what_the_result_files_say(monkeypatch):
    tables = load("tables.py", monkeypatch)
    for path in tables.PAGES:
        text = path.read_text(encoding="utf-8")
        assert len(tables.WRITTEN.findall(text)) >= 2
        assert tables.page(text) == text, "python experiments/weinberger2020/tables.py writes it anew"
