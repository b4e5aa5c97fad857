import torch

from rightreasons.core._safe_sqrt import safe_root


def test_is_the_root_with_a_gradient_of_zero_at_zero() -> None:
    x = torch.tensor([0.0, 9.0, 2.0], dtype=torch.float64, requires_grad=True)
    y = safe_root(x)
    torch.testing.assert_close(y, x.sqrt())
    y.sum().backward()
    expected = torch.tensor([0.0, 1 / 6, 0.5 * 2**-0.5], dtype=torch.float64)
    torch.testing.assert_close(x.grad, expected)
