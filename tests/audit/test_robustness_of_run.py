"""The command's work, its files and its picture, on finished runs."""

import csv
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import torch
from matplotlib import image
from torch import nn

from rightreasons import data, runs
from rightreasons.attacks import Status
from rightreasons.audit import robustness_of_run
from rightreasons.cli import main
from rightreasons.core._errors import InputError, RecipeError
from rightreasons.metrics import lens_recall
from rightreasons.report import attack_figure
from rightreasons.report.figures._attack import _PLACES, _examples, _places
from rightreasons.runs import RunDirectory
from rightreasons.tasks import Regression


def test_images_are_attacked_within_their_bounds(image_run: RunDirectory) -> None:
    found = robustness_of_run(runs.load(image_run.path), eps=0.2, attribution="gradient", steps=3, rows=12)
    assert found.inputs.shape == (12, 1, 8, 8)
    assert found.attack.bounds == (0.0, 1.0)
    moved = (found.found.adversarial - found.inputs).abs()
    assert 0 < float(moved.max()) <= 0.2
    again = robustness_of_run(runs.load(image_run.path), eps=0.2, attribution="gradient", steps=3, rows=12)
    assert torch.equal(again.found.adversarial, found.found.adversarial)


def test_of_a_table_only_numbers_move_and_maps_are_of_columns(table_run: RunDirectory) -> None:
    trained = runs.load(table_run.path)
    found = robustness_of_run(trained, eps=0.5, steps=3, rows=20, k=2)
    test: data.DataSet = trained.parts.test
    moved = (found.found.adversarial != found.inputs).any(0)
    numbers = torch.tensor([column.source is None for column in test.columns])
    assert bool(moved[numbers].any())
    assert not bool(moved[~numbers].any())
    assert found.attack.reduce is not None
    assert found.attack.reduce(found.found.clean_maps).shape == (20, len(test.groups))
    assert found.window is None


def test_what_a_run_must_be(table_run: RunDirectory) -> None:
    trained = runs.load(table_run.path)
    with pytest.raises(
        InputError, match=r"keeps the predicted class, and .* predicts none: its task is Regression"
    ):
        robustness_of_run(replace(trained, task=Regression()), eps=0.1)
    with pytest.raises(
        InputError, match="rows must be at least 2, because chance is measured on other rows; got 1"
    ):
        robustness_of_run(trained, eps=0.1, rows=1)
    with pytest.raises(RecipeError, match=r"no attribution 'grad'. Did you mean 'gradient'"):
        robustness_of_run(trained, eps=0.1, attribution="grad")


def changed_test(trained: runs.Trained, **changes: object) -> runs.Trained:
    parts = replace(trained.parts, test=replace(trained.parts.test, **changes))
    trained.__dict__["parts"] = parts
    return trained


def test_words_and_categories_cannot_be_moved(table_run: RunDirectory) -> None:
    trained = runs.load(table_run.path)
    test = trained.parts.test
    words = changed_test(trained, x=test.x.long())
    with pytest.raises(InputError, match="holds words, which cannot be moved by eps"):
        robustness_of_run(words, eps=0.1)
    levels = tuple(data.Column(f"c={i}", source="c") for i in range(test.x.shape[1]))
    categories = changed_test(runs.load(table_run.path), columns=levels)
    with pytest.raises(InputError, match="has categories only: none of its features can be moved"):
        robustness_of_run(categories, eps=0.1)


