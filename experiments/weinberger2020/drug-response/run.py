"""Response of cancer cell lines to three drugs: do meta-features of genes help a learned prior, and does a prior help?

python experiments/weinberger2020/drug-response/run.py            compares with expected.json
python experiments/weinberger2020/drug-response/run.py --write    writes expected.json anew

See README.md for the setting, the arms and what came out. `rr.data` says where it looks for the data.
"""

import sys
import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from material import Material, knowledge, prepared
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import ElasticNet, Lasso, Ridge
from torch import Tensor

import rightreasons as rr
from rightreasons import data, models, priors, tasks, training

sys.path.append(str(Path(__file__).parents[1]))
import shared

DRUGS = ("gdsc-nutlin-3a", "gdsc-trametinib", "gdsc-venetoclax")
SPLITS, TRAIN, HELD = 10, 546, 182
EPOCHS, BATCH, HIDDEN = 20, 182, (64,)
WEIGHTS: Mapping[str, tuple[float, ...]] = {
    "attribution": (10.0, 40.0),
    "graph": (0.1, 1.0),
    "first-layer L1": (50.0, 150.0),
    "first-layer group lasso": (3e-4, 1e-3),
}

Row = dict[str, Any]
Terms = Callable[[float], list[training.Term]]


def network_arms(material: Material, seed: int) -> dict[str, tuple[tuple[float, ...], Terms]]:
    """For each arm the weights that are tried, and its terms at one of them."""

    def penalty(make: Callable[[], priors.Prior], weight: float) -> list[training.Term]:
        return [training.Penalty(rr.ExpectedGradients(material.x["train"]), make(), weight)]

    def learned(name: str, weight: float) -> list[training.Term]:
        prior = priors.LearnedPrior(material.meta, "mlp", signed=False)
        made = priors.controls(prior, torch.Generator().manual_seed(seed))
        return penalty(lambda: prior if name == "DAPr" else made[name], weight)

    attribution = WEIGHTS["attribution"]
    found: dict[str, tuple[tuple[float, ...], Terms]] = {"MLP": (attribution, lambda weight: [])}
    for name in ("zero", "constant", "DAPr", "permuted", "random"):
        found[name] = (attribution, partial(learned, name))
    graphs = {
        "graph": material.graph,
        "random graph": priors.random_graph(
            material.graph, torch.Generator().manual_seed(seed), degrees=True
        ),
    }
    for name, graph in graphs.items():
        found[name] = (WEIGHTS["graph"], partial(penalty, partial(priors.GraphLaplacian, graph)))
    found["first-layer L1"] = (
        WEIGHTS["first-layer L1"],
        lambda weight: [training.WeightL1(layers="first", weight=weight)],
    )
    found["first-layer group lasso"] = (
        WEIGHTS["first-layer group lasso"],
        lambda weight: [training.SparseGroupLasso(layers="first", weight=weight)],
    )
    return found


PEERS: Mapping[str, Callable[[int], list[Any]]] = {
    "ridge": lambda seed: [Ridge(alpha=a) for a in (600.0, 2000.0)],
    "lasso": lambda seed: [Lasso(alpha=a) for a in (0.03, 0.1)],
    "elastic net": lambda seed: [ElasticNet(alpha=a) for a in (0.06, 0.2)],
    "random forest": lambda seed: [
        RandomForestRegressor(50, max_features=0.1, min_samples_leaf=n, random_state=seed) for n in (1, 5)
    ],
}


def fitted(material: Material, terms: list[training.Term], seed: int) -> torch.nn.Module:
    """The network of the epoch that is best on validation rows."""
    model = models.seeded(lambda: models.MLP(len(material.genes), HIDDEN, 1, dropout=0.5), seed)
    objective = training.Objective(model, tasks.Regression(), terms)
    groups = objective.parameter_groups(
        {"weight_decay": 1e-3}, {"lr": 3e-3, "weight_decay": 0.0} if len(objective.term_modules) else None
    )
    training.fit(
        objective,
        (material.x["train"], material.y["train"]),
        validation=(material.x["validation"], material.y["validation"]),
        epochs=EPOCHS,
        batch_size=BATCH,
        optimizer=torch.optim.Adam(groups, lr=8e-4),
        seed=seed,
    )
    return model.eval()


