import pytest
import torch

from rightreasons.core._errors import InputError
from rightreasons.metrics import channel_sum, cosine, sign_agreement


def test_cosine_is_differentiable():
    a, b = torch.randn(2, 3, 2, 4, 4, dtype=torch.float64)
    torch.autograd.gradcheck(cosine, (a.requires_grad_(), b.requires_grad_()))


def test_cosine_keeps_signs_and_channels_unless_told():
    maps = torch.randn(2, 3, 4, 4)
    assert cosine(maps, -maps).tolist() == [-1, -1]
    assert cosine(maps, -maps, reduce=channel_sum).tolist() == [1, 1]


def test_blank_entries_do_not_agree_for_free():
    a = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, -2.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    b = torch.tensor([[-1.0, 0.0, 0.0, 0.0], [2.0, 1.0, -1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(sign_agreement(a, b), torch.tensor([0, 2 / 3, torch.nan]), equal_nan=True)


def test_signs_of_the_largest_entries():
    a = torch.tensor([[5.0, -4.0, 3.0, 0.1]])
    b = torch.tensor([[5.0, 4.0, 0.2, -3.0]])
    assert sign_agreement(a, b, 1).tolist() == [1.0]
    assert sign_agreement(a, b, 2).tolist() == [0.5]  # shared {0, 1}, one sign alike
    torch.testing.assert_close(sign_agreement(a, b, 0.75), torch.tensor([1 / 3]))
    assert sign_agreement(a, torch.ones(1, 4), 2).isnan().all()


def test_independent_signs_agree_by_half():
    a, b = torch.randn(2, 1, 100_000)
    assert float(sign_agreement(a, b)) == pytest.approx(0.5, abs=0.01)


def test_bad_k():
    with pytest.raises(InputError, match="sign_agreement: k must lie between 1 and the 4 positions"):
        sign_agreement(torch.rand(1, 4), torch.rand(1, 4), 5)
