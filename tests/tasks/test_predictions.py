import pytest
import torch

from rightreasons import tasks


def test_binary_probabilities_of_both_classes() -> None:
    found = tasks.predictions(tasks.Binary(), torch.tensor([[-2.0], [0.0], [2.0]]), ("no", "yes"))
    assert found["predicted"] == ["no", "no", "yes"]
    assert found["p(yes)"] == pytest.approx(torch.tensor([-2.0, 0.0, 2.0]).double().sigmoid().tolist())
    assert [a + b for a, b in zip(found["p(no)"], found["p(yes)"], strict=True)] == pytest.approx([1, 1, 1])


def test_multiclass_probabilities_add_up() -> None:
    outputs = torch.randn(5, 3)
    found = tasks.predictions(tasks.MultiClass(3), outputs, ("a", "b", "c"))
    assert found["predicted"] == [("a", "b", "c")[i] for i in outputs.argmax(1)]
    assert [sum(found[f"p({c})"][i] for c in "abc") for i in range(5)] == pytest.approx([1.0] * 5)


def test_labels_are_judged_one_by_one() -> None:
    found = tasks.predictions(tasks.MultiLabel(2), torch.zeros(1, 2))
    assert found == {"p(0)": [0.5], "p(1)": [0.5]}


def test_quantities_and_risks_are_the_outputs() -> None:
    outputs = torch.tensor([[1.5], [-2.0]])
    assert tasks.predictions(tasks.Regression(), outputs) == {"predicted": [1.5, -2.0]}
    assert tasks.predictions(tasks.Survival(), outputs) == {"log hazard": [1.5, -2.0]}


def test_other_tasks_show_their_outputs() -> None:
    found = tasks.predictions(object(), torch.tensor([[1.0, 2.0]]))
    assert found == {"output 0": [1.0], "output 1": [2.0]}
