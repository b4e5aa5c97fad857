from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import rightreasons as rr
from rightreasons import data, tasks
from rightreasons.core._errors import InputError, RecipeError
from rightreasons.recipes import Recipe, parse
from rightreasons.runs import plan
from rightreasons.runs.execution._dry_run import rehearse
from rightreasons.runs.setup._datasets import Parts
from rightreasons.runs.setup._label_scaling import Units
from tests.runs.cases import TABLE, finished

RECIPE = """
name: {name}
data: {{path: {name}.csv, target: y, splits: 1, train: 0.5, validation: 0.25, test: 0.25}}
model: {{name: mlp, hidden: [8]}}
training: {{epochs: 30, optimizer: {{lr: 0.01}}, standardise_labels: true}}
explain: {{attribution: {{name: expected_gradients, samples: 8}}}}
arms:
  - {{name: Plain}}
  - {{name: Small, terms: [{{prior: l1, attribution: {{name: expected_gradients, samples: 1}}}}], weights: [0.01]}}
  - {{name: Lasso, peer: lasso, weights: [0.05]}}
"""


def made(folder: Path, name: str, by: float, plus: float) -> rr.runs.RunDirectory:
    x = torch.randn(80, 3, generator=torch.Generator().manual_seed(0)).double()
    y = (2 * x[:, 0] - x[:, 1] + 3) * by + plus
    rows = [
        "a,b,c,y",
        *(",".join(f"{v:.6f}" for v in (*r, t)) for r, t in zip(x.tolist(), y.tolist(), strict=True)),
    ]
    (folder / f"{name}.csv").write_text("\n".join(rows))
    recipe = parse(RECIPE.format(name=name))
    return finished(folder, recipe.model_copy(update={"folder": str(folder)}))


def test_the_unit_of_the_label_changes_nothing_but_the_unit(tmp_path: Path) -> None:
    tonnes, kilos = made(tmp_path, "tonnes", 1, 0), made(tmp_path, "kilos", 1000, 20_000)
    for ours, theirs in zip(tonnes.metrics()["arms"], kilos.metrics()["arms"], strict=True):
        assert ours["test"]["r2"] == pytest.approx(theirs["test"]["r2"], abs=1e-3)
        assert ours["test"]["r2"][0] > 0.5
        a, b = (rr.load(run.path, arm=ours["name"]) for run in (tonnes, kilos))
        x = a.parts.test.x
        # Single precision, at 20,000.
        torch.testing.assert_close(a.outputs(x) * 1000 + 20_000, b.outputs(x), rtol=0, atol=20)
        maps = [rr.Gradient()(each.model, x, None) for each in (a, b)]
        torch.testing.assert_close(maps[0] * 1000, maps[1], rtol=0, atol=20)


def test_they_are_those_of_training_rows_alone() -> None:
    rows = [
        data.DataSet("d", torch.zeros(2, 1), torch.tensor(y)) for y in ([1.0, 5.0], [90.0, 91.0], [70.0, 7.0])
    ]
    recipe = parse(TABLE.replace("epochs: 3", "epochs: 3, standardise_labels: true"))
    units = Units.of(recipe, tasks.Regression(), rows[0])
    assert units == Units(3.0, 2.0)
    found = units.standard(Parts(*rows))
    assert [part.y.tolist() for part in (found.train, found.validation, found.test)] == [
        [-1.0, 1.0], [43.5, 44.0], [33.5, 2.0],
    ]  # fmt: skip
    assert Units.of(recipe, tasks.Regression(), replace(rows[0], y=torch.tensor([4.0, 4.0]))) == Units(
        4.0, 1.0
    )


def test_the_last_linear_layer_takes_them_up_or_they_are_refused() -> None:
    x = torch.randn(5, 3)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.GELU(), nn.Linear(4, 1)).eval()
    before = model(x)
    Units(7.0, 3.0).restore(model, x)
    torch.testing.assert_close(model(x), 7 + 3 * before)
    for other in (nn.Sequential(nn.Linear(3, 1), nn.Sigmoid()), nn.Linear(3, 1, bias=False)):
        with pytest.raises(InputError, match="ends in a linear layer with a bias and one output"):
            Units(7.0, 3.0).restore(other, x)


def test_where_they_make_no_sense_they_are_refused() -> None:
    text = TABLE.replace("epochs: 3", "epochs: 3, standardise_labels: true")
    with pytest.raises(RecipeError, match="is for regression; the task is Binary"):
        rehearse(parse(text))
    rows = data.DataSet("d", torch.zeros(2, 1), torch.zeros(2))
    with pytest.raises(RecipeError, match="is for networks that start anew"):
        Units.of(parse(text + "pretrained: {weights: w.safetensors}"), tasks.Regression(), rows)


@pytest.mark.parametrize("standardised", ["true", "false"])
def test_labels_that_single_precision_cannot_predict_are_refused(tmp_path: Path, standardised: str) -> None:
    """Seconds since 1970 with a spread of minutes: all predictions were multiples of 128."""

    def asked(origin: int, name: str) -> Recipe:
        rows = "".join(f"{i},{origin + 7 * i}\n" for i in range(40))
        (tmp_path / f"{name}.csv").write_text("a,y\n" + rows)
        text = RECIPE.format(name=name).replace("labels: true", f"labels: {standardised}")
        return parse(text.replace(f"{name}.csv", str(tmp_path / f"{name}.csv")))

    with pytest.raises(RecipeError, match="as far from 0 as 1700000273 .* origin near 1.7e.09"):
        rehearse(asked(1_700_000_000, "far"))
    rehearse(asked(2_000_000, "near"))


def test_labels_in_other_units_make_other_fits() -> None:
    asked = parse(TABLE.replace("epochs: 3", "epochs: 3, standardise_labels: true"))
    assert not {fit.id for fit in plan(asked)} & {fit.id for fit in plan(parse(TABLE))}
