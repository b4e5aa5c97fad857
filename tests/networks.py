"""Tiny networks, one for each way a model can make life hard for an attribution, with inputs that fit them.

Named here, built afresh by every test: `NETWORKS["lstm"].make()`. Parameters and data depend on no global state.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from rightreasons.core._inputs import Inputs

CLASSES = 3
FEATURES = 4


@dataclass(frozen=True)
class Network:
    """How to build a network and what it takes.

    Attributes:
        build: makes the module.
        row: shape of one row of each input.
        layer: a layer whose activation can be explained.
        smooth: twice differentiable everywhere, so that gradcheck applies.
        tokens: inputs are integers, explained at `layer` only.
    """

    name: str
    build: Callable[[], nn.Module]
    row: tuple[tuple[int, ...], ...] = ((FEATURES,),)
    layer: str = "0"
    smooth: bool = True
    tokens: bool = False

    def make(self, dtype: torch.dtype = torch.float64) -> nn.Module:
        """The module, in train mode, with batch-norm statistics that have moved."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = self.build().double()
            for _ in range(3):
                model(*as_args(self.inputs(8, seed=7)))
        for parameter in model.parameters():
            parameter.grad = None
        return model.to(dtype)

    def inputs(self, batch: int, *, seed: int = 1, dtype: torch.dtype = torch.float64) -> Inputs:
        """Random inputs, the same for the same seed."""
        generator = torch.Generator().manual_seed(seed)
        if self.tokens:
            return torch.randint(10, (batch, *self.row[0]), generator=generator)
        parts = tuple(
            torch.randn(batch, *row, generator=generator, dtype=torch.float64).to(dtype) for row in self.row
        )
        return parts if len(parts) > 1 else parts[0]

    @property
    def at(self) -> str | None:
        """Where a method has to look: the inputs, or the embedding of tokens."""
        return self.layer if self.tokens else None


def as_args(inputs: Inputs) -> tuple[Tensor, ...]:
    """Inputs as positional arguments."""
    return inputs if isinstance(inputs, tuple) else (inputs,)


def labels(batch: int, *, seed: int = 2) -> Tensor:
    """Random class indices."""
    return torch.randint(CLASSES, (batch,), generator=torch.Generator().manual_seed(seed))


def mlp(activation: type[nn.Module] = nn.Tanh, outputs: int = CLASSES) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(FEATURES, 6), activation(), nn.Linear(6, 5), activation(), nn.Linear(5, outputs)
    )


class CNN(nn.Module):
    """Batch-norm, dropout, and one in-place ReLU used twice."""

    def __init__(self, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.second, self.norm2 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.act = activation or nn.ReLU(inplace=True)
        self.drop, self.head = nn.Dropout(0.5), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.norm(self.first(x)))
        x = self.act(self.norm2(self.second(x)))
        return self.head(self.drop(x.mean((2, 3))))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.rnn, self.head = kind(FEATURES, 5, batch_first=True), nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.rnn(x)
        return self.head(states[:, -1] + states.mean(1))


class Transformer(nn.Module):
    """One block with scaled dot-product attention; `mask` (B, T) is True where a token is padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.qkv = nn.Linear(FEATURES, 8), nn.Linear(8, 24)
        self.norm, self.feed = nn.LayerNorm(8), nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8))
        self.head, self.drop = nn.Linear(8, CLASSES), nn.Dropout(0.3)

    def forward(self, x: Tensor, mask: Tensor | None = None, scale: float = 1.0) -> Tensor:
        h = self.embed(x)
        q, k, v = (
            part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.qkv(self.norm(h)).chunk(3, dim=-1)
        )
        allowed = None if mask is None else ~mask[:, None, None, :]
        attended = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        h = h + self.drop(attended.transpose(1, 2).flatten(2))
        h = h + self.feed(h)
        keep = torch.ones_like(h[..., :1]) if mask is None else (~mask)[..., None].to(h)
        return self.head((h * keep).sum(1) / keep.sum(1)) * scale


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.hidden = nn.Embedding(10, 4), nn.Linear(4, 5)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(torch.tanh(self.hidden(self.embedding(ids))).prod(1))


class Tied(nn.Module):
    """Encoder and decoder share one weight; another parameter is frozen, a third never used."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, 5, bias=False)
        self.middle, self.unused = nn.Linear(5, 5), nn.Linear(2, 2)
        self.head = nn.Linear(FEATURES, CLASSES)
        self.middle.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.middle(torch.tanh(self.first(x))))
        return self.head(torch.tanh(h @ self.first.weight))


class TwoInputs(nn.Module):
    """A picture of four numbers, and a sequence; they interact."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(FEATURES, 5), nn.Linear(2, 5)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.head(torch.tanh(self.left(a)) * torch.tanh(self.right(b)).sum(1))


class Shaped(nn.Module):
    """An MLP whose output has the given shape per row."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape, size = shape, int(torch.tensor(shape).prod()) if shape else 1
        self.body = mlp(outputs=size)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).reshape(len(x), *self.shape)


def normed(norm: Callable[[nn.Module], Any]) -> nn.Module:
    return nn.Sequential(norm(nn.Linear(FEATURES, 6)), nn.Tanh(), nn.Linear(6, CLASSES))


IMAGE, SEQUENCE = ((2, 5, 5),), ((5, FEATURES),)

NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        Network("mlp tanh", mlp),
        Network("mlp relu", lambda: mlp(nn.ReLU), smooth=False),
        Network("cnn", CNN, IMAGE, "first", smooth=False),
        Network("cnn smooth", lambda: CNN(nn.Softplus()), IMAGE, "norm"),
        Network("gru", lambda: Recurrent(nn.GRU), SEQUENCE, "rnn"),
        Network("lstm", lambda: Recurrent(nn.LSTM), SEQUENCE, "rnn"),
        Network("transformer", Transformer, SEQUENCE, "embed"),
        Network("tokens", Tokens, ((3,),), "embedding", tokens=True),
        Network("tied frozen unused", Tied, layer="middle"),
        Network("weight norm", lambda: normed(weight_norm)),
        Network("spectral norm", lambda: normed(spectral_norm)),
        Network("two inputs", TwoInputs, ((FEATURES,), (3, 2)), "left"),
    )
}
