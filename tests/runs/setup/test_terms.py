from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rightreasons as rr
from rightreasons import priors, training
from rightreasons.core._errors import DataError, RecipeError
from rightreasons.recipes import Recipe, parse, read
from rightreasons.recipes import _names as names
from rightreasons.runs import plan
from rightreasons.runs.execution._dry_run import rehearse
from rightreasons.runs.setup import _build as material
from rightreasons.runs.setup import _datasets as rows
from rightreasons.runs.setup._terms import attribution_of, terms_of
from tests.runs.cases import IMAGES, TABLE

RIGHT_REASONS = (
    "prior: {name: mask, columns: [alcoholtype]}, attribution: {name: gradient, output: sum_log_probability}"
)


def test_terms_have_their_weight_times_their_factor() -> None:
    text = TABLE.replace("{prior: gini}", "{prior: gini, factor: 2, every: 3}, {regulariser: weight_l1}")
    recipe = parse(text)
    gini, decay = terms_of(recipe, recipe.arms[1], 0.1, 0).terms
    assert isinstance(gini, training.Penalty)
    assert (gini.weight, gini.every, gini.name) == (0.2, 3, "gini_0")
    assert gini.prior == priors.Gini()
    assert isinstance(decay, training.WeightL1)
    assert (decay.weight, decay.name) == (0.1, "weight_l1_1")
    assert terms_of(recipe, recipe.arms[0], None, 0).terms == []


def test_references_are_training_rows_or_the_batch() -> None:
    few = torch.randn(4, 3)
    for said, expected in (("train", few), ("batch", "batch")):
        text = TABLE.replace(
            "{prior: gini}", f"{{prior: gini, attribution: {{name: expected_gradients, references: {said}}}}}"
        )
        named = parse(text).arms[1].terms[0].attribution
        assert named is not None
        method = attribution_of(named, few)
        assert isinstance(method, rr.ExpectedGradients)
        assert method.references is expected or torch.equal(method.references, few)  # pyright: ignore[reportArgumentType]


def test_other_methods_need_no_references() -> None:
    text = TABLE.replace(
        "{prior: gini}", "{prior: gini, attribution: {name: integrated_gradients, steps: 7}}"
    )
    named = parse(text).arms[1].terms[0].attribution
    assert named is not None
    assert repr(attribution_of(named, torch.zeros(1, 1))).startswith("IntegratedGradients")


TRAINABLE = [name for name in names.KINDS["attribution"] if names.differentiable(name)]


@pytest.mark.parametrize("name", TRAINABLE)
def test_every_attribution_that_can_be_trained_through_trains_a_network(name: str) -> None:
    text = IMAGES.replace("name: mlp, hidden: [16]", "name: cnn, channels: [2]")
    recipe = parse(text.replace("prior: total_variation", f"prior: total_variation, attribution: {name}"))
    if name == "x_gradient":  # which is for networks without biases, and says so
        with pytest.raises(RecipeError, match="XGradient is .* biases"):
            rehearse(recipe)
        return
    rehearse(recipe)


@pytest.mark.parametrize(
    "name", ["deep_lift", "lrp", "guided_backprop", "deconvnet", "guided_grad_cam", "random_map"]
)
def test_others_explain_and_do_not_train(name: str) -> None:
    with pytest.raises(
        RecipeError, match=rf"maps of '{name}' cannot be trained through.* Use one of expected_gradients"
    ):
        parse(IMAGES.replace("prior: total_variation", f"prior: total_variation, attribution: {name}"))
    text = IMAGES.replace("name: mlp, hidden: [16]", "name: cnn, channels: [2]")
    rehearse(parse(text.replace("{name: expected_gradients, samples: 8}", name)))


def test_maps_that_are_not_on_the_inputs_cannot_be_shown() -> None:
    text = IMAGES.replace("name: mlp, hidden: [16]", "name: cnn, channels: [2, 2]")
    text = text.replace("{name: expected_gradients, samples: 8}", "{name: grad_cam, upsample: null}")
    rehearse(parse(text.replace("upsample: null", "upsample: nearest")))
    with pytest.raises(
        RecipeError, match=r"explain: maps must be of the inputs' shape \(1, 8, 8\).*upsample"
    ):
        rehearse(parse(text))


def test_right_for_the_right_reasons_is_a_line() -> None:
    recipe = parse(TABLE.replace("prior: gini", f"{RIGHT_REASONS}"))
    (term,) = terms_of(recipe, recipe.arms[1], 0.1, 0).terms
    assert isinstance(term, training.Penalty)
    assert term.attribution == rr.Gradient(output="sum_log_probability")
    assert repr(term.prior) == "Mask(mask=<(52,), 4 nonzero>)"


def test_priors_on_columns_see_features_added_up() -> None:
    recipe = parse(
        TABLE.replace("{prior: gini}", "{prior: {name: mask, columns: [alcoholtype]}, on: columns}")
    )
    (term,) = terms_of(recipe, recipe.arms[1], 0.1, 0).terms
    assert isinstance(term, training.Penalty)
    assert repr(term.prior) == "Grouped(Mask(mask=<(45,), 1 nonzero>), <45 groups>)"
    maps = torch.zeros(1, 52)
    maps[0, list(rows.parts(recipe, 0).train.groups["alcoholtype"])] = torch.tensor([3.0, -1.0, 1.0, 0.0])
    assert float(term.prior(maps)) == 9.0
    recipe = parse(IMAGES.replace("prior: total_variation", "prior: l1, on: columns"))
    with pytest.raises(RecipeError, match="on: columns is for tables"):
        terms_of(recipe, recipe.arms[1], 0.1, 0)


