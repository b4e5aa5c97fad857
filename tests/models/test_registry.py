import pytest
import torch

from rightreasons import models
from rightreasons.core._errors import InputError

ROW = {"mlp": (7,), "cnn": (1, 8, 8), "resnet": (1, 8, 8), "gru": (2, 9), "transformer": (2, 9)}


@pytest.mark.parametrize("name", models.names())
def test_every_named_model_takes_its_shape_from_the_data(name):
    model = models.build(name, shape=ROW[name], outputs=3)
    assert model(torch.randn(2, *ROW[name])).shape == (2, 3)


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_sequence_models_take_the_number_of_words_from_the_data(name):
    model = models.build(name, shape=(9,), outputs=1, vocabulary=20)
    assert model(torch.randint(0, 20, (3, 9))).shape == (3,)
    assert models.build("mlp", shape=(9,), vocabulary=20)(torch.zeros(3, 9)).shape == (3,)  # of no use to it


@pytest.mark.parametrize("name", models.names())
def test_a_penalty_of_the_input_gradient_reaches_every_parameter(name):
    model = models.build(name, shape=ROW[name], outputs=2).double().eval()
    x = torch.randn(4, *ROW[name], dtype=torch.float64, requires_grad=True)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        outputs = model(x)
        (gradient,) = torch.autograd.grad(outputs[:, 0].sum(), x, create_graph=True)
        (gradient.square().sum() + outputs.square().sum()).backward()
    for parameter, value in model.named_parameters():
        assert value.grad is not None, parameter
        assert bool(value.grad.isfinite().all()), parameter


def test_fields_win_over_what_the_data_say():
    assert models.build("mlp", {"outputs": 4, "hidden": [2]}, shape=(3,), outputs=1).outputs == 4


def test_a_seed_fixes_the_weights_and_leaves_the_random_state():
    def make():
        return models.build("mlp", {"hidden": [5]}, shape=(3,))

    before = torch.get_rng_state()
    a, b, c = models.seeded(make, 1), models.seeded(make, 1), models.seeded(make, 2)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(a.parameters(), c.parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "fields", "match"),
    [
        ("mpl", None, "no model 'mpl'. Did you mean 'mlp'"),
        ("mlp", {"hiden": [3]}, "no field 'hiden'. Did you mean 'hidden'"),
        ("mlp", {"hidden": [3]}, "cannot be built from .*features"),
    ],
)
def test_wrong_names_are_told_with_the_closest(name, fields, match):
    with pytest.raises(InputError, match=match):
        models.build(name, fields)


def test_public_names_are_exactly_what_is_importable():
    assert all(hasattr(models, name) for name in models.__all__)
