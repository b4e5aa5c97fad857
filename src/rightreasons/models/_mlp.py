"""Multi-layer perceptron."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from rightreasons.core._checked import checked
from rightreasons.core._errors import ShapeError
from rightreasons.models._activation import activation as _activation
from rightreasons.models._activation import require_positive, require_probability


@checked
class MLP(nn.Module):
    """Fully connected layers, each but the last followed by an activation and dropout.

    Rows of any shape are flattened first. With `outputs=1` the result is (B,), as one-output tasks use it;
    else (B, outputs).

    Cost: one matrix product per layer; sum over layers of (inputs + 1) x units parameters.

    Args:
        features: numbers per row, after flattening.
        hidden: units of each hidden layer; the default is the network of the sparsity experiment of [erion2021].
        outputs: numbers per row that the network returns.
        dropout: share of hidden units dropped in training.
        activation: one of `activations()`.

    Raises:
        InputError: a size below 1, dropout outside [0, 1), an unknown activation.

    >>> import torch
    >>> MLP(features=3, hidden=[8], outputs=1)(torch.zeros(5, 3)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        features: int,
        hidden: Sequence[int] = (512, 128, 32),
        outputs: int = 1,
        dropout: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        require_positive("features, hidden and outputs", features, *hidden, outputs)
        require_probability(dropout)
        self.features, self.outputs = features, outputs
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, units in zip((features, *hidden), hidden, strict=False):
            layers += [nn.Linear(inputs, units), _activation(activation)]
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear((features, *hidden)[-1], outputs))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "B *F"]) -> Float[Tensor, "B *C"]:
        """Outputs of a batch of rows.

        Raises: ShapeError if a row does not hold `features` numbers.
        """
        if x.ndim < 2 or x[0:1].numel() not in (0, self.features):
            raise ShapeError(
                f"This MLP takes rows of {self.features} numbers, got a batch of shape {tuple(x.shape)}. Its "
                "first layer has one weight per number. Pass (B, features), with the preprocessing it was "
                "trained with."
            )
        out = self.layers(x)
        return out[:, 0] if self.outputs == 1 else out