def test_wrong_knowledge_is_new_for_each_split_and_the_same_for_each_trial() -> None:
    text = TABLE.replace("{prior: gini}", "{prior: {name: mask, columns: [age, wt71]}}")
    recipe = parse(text.replace("weights: [0.1]", "weights: [0.1, 1], controls: true"))
    masks: Any = [
        [terms_of(recipe, recipe.arms[2], weight, split).terms[0] for weight in (0.1, 1.0)]
        for split in (0, 1)
    ]
    masks = [[term.prior.mask.tolist() for term in trials] for trials in masks]
    assert masks[0][0] == masks[0][1]
    assert masks[1][0] == masks[1][1]
    assert masks[0][0] != masks[1][0]


def guided(folder: Path, prior: str, masks: np.ndarray, base: str = IMAGES, arm: str = "") -> Recipe:
    np.save(folder / "masks.npy", masks)
    text = base.replace("prior: total_variation, rows: 0.5", "prior: gini")
    text = text.replace("prior: gini", f"prior: {prior}, guidance: {{masks: masks.npy}}{arm}")
    (folder / "r.yaml").write_text(text)
    return read(folder / "r.yaml")


def test_guidance_is_that_of_the_training_rows(tmp_path: Path) -> None:
    masks = np.zeros((1797, 1, 8, 8), dtype=np.float32)
    masks[np.arange(1797), 0, 0, np.arange(1797) % 8] = 1
    recipe = guided(tmp_path, "mask", masks)
    for split in (0, 1):
        found = terms_of(recipe, recipe.arms[1], 0.01, split)
        assert found.guidance is not None
        index = rows.index_of(recipe, split).train
        torch.testing.assert_close(found.guidance, torch.from_numpy(masks)[index])
    rehearse(recipe)


def test_guidance_of_a_table_is_along_what_the_prior_sees(tmp_path: Path) -> None:
    masks = np.zeros((1629, 45), dtype=np.float32)
    raw = rows.rows_of(parse(TABLE))
    masks[:, raw.feature_names.index("alcoholtype")] = 1
    by_feature = guided(tmp_path, "mask", masks, TABLE)
    train = rows.parts(by_feature, 0).train
    found = terms_of(by_feature, by_feature.arms[1], 0.1, 0)
    assert found.guidance is not None
    assert found.guidance[0].nonzero().flatten().tolist() == list(train.groups["alcoholtype"])
    by_column = guided(tmp_path, "mask", masks, TABLE, ", on: columns")
    found = terms_of(by_column, by_column.arms[1], 0.1, 0)
    assert found.guidance is not None
    assert found.guidance[0].nonzero().flatten().tolist() == [list(train.groups).index("alcoholtype")]


def test_random_guidance_is_as_large_elsewhere(tmp_path: Path) -> None:
    masks = np.zeros((1797, 1, 8, 8), dtype=np.float32)
    masks[:, 0, 1:3, 2:5] = 1
    recipe = guided(tmp_path, "mask", masks)
    text = (
        (tmp_path / "r.yaml")
        .read_text()
        .replace("weights: [0.001, 0.01]", "weights: [0.001, 0.01], controls: true")
    )
    (tmp_path / "r.yaml").write_text(text)
    recipe = read(tmp_path / "r.yaml")
    own, control = (terms_of(recipe, recipe.arms[i], 0.01, 0).guidance for i in (1, 2))
    assert own is not None
    assert control is not None
    assert bool((control.flatten(1).sum(1) == 6).all())
    assert not bool((control == own).flatten(1).all(1).any())


def test_masks_of_rows_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    recipe = guided(tmp_path, "mask", np.ones((5, 1, 8, 8), dtype=np.float32))
    with pytest.raises(
        RecipeError, match=r"arm 'Smooth <b>': .*masks.npy must hold .* of the shape of the inputs \(1797"
    ):
        rehearse(recipe)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("mask", "the prior 'mask' needs columns: of the table, or guidance:"),
        ("alignment", "the prior 'alignment' needs guidance:"),
        ("{name: mask, columns: [age]}, guidance: {masks: a.npy}", "say one of them"),
        (
            "gini, guidance: {masks: a.npy}",
            "guidance is for the priors mask, monotone, alignment; 'gini' uses none",
        ),
    ],
)
def test_guidance_goes_with_the_priors_that_use_it(prior: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse(TABLE.replace("prior: gini", f"prior: {prior}"))


def test_terms_of_an_arm_share_their_guidance() -> None:
    two = "{prior: mask, guidance: {masks: a.npy}}, {prior: mask, guidance: {masks: b.npy}}"
    recipe = parse(TABLE.replace("{prior: gini}", two))
    with pytest.raises(RecipeError, match="terms of one arm share their guidance"):
        terms_of(recipe, recipe.arms[1], 0.1, 0)


def test_a_file_of_an_arm_decides_its_fits_and_no_others(tmp_path: Path) -> None:
    text = TABLE.replace("prior: gini", "prior: {name: graph_laplacian, edges: g.csv}")
    (tmp_path / "r.yaml").write_text(text)
    found = []
    for weight in (1, 2):
        (tmp_path / "g.csv").write_text(f"a,b,weight\nage,wt71,{weight}\n")
        found.append({fit.arm: fit.id for fit in plan(material.resolve(read(tmp_path / "r.yaml")))})
    assert found[0]["Plain"] == found[1]["Plain"]
    assert found[0]["Sparse"] != found[1]["Sparse"]


def test_a_graph_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        TABLE.replace("prior: gini", "prior: {name: graph_laplacian, edges: g.csv}")
    )
    with pytest.raises(DataError, match="g.csv cannot be read: there is no such file"):
        material.resolve(read(tmp_path / "r.yaml"))
