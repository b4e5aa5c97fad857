"""How fast the top-k attack is: all images as one batch, against one image at a time.

The loop is the algorithm of the published scripts in plain PyTorch, written anew: for each image and step a
second-order gradient through a softplus copy of the network, a prediction and a map of the network itself, and the
best iterate kept. It is timed on a few images and scaled to the batch. Same network, start, steps and surrogate, no
way back to lost labels: both must find the same perturbed images.

"one at a time" is the package's own attack called image by image: what batching alone is worth.

Times are processor time of one thread, which hardly grows when others use the machine.

    python benchmarks/attacks.py        writes benchmarks/results/attacks.json, about one minute on one core
"""

import json
import platform
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import rightreasons as rr
from rightreasons.attacks import Softplus, TopK
from rightreasons.models import CNN

ROWS, LOOP_ROWS, STEPS, K, EPS, STEP, BETA = 64, 4, 100, 100, 0.3, 0.01, 10.0
RESULTS = Path(__file__).parent / "results" / "attacks.json"
ATTACK = TopK(
    k=K,
    eps=EPS,
    steps=STEPS,
    step_size=STEP,
    bounds=(0.0, 1.0),
    random_start=False,
    repair=False,
    surrogate=Softplus(BETA),
)


class SoftReLU(nn.Module):
    """Softplus as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Of a batch."""
        return F.softplus(x, BETA)


def softened(model: CNN) -> nn.Sequential:
    """The same weights with softplus in place of every ReLU."""
    layers = [*model.blocks, *model.head]
    return nn.Sequential(*(SoftReLU() if isinstance(layer, nn.ReLU) else layer for layer in layers))


def gradient_map(model: nn.Module, x: Tensor, y: Tensor, create_graph: bool = False) -> Tensor:
    score = model(x)[0, y]
    return torch.autograd.grad(score, x, create_graph=create_graph)[0].abs().sum(1).flatten()


def loop(model: CNN, x0: Tensor, y: Tensor) -> Tensor:
    """The attack on one image (1, 1, 28, 28)."""
    soft = softened(model)
    chosen = gradient_map(model, x0.clone().requires_grad_(), y).topk(K).indices
    best, best_x, x = 1.0, x0, x0
    for _ in range(STEPS):
        leaf = x.clone().requires_grad_()
        a = gradient_map(soft, leaf, y, create_graph=True)
        (grad,) = torch.autograd.grad(-(a / a.sum())[chosen].sum(), leaf)
        x = (x0 + (x + STEP * grad.sign() - x0).clamp(-EPS, EPS)).clamp(0, 1)
        if model(x).argmax() == y:
            now = gradient_map(model, x.clone().requires_grad_(), y).topk(K).indices
            shared = len(set(now.tolist()) & set(chosen.tolist())) / K
            if shared < best:
                best, best_x = shared, x
    return best_x


def digits() -> Tensor:
    """Blurred blobs on black, in place of digits: speed does not depend on what they show."""
    noise = torch.rand(ROWS, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    blurred = F.avg_pool2d(F.avg_pool2d(noise, 7, 1, 3), 7, 1, 3)
    return ((blurred - 0.45) * 4).clamp(0, 1)


def seconds(run: object, repeats: int) -> float:
    """The fastest of some runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()  # pyright: ignore[reportCallIssue]
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, x = CNN(), digits()
    y = model(x).argmax(1)
    method = rr.Gradient()

    found = ATTACK(model, x[:LOOP_ROWS], y[:LOOP_ROWS], attribution=method).adversarial
    naive = torch.cat([loop(model, x[i : i + 1], y[i]) for i in range(LOOP_ROWS)])
    same = float(((found - naive).abs() < 1e-4).float().mean())

    times = {
        "batched": seconds(lambda: ATTACK(model, x, y, attribution=method), 3),
        "one at a time": seconds(
            lambda: [ATTACK(model, x[i : i + 1], y[i : i + 1], attribution=method) for i in range(LOOP_ROWS)],
            2,
        )
        * (ROWS / LOOP_ROWS),
        "published loop": seconds(lambda: [loop(model, x[i : i + 1], y[i]) for i in range(LOOP_ROWS)], 2)
        * (ROWS / LOOP_ROWS),
    }
    report = {
        "setting": {
            "images": ROWS,
            "steps": STEPS,
            "network": "rightreasons.models.CNN()",
            "threads": 1,
            "torch": torch.__version__,
            "processor": platform.machine(),
            "loops timed on images": LOOP_ROWS,
            "unit": "seconds of processor time for all images, fastest of the runs",
        },
        "seconds": times,
        "ratios": {
            f"{name} / batched": t / times["batched"] for name, t in times.items() if name != "batched"
        },
        "pixels equal in batched and published loop": same,
    }
    rounded = json.loads(json.dumps(report), parse_float=lambda text: float(f"{float(text):.3g}"))
    RESULTS.write_text(json.dumps(rounded, indent=2) + "\n")
    print(json.dumps({key: rounded[key] for key in ("seconds", "ratios")}, indent=2))


if __name__ == "__main__":
    main()