def scores(prediction: Tensor, y: Tensor, scale: float) -> dict[str, float]:
    """R2, mean squared error in squared log concentrations, Spearman."""
    error = (prediction - y).double().square()
    spread = (y - y.mean()).double().square().mean()
    rank = spearmanr(prediction.numpy(), y.numpy()).statistic
    rank = float(rank) if rank == rank else 0.0  # a constant prediction ranks nothing
    return {
        "R2": float(1 - error.mean() / spread),
        "MSE": float(error.mean()) * scale**2,
        "Spearman": rank,
    }


def trials(material: Material, seed: int) -> dict[str, list[Callable[[], Callable[[Tensor], Tensor]]]]:
    """For each arm, what gives a fitted function of rows; as many for every arm."""

    def network(terms: Terms, weight: float, trial: int) -> Callable[[Tensor], Tensor]:
        torch.manual_seed(seed)  # of the prior's network
        model = fitted(material, terms(weight), 3 * seed + trial)
        return lambda x: model(x).detach()

    def peer(model: Any) -> Callable[[Tensor], Tensor]:
        model.fit(material.x["train"].numpy(), material.y["train"].numpy())
        return lambda x: torch.from_numpy(model.predict(x.numpy())).float()

    found = {
        name: [partial(network, terms, weight, trial) for trial, weight in enumerate(weights)]
        for name, (weights, terms) in network_arms(material, seed).items()
    }
    return found | {name: [partial(peer, model) for model in made(seed)] for name, made in PEERS.items()}


@cache
def rows_of(drug: str) -> data.DataSet:
    return data.load(drug)


@cache
def alterations() -> data.Alterations:
    return data.alterations()


def material_of(drug: str, split: int) -> Material:
    rows = rows_of(drug)
    index = next(islice(data.splits(rows, split + 1, TRAIN, HELD, HELD), split, None))
    return prepared(rows, knowledge(rows.feature_names), alterations(), index)


def one(job: tuple[str, int]) -> dict[str, Row]:
    """Test scores of every arm at the trial that is best on validation rows."""
    torch.set_num_threads(1)
    started, (drug, split) = time.perf_counter(), job
    material = material_of(drug, split)
    found: dict[str, Row] = {}
    for name, made in trials(material, split).items():
        judged = []
        for trial, fit in enumerate(made):
            predict = fit()
            both = [
                scores(predict(material.x[part]), material.y[part], material.scale)
                for part in ("validation", "test")
            ]
            judged.append((both[0]["R2"], trial, both[1]))
        trial, at_best = shared.best(judged)
        found[name] = {"trial": trial, **at_best}
    shown = {name: round(row["R2"], 3) for name, row in found.items()}
    print(drug, split, shown, f"{time.perf_counter() - started:.0f} s", flush=True)
    return found


def table(results: dict[tuple[str, int], dict[str, Row]]) -> Row:
    """Means, and corrected paired differences in R2: to no prior (Holm over arms), and within pairs of arms."""
    return {drug: _of_drug([results[drug, split] for split in range(SPLITS)]) for drug in DRUGS}


def _of_drug(found: list[dict[str, Row]]) -> Row:
    r2 = {name: [row[name]["R2"] for row in found] for name in found[0]}
    minus = shared.against(r2, "MLP", TRAIN, HELD)
    rows = {
        name: {
            **{
                score: sum(row[name][score] for row in found) / len(found)
                for score in ("R2", "MSE", "Spearman")
            },
            "chosen": [row[name]["trial"] for row in found],
            "minus MLP": minus.get(name),
        }
        for name in r2
    }
    pairs = (("DAPr", "permuted"), ("DAPr", "random"), ("DAPr", "zero"), ("graph", "random graph"))
    return {
        "arms": rows,
        "pairs": {f"{a} minus {b}": shared.compared(r2[a], r2[b], TRAIN, HELD) for a, b in pairs},
    }


if __name__ == "__main__":
    everything = [(drug, split) for split in range(SPLITS) for drug in DRUGS]
    shared.main(__doc__, __file__, one, everything, table, "R2", 0.05)
