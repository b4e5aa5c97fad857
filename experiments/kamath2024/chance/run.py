"""What LENS gives to maps that have nothing to do with each other, and what is left after each chance level.

python experiments/kamath2024/chance/run.py            compares with expected.json, some seconds on one core
python experiments/kamath2024/chance/run.py --write    writes expected.json anew
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from rightreasons.metrics import dilate, diverse_topk, lens, topk_mask

EXPECTED = Path(__file__).parent / "expected.json"
TOLERANCE = 0.01
WINDOWS = (1, 2, 3)
# name, side of the image, k, draws for top-k, draws for diverse top-k
SIZES = (
    ("MNIST", 28, 100, 400, 400),
    ("GTSRB, CIFAR", 32, 100, 400, 400),
    ("Flower", 128, 1000, 60, 40),
    ("224 x 224", 224, 1000, 60, 40),
    ("ImageNet of the paper", 227, 1000, 60, 40),
)
CENTRED_WIDTH = 6.0  # pixels; of the envelope that all maps share
CENTRED_DRAWS = 1000

Maps = Callable[[int], Tensor]


def overlap(around: Tensor, counted: Tensor, window: int) -> Tensor:
    """|N_w(S) and T| / |T| also where fewer than k picks exist; `lens` gives NaN there."""
    shared = (dilate(around, window) & counted).flatten(1).sum(1)
    return shared / counted.flatten(1).sum(1)


def white_noise(side: int, k: int, draws: int, diverse_draws: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(side)
    a, b = torch.rand((2, draws, side, side), generator=generator)
    around, counted = topk_mask(a, k), topk_mask(b, k)
    row = {"top-k": overlap(around, counted, 0).mean().item()}
    for window in WINDOWS:
        row[f"LENS w={window}"] = overlap(around, counted, window).mean().item()
    for window in WINDOWS:
        one, other = (diverse_topk(maps[:diverse_draws], k, window) for maps in (a, b))
        row[f"LENS-div w={window}"] = overlap(one.mask, other.mask, window).mean().item()
        row[f"picks w={window}"] = one.achieved.float().mean().item()
        row[f"coverage div w={window}"] = dilate(one.mask, window).float().mean().item()
    return row


def unrelated_maps() -> dict[str, dict[str, float]]:
    """Two kinds of unrelated maps of 28 x 28 pixels at k = 100, w = 1, and LENS as published and adjusted."""
    generator = torch.Generator().manual_seed(0)
    noise = partial(torch.rand, generator=generator)
    place = torch.arange(28) - 13.5
    envelope = (-(place[:, None] ** 2 + place**2) / (2 * CENTRED_WIDTH**2)).exp()
    kinds: dict[str, Maps] = {
        "white noise": lambda rows: noise((rows, 28, 28)),
        "one centre": lambda rows: envelope * noise((rows, 28, 28)),
    }
    table = {}
    for name, maps in kinds.items():
        a, b = maps(CENTRED_DRAWS), maps(CENTRED_DRAWS)
        uniform, unrelated = lens(a, b, 100, adjust="uniform"), lens(a, b, 100)
        table[name] = {
            "LENS": uniform.observed.mean().item(),
            "coverage": uniform.chance.mean().item(),
            "adjusted, uniform": uniform.adjusted.nanmean().item(),
            "level of other rows": unrelated.chance.mean().item(),
            "adjusted, unrelated": unrelated.pooled().item(),
        }
    return table


def run() -> dict[str, dict[str, dict[str, float]]]:
    noise = {name: white_noise(*size) for name, *size in SIZES}
    return {"white noise": noise, "unrelated maps": unrelated_maps()}


def rounded(table: dict) -> dict:
    return json.loads(json.dumps(table), parse_float=lambda text: round(float(text), 3))


def differences(found: dict, expected: dict, path: str = "") -> list[str]:
    if isinstance(expected, dict):
        return [line for key in expected for line in differences(found[key], expected[key], f"{path}/{key}")]
    allowed = 1.0 if "picks" in path else TOLERANCE
    return [] if abs(found - expected) <= allowed else [f"{path}: {found}, expected {expected}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write expected.json")
    torch.set_num_threads(1)
    write = parser.parse_args().write
    table = rounded(run())
    print(json.dumps(table, indent=2))
    if write:
        EXPECTED.write_text(json.dumps(table, indent=2) + "\n")
        return
    wrong = differences(table, json.loads(EXPECTED.read_text()))
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
