"""What both networks for sequences promise."""

import pytest
import torch

from rightreasons.core._errors import InputError, ShapeError
from rightreasons.models import GRU, Transformer
from rightreasons.models._sequence import mean_of_counting

pytestmark = pytest.mark.parametrize("kind", [GRU, Transformer])


@pytest.mark.parametrize(("outputs", "shape"), [(1, (2,)), (3, (2, 3))])
def test_one_output_is_squeezed_and_several_are_not(kind, outputs, shape):
    assert kind((4, 7), outputs)(torch.randn(2, 4, 7)).shape == shape
    assert kind((7,), outputs)(torch.randn(2, 7)).shape == shape
    assert kind((7,), outputs, vocabulary=5)(torch.randint(0, 5, (2, 7))).shape == shape


def test_padding_after_the_end_changes_nothing(kind):
    model = kind((8,), 3, vocabulary=20).double().eval()
    words = torch.randint(1, 20, (2, 5))
    padded = torch.cat([words, torch.zeros(2, 3, dtype=torch.int64)], 1)
    alone = kind((5,), 3, vocabulary=20).double().eval()
    state = {k: v[:5] if k == "place" else v for k, v in model.state_dict().items()}
    alone.load_state_dict(state)
    torch.testing.assert_close(model(padded), alone(words))


def test_a_row_of_padding_alone_is_finite(kind):
    model = kind((4,), 2, vocabulary=5)
    assert bool(model(torch.zeros(2, 4, dtype=torch.int64)).isfinite().all())
    assert not model.positions.embedding.weight[0].any()


def test_the_order_of_positions_matters(kind):
    x = torch.randn(3, 2, 6)
    model = kind((2, 6)).eval()
    assert not torch.allclose(model(x), model(x.flip(2)))


def test_rows_do_not_see_each_other(kind):
    model = kind((6,), 2, vocabulary=9).double().eval()
    x = torch.randint(0, 9, (4, 6))
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]))


def test_dropout_acts_in_training_only(kind):
    model = kind((2, 6), dropout=0.5)
    x = torch.randn(3, 2, 6)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"shape": (2, 3, 4)}, r"channels, length\) for numbers and \(length,\) for words, got \(2, 3, 4\)"),
        ({"shape": (2, 3), "vocabulary": 9}, "with vocabulary=9"),
        ({"shape": (6,), "vocabulary": 0}, "must be at least 1"),
        ({"shape": (6,), "layers": 0}, "must be at least 1"),
        ({"shape": (6,), "dropout": 1.0}, "dropout must be in"),
    ],
)
def test_fields_are_checked(kind, fields, match):
    if fields.get("vocabulary") == 0:
        fields = {**fields, "vocabulary": -1}
    with pytest.raises(InputError, match=match):
        kind(**fields)


def test_sequences_of_another_kind_are_refused(kind):
    with pytest.raises(ShapeError, match=r"numbers of shape \(B, 4, 7\), got torch.float32 of \(2, 7, 4\)"):
        kind((4, 7))(torch.zeros(2, 7, 4))
    with pytest.raises(ShapeError, match=r"words below 5 of shape \(B, 7\), got torch.float32 of \(2, 7\)"):
        kind((7,), vocabulary=5)(torch.zeros(2, 7))
    with pytest.raises(ShapeError, match=r"got torch.int64 of \(2, 7\). Words need vocabulary"):
        kind((7,))(torch.zeros(2, 7, dtype=torch.int64))


def test_the_mean_is_over_positions_that_count(kind):
    states, counts = torch.randn(2, 3, 4), torch.tensor([[True, False, True], [True, False, False]])
    expected = torch.stack([(states[0, 0] + states[0, 2]) / 2, states[1, 0]])
    torch.testing.assert_close(mean_of_counting(states, counts), expected)
