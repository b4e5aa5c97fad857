import pytest
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.models import Trees


def two_trees(link: str = "identity") -> Trees:
    """x0 <= 0 -> (.2, .8), else x1 <= 1 -> (.6, .4), else (1, 0); and a single leaf (.5, .5)."""
    value = [[[0, 0], [0.2, 0.8], [0, 0], [0.6, 0.4], [1, 0]], [[0.5, 0.5]] + [[0, 0]] * 4]
    return Trees(
        feature=torch.tensor([[0, 0, 1, 0, 0], [0] * 5]),
        threshold=torch.tensor([[0, 0, 1, 0, 0], [0] * 5], dtype=torch.float64),
        left=torch.tensor([[1, 1, 3, 3, 4], [0, 0, 0, 0, 0]]),
        right=torch.tensor([[2, 1, 4, 3, 4], [0, 0, 0, 0, 0]]),
        value=torch.tensor(value, dtype=torch.float64),
        offset=torch.zeros(2, dtype=torch.float64),
        scale=0.5,
        link=link,  # pyright: ignore[reportArgumentType]
    )


X = torch.tensor([[0.0, 9.0], [1.0, 1.0], [1.0, 2.0]])
MEANS = torch.tensor([[0.35, 0.65], [0.55, 0.45], [0.75, 0.25]])


def test_rows_go_left_at_most_at_the_threshold() -> None:
    torch.testing.assert_close(two_trees()(X), MEANS)


def test_links_make_outputs_of_probabilities() -> None:
    torch.testing.assert_close(two_trees("log")(X), MEANS.log())
    torch.testing.assert_close(two_trees("logit")(X), MEANS[:, 1].logit())


def test_certain_trees_have_finite_outputs() -> None:
    trees = two_trees("log")
    trees.get_buffer("value")[1, 0] = torch.tensor([1.0, 0.0])
    assert bool(torch.isfinite(trees(X)).all())


def test_a_state_makes_the_same_trees() -> None:
    again = Trees.from_state(two_trees("logit").state_dict())
    assert torch.equal(again(X), two_trees("logit")(X))


def test_what_is_no_state_of_trees_is_refused() -> None:
    with pytest.raises(InputError, match="not trees: 'feature' is missing"):
        Trees.from_state({"weight": torch.zeros(1)})


@pytest.mark.usefixtures("without_type_checks")
def test_an_unknown_link_is_refused() -> None:
    with pytest.raises(InputError, match="link must be one of 'identity', 'logit', 'log'; got 'probit'"):
        two_trees("probit")


def test_rows_that_are_too_short_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"at least 2 features, \(B, p\); got \(3, 1\)"):
        two_trees()(X[:, :1])
