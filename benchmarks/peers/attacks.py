"""Our attacks on predictions against torchattacks, foolbox, ART and AutoAttack, in an environment made for them.

    python benchmarks/peers/attacks.py    writes benchmarks/results/peer_attacks.json, about five minutes on one core

The peers pin or drag in what this package does not want, so they are installed without dependencies (attacks.txt) in a
virtual environment of their own in a temporary folder, which sees the packages of the running one and is removed at
the end. Not run by `make bench` or `make test`: it needs the package index.

A convolutional network on scikit-learn's 8x8 digits, 256 test images. "images equal": share of images whose perturbed
image is the peer's to 1e-5, where both do the same arithmetic (one step; or all of them, from the image, without
choosing among iterates). Else robust accuracies: ours keeps the best iterate, so it may be lower and must not be
higher; AutoAttack is the peers' strongest.
"""

import json
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "peer_attacks.json"
IMAGES, STEPS, EPOCHS = 256, 20, 15
RADII = {"Linf": (0.05, 0.1), "L2": (0.3, 0.6)}
INSIDE = "--inside"


def in_an_environment_of_their_own() -> None:
    """Makes the environment, runs this script in it, removes it."""
    with tempfile.TemporaryDirectory() as folder:
        print("making an environment for the peers", flush=True)
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        site = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
        paths = [sysconfig.get_paths()["purelib"], *(path for path in sys.path if path.endswith("src"))]
        (Path(folder) / site / "running.pth").write_text("\n".join(paths))
        install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", HERE / "attacks.txt"]
        subprocess.run(install, check=True)
        subprocess.run([python, __file__, INSIDE], check=True)


def network_and_images() -> tuple[Any, Any, Any]:
    import torch
    from torch.nn import functional as F

    from rightreasons.data import load
    from rightreasons.models import CNN

    data = load("digits")
    order = torch.randperm(len(data.x), generator=torch.Generator().manual_seed(0))
    x, y = data.x[order].reshape(-1, 1, 8, 8), data.y[order]
    torch.manual_seed(0)
    model = CNN(shape=(1, 8, 8), kernel=3)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x) - IMAGES).split(50):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows + IMAGES]), y[rows + IMAGES]).backward()
            optimizer.step()
    return model.eval(), x[:IMAGES].contiguous(), y[:IMAGES]


def compare() -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    model, x, y = network_and_images()

    def accuracy(images: Any) -> float:
        with torch.no_grad():
            return float((model(images).argmax(1) == y).float().mean())

    def apart(one: Any, other: Any) -> dict[str, float]:
        distances = (one - other).abs().flatten(1).amax(1)
        return {
            "images equal": float((distances < 1e-5).float().mean()),
            "median distance": float(distances.median()),
        }

    table: dict[str, Any] = {}
    for norm, radii in RADII.items():
        for eps in radii:
            ours, peers = our_attacks(model, x, y, norm, eps), peer_attacks(model, x, y, norm, eps)
            rows = {f"rightreasons: {name}": {"robust accuracy": accuracy(to)} for name, to in ours.items()}
            for name, attack in peers.items():
                print(f"{norm} {eps}: {name}", flush=True)
                images = attack()
                rows[name] = {"robust accuracy": accuracy(images)}
                twin = name.partition(": ")[2]
                if twin in ("one step", "last iterate") and twin in ours:
                    rows[name] |= apart(images, ours[twin])
            table[f"{norm} {eps}"] = rows
    libraries = ("adversarial-robustness-toolbox", "foolbox", "torchattacks", "torch")
    return {
        "setting": {"data": "digits", "images": IMAGES, "steps": STEPS, "clean accuracy": accuracy(x)},
        "versions": {name: version(name) for name in libraries},
        "attacks": table,
    }


def our_attacks(model: Any, x: Any, y: Any, norm: str, eps: float) -> dict[str, Any]:
    import torch

    from rightreasons.attacks import L2, PGD, Linf

    ball = {"eps": eps, "norm": Linf() if norm == "Linf" else L2(), "bounds": (0.0, 1.0)}
    attacks = {
        "one step": PGD(**ball, steps=1, step_size=eps, random_start=False),
        "PGD": PGD(**ball, steps=STEPS),
        "PGD, 5 restarts": PGD(**ball, steps=STEPS, restarts=5),
        "PGD, 5 restarts, margin": PGD(**ball, steps=STEPS, restarts=5, loss="margin"),
        "PGD, 5 restarts, 100 steps of eps / 4": PGD(**ball, steps=100, step_size=eps / 4, restarts=5),
    }
    found = {
        name: each(model, x, y, generator=torch.Generator().manual_seed(0)) for name, each in attacks.items()
    }
    step = PGD(**ball, steps=1, step_size=2.5 * eps / STEPS, random_start=False)
    return found | {"last iterate": last_iterate(step, model, x, y)}


def last_iterate(step: Any, model: Any, x: Any, y: Any) -> Any:
    """What the peers return: the point after the last step, by the package's own ball and steps."""
    import torch
    from torch.nn import functional as F

    ball, point = step.ball(x), x
    for _ in range(STEPS):
        leaf = point.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(leaf), y), leaf)
        point = ball.step(point, gradient, step.step_share())
    return point


def peer_attacks(model: Any, x: Any, y: Any, norm: str, eps: float) -> dict[str, Callable[[], Any]]:
    import foolbox
    import numpy as np
    import torch
    import torchattacks
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    size, linf = 2.5 * eps / STEPS, norm == "Linf"
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    fool = foolbox.attacks.LinfPGD if linf else foolbox.attacks.L2PGD
    torch_pgd = torchattacks.PGD if linf else torchattacks.PGDL2
    classifier = PyTorchClassifier(
        model, torch.nn.CrossEntropyLoss(), x.shape[1:], 10, clip_values=(0.0, 1.0), device_type="cpu"
    )
    of_art = {"norm": np.inf if linf else 2, "eps": eps, "batch_size": len(x)}

    def by_foolbox(steps: int, step: float, start: bool) -> Any:
        return fool(abs_stepsize=step, steps=steps, random_start=start)(wrapped, x, y, epsilons=eps)[1]

    def by_art(attack: Any) -> Any:
        return torch.tensor(attack.generate(x.numpy(), y.numpy()))

    def by_torchattacks(steps: int, step: float, start: bool) -> Any:
        torch.manual_seed(0)
        return torch_pgd(model, eps=eps, alpha=step, steps=steps, random_start=start)(x, y)

    def auto() -> Any:
        return torchattacks.AutoAttack(model, norm=norm, eps=eps, version="standard", n_classes=10, seed=0)(
            x, y
        )

    last = {**of_art, "eps_step": size, "max_iter": STEPS, "num_random_init": 0, "verbose": False}
    return {
        "foolbox: one step": lambda: by_foolbox(1, eps, False),
        "foolbox: last iterate": lambda: by_foolbox(STEPS, size, False),
        "torchattacks: one step": lambda: by_torchattacks(1, eps, False),
        "torchattacks: last iterate": lambda: by_torchattacks(STEPS, size, False),
        "torchattacks: PGD": lambda: by_torchattacks(STEPS, size, True),
        "ART: one step": lambda: by_art(FastGradientMethod(classifier, **of_art)),
        "ART: last iterate": lambda: by_art(ProjectedGradientDescent(classifier, **last)),
        "AutoAttack": auto,
    }


def main() -> None:
    if INSIDE not in sys.argv:
        in_an_environment_of_their_own()
        return
    report = json.loads(json.dumps(compare()), parse_float=lambda text: round(float(text), 7))
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report["attacks"], indent=1))


if __name__ == "__main__":
    main()
