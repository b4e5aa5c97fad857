"""Survival of seriously ill patients from few rows: does knowing what kind of measurement a column is help?

python experiments/weinberger2020/survival/run.py            compares with expected.json
python experiments/weinberger2020/survival/run.py --write    writes expected.json anew

See README.md for the setting, the arms and what came out.
"""

import sys
from collections.abc import Callable
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

import rightreasons as rr
from rightreasons import data, models, priors, tasks, training

sys.path.append(str(Path(__file__).parents[1]))
import shared

DATA, SPLITS, ROWS = "support2", 10, 300  # as many rows to choose by and to judge by as to train on
EPOCHS, HIDDEN = 150, (32,)
KINDS = {
    "who": ("age", "sex", "race", "edu", "income"),
    "disease": ("dzgroup", "num.co", "ca", "diabetes", "dementia"),
    "state": ("scoma", "adlsc", "hday"),
    "vital sign": ("meanbp", "hrt", "resp", "temp", "urine"),
    "blood": ("wblc", "pafi", "alb", "bili", "crea", "sod", "ph", "glucose", "bun"),
}
PRIOR, FIRST, LASSO = (0.3, 3.0, 30.0), (3.0, 30.0, 300.0), (1e-3, 1e-2, 1e-1)
GINI, RIDGE = (0.1, 0.3, 1.0), (0.01, 0.1, 1.0)

Terms = Callable[[float], list[training.Term]]


def meta_features(raw: data.DataSet, seen: data.DataSet) -> priors.MetaFeatures:
    """Of the features of `seen`, made of the columns of `raw`: kind, categorical or not, share missing.

    Args:
        raw: training rows before preprocessing.
        seen: the same rows after it.
    """
    kind = {name: kind for kind, names in KINDS.items() for name in names}
    missing = dict(zip(raw.feature_names, raw.x.isnan().float().mean(0).tolist(), strict=True))
    levels = {column.name: float(bool(column.levels)) for column in raw.columns}
    sources = [column.source or column.name for column in seen.columns]
    table = {
        "kind": [kind[name] for name in sources],
        "category": [levels[name] for name in sources],
        "missing": [missing[name] for name in sources],
    }
    return priors.MetaFeatures.from_table(table, seen.feature_names, names=seen.feature_names)


def arms(x: torch.Tensor, meta: priors.MetaFeatures, seed: int) -> dict[str, tuple[tuple[float, ...], Terms]]:
    """For each arm the weights that are tried, and its terms at one of them."""

    def penalty(make: Callable[[], priors.Prior], weight: float) -> list[training.Term]:
        return [training.Penalty(rr.ExpectedGradients(x), make(), weight)]

    def learned(name: str, weight: float) -> list[training.Term]:
        prior = priors.LearnedPrior(meta, "linear", signed=False)
        made = priors.controls(prior, torch.Generator().manual_seed(seed))
        return penalty(lambda: prior if name == "DAPr" else made[name], weight)

    found: dict[str, tuple[tuple[float, ...], Terms]] = {"MLP": (PRIOR, lambda weight: [])}
    for name in ("zero", "constant", "DAPr", "permuted", "random"):
        found[name] = (PRIOR, partial(learned, name))
    found["Gini"] = (GINI, partial(penalty, priors.Gini))
    found["first-layer L1"] = (FIRST, lambda weight: [training.WeightL1(layers="first", weight=weight)])
    found["first-layer group lasso"] = (
        LASSO,
        lambda weight: [training.SparseGroupLasso(layers="first", weight=weight)],
    )
    found["linear Cox, ridge"] = (RIDGE, lambda weight: [training.WeightL2(weight=weight, squared=True)])
    return found


@cache
def rows() -> data.DataSet:
    return data.load(DATA)


def parts(split: int) -> tuple[data.DataSet, dict[str, data.DataSet]]:
    """Training rows as they are, and all parts as the model sees them."""
    index = next(islice(data.splits(rows(), split + 1, ROWS, ROWS, ROWS), split, None))
    raw = rows().rows(index.train)
    fitted = data.Preprocessing.fit(raw)
    return raw, {part: fitted(rows().rows(of)) for part, of in index._asdict().items()}


def concordance(model: torch.nn.Module, part: data.DataSet) -> float:
    with torch.no_grad():
        return tasks.Survival().metrics(model(part.x), part.y)["concordance"]


def fitted(found: dict[str, data.DataSet], terms: list[training.Term], hidden: Any, seed: int) -> list[float]:
    """Concordance on validation and test rows, of the epoch that is best on the former."""
    train, validation, test = (found[part] for part in ("train", "validation", "test"))
    model = models.seeded(lambda: models.MLP(train.x.shape[1], hidden, 1), seed)
    objective = training.Objective(model, tasks.Survival(), terms)
    groups = objective.parameter_groups(
        {"weight_decay": 1e-4}, {"lr": 0.01, "weight_decay": 0.0} if len(objective.term_modules) else None
    )
    training.fit(
        objective,
        (train.x, train.y),
        validation=(validation.x, validation.y),
        epochs=EPOCHS,
        optimizer=torch.optim.Adam(groups, lr=5e-3),
        seed=seed,
    )
    model.eval()
    return [concordance(model, validation), concordance(model, test)]


def one(split: int) -> dict[str, tuple[int, float]]:
    """Chosen trial and test concordance of every arm."""
    torch.set_num_threads(1)
    raw, found = parts(split)
    meta = meta_features(raw, found["train"])
    scores = {}
    for name, (weights, terms) in arms(found["train"].x, meta, split).items():
        hidden = () if name.startswith("linear") else HIDDEN
        trials = []
        for trial, weight in enumerate(weights):
            torch.manual_seed(split)  # of the prior's network
            judged = fitted(found, terms(weight), hidden, 3 * split + trial)
            trials.append((judged[0], trial, judged[1]))
        scores[name] = shared.best(trials)
    print(split, {name: round(score, 3) for name, (_, score) in scores.items()}, flush=True)
    return scores


def table(results: dict[int, dict[str, tuple[int, float]]]) -> shared.Row:
    scores = {name: [row[name][1] for row in results.values()] for name in results[0]}
    minus = shared.against(scores, "MLP", ROWS, ROWS)
    rows_of = {
        name: {
            "concordance": sum(values) / len(values),
            "chosen": [row[name][0] for row in results.values()],
            "minus MLP": minus.get(name),
        }
        for name, values in scores.items()
    }
    pairs = {
        f"{a} minus {b}": shared.compared(scores[a], scores[b], ROWS, ROWS)
        for a, b in (("DAPr", "permuted"), ("DAPr", "zero"), ("zero", "first-layer group lasso"))
    }
    return {DATA: {"arms": rows_of, "pairs": pairs}}


if __name__ == "__main__":
    shared.main(__doc__, __file__, one, list(range(SPLITS)), table, "concordance", 0.02)
