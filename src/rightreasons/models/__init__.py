"""Small readable networks, built by name and initialised from a seed.

>>> model = seeded(lambda: build("mlp", {"hidden": [16]}, shape=(4,), outputs=1), seed=0)
>>> model
MLP(
  (layers): Sequential(
    (0): Flatten(start_dim=1, end_dim=-1)
    (1): Linear(in_features=4, out_features=16, bias=True)
    (2): ReLU()
    (3): Linear(in_features=16, out_features=1, bias=True)
  )
)
"""

from rightreasons.models._activation import activations
from rightreasons.models._cnn import CNN
from rightreasons.models._gru import GRU
from rightreasons.models._mlp import MLP
from rightreasons.models._output_of import OutputOf
from rightreasons.models._own import file_of, from_path
from rightreasons.models._pretrained import freeze, load_weights
from rightreasons.models._registry import build, names, seeded
from rightreasons.models._resnet import ResNet
from rightreasons.models._transformer import Transformer
from rightreasons.models._trees import Trees

__all__ = [
    "CNN",
    "GRU",
    "MLP",
    "OutputOf",
    "ResNet",
    "Transformer",
    "Trees",
    "activations",
    "build",
    "file_of",
    "freeze",
    "from_path",
    "load_weights",
    "names",
    "seeded",
]