def test_the_command_writes_a_table_and_a_picture(
    image_run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["attack", str(image_run.path), "--eps", "0.2", "--attribution", "gradient", "--steps", "3"]
    assert main([*call, "--rows", "12", "--attack", "lens", "--k", "6", "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "TopK(eps=0.2, steps=3, bounds=(0.0, 1.0), k=6, window=1) on Gradient" in said.out
    assert "its control: 24/24 rows" in said.err
    with (tmp_path / "out" / "table.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {row["row"] for row in table} == {
        "attack", "random perturbation", "another row's map", "white noise"
    }  # fmt: skip
    assert image.imread(tmp_path / "out" / "figure.png").shape[2] == 4


def test_the_command_on_a_table_writes_into_the_run(
    table_run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attack", str(table_run.path), "--eps", "0.2", "--steps", "2", "--rows", "10"]) == 0
    folder = table_run.path / "attacks" / "top-k-expected_gradients-linf-0.2-k0.1-w1-plain-s00"
    assert sorted(path.name for path in folder.iterdir()) == ["table.csv", "table.txt"]
    said = capsys.readouterr().out
    assert "less unrelated" in said
    assert (folder / "table.txt").read_text() in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--eps", "-0.1"], "eps is the radius of a ball, finite and at least 0; got -0.1"),
        (["--eps", "0.1", "--attack", "topk"], "Did you mean 'top-k'?"),
        (["--eps", "0.1", "--attribution", "grad"], "Did you mean 'gradient'?"),
        (["--eps", "0.1", "--k", "70", "--steps", "1"], "between 1 and the 64 positions of a map; got 70"),
        (
            ["--eps", "0.1", "--k", "inf", "--steps", "1"],
            "a fraction k must lie strictly between 0 and 1; got inf",
        ),
        (["--eps", "0.1", "-o", "/dev/null/out"], "/dev/null/out cannot be written: "),
        (["--eps", "0.1", "--arm", "Smoth"], "has no arm 'Smoth'"),
        ([], "Missing option '--eps'"),
    ],
)
def test_what_is_wrong_is_one_line(
    image_run: RunDirectory, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["attack", str(image_run.path), "--rows", "4", *options]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_windows_of_sequences_lie_along_their_length(
    image_run: RunDirectory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained = runs.load(image_run.path)
    pixels = trained.parts.test.x
    folded = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (1, 8, 8)), trained.model)
    sequences = changed_test(replace(trained, model=folded), x=pixels.reshape(len(pixels), 2, 32))
    found = robustness_of_run(
        sequences, eps=0.2, attribution="gradient", attack="lens", steps=3, rows=12, k=4
    )
    attacked = ~found.found.rows(Status.EXCLUDED)
    clean, after = (maps[attacked].abs().sum(1) for maps in (found.found.clean_maps, found.found.maps))
    assert clean.shape == (int(attacked.sum()), 32)
    torch.testing.assert_close(found.values["attack"]["LENS"], lens_recall(clean, after, 4, 1))
    assert "reduce=over_channels" in repr(found.attack)
    monkeypatch.setattr(runs, "load", lambda *_, **__: sequences)
    call = ["attack", "run", "--eps", "0.2", "--attribution", "gradient", "--steps", "2", "--rows", "8"]
    assert main([*call, "-o", str(tmp_path)]) == 0
    assert not (tmp_path / "figure.png").exists()


def test_the_picture_shows_both_sets_and_their_windows(image_run: RunDirectory) -> None:
    found = robustness_of_run(
        runs.load(image_run.path), eps=0.2, attribution="gradient", steps=3, rows=12, k=6
    )
    rows = _examples(found)
    assert rows == sorted(rows, key=lambda row: float(found.found.after[row]))
    maps = [each[rows[0] : rows[0] + 1] for each in (found.found.clean_maps, found.found.maps)]
    colours = {tuple(c) for c in _places(maps, found).reshape(-1, 3).round(6).tolist()}
    assert 3 <= len(colours) <= 1 + len(_PLACES)
    assert image.imread(BytesIO(attack_figure(found))).ndim == 3


def test_there_is_no_picture_of_a_table(table_run: RunDirectory) -> None:
    found = robustness_of_run(runs.load(table_run.path), eps=0.2, steps=2, rows=10)
    with pytest.raises(InputError, match=r"shows images \(B, C, H, W\); these inputs are \(10, "):
        attack_figure(found)


def test_memory_that_runs_out_is_one_line(
    table_run: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(self: nn.Module, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(type(runs.load(table_run.path).model), "forward", full)
    trained = runs.load(table_run.path)
    with pytest.raises(InputError, match="^predicting needs more memory than there is. Predict a part"):
        trained.predict(trained.parts.test)
    with pytest.raises(InputError, match="^evaluating needs more memory than there is. Evaluate a part"):
        trained.evaluate(trained.parts.test)
    for command in (
        ["predict", str(table_run.path), "nhefs"],
        ["attack", str(table_run.path), "--eps", "0.1"],
    ):
        assert main(command) == 2
        said = capsys.readouterr().err.strip()
        assert "needs more memory than there is" in said
        assert "\n" not in said
