"""SUPPORT2 and FLCHAIN: columns known at the start, and columns left out with reasons.

Meanings are those of the studies' public descriptions (SUPPORT: Vanderbilt's documentation of `support2`; light chains:
the manual of R's package survival).
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rightreasons.core._errors import DataError
from rightreasons.data._dataset import SURVIVAL, Column
from rightreasons.data.readers._options import extra

SUPPORT2 = "support2.csv"
FLCHAIN = "flchain.arff"

_DISEASES = (
    "ARF/MOSF w/Sepsis", "CHF", "COPD", "Cirrhosis", "Colon Cancer", "Coma", "Lung Cancer", "MOSF w/Malig",
)  # fmt: skip

SUPPORT2_USED = (
    Column("age", "years"),
    Column("sex", "sex", ("female", "male")),
    Column("dzgroup", "group of the main disease", _DISEASES),
    Column("num.co", "number of other diseases"),
    Column("edu", "years of education"),
    Column("income", "yearly income", ("under $11k", "$11-$25k", "$25-$50k", ">$50k")),
    Column("scoma", "coma score of day 3, 0 (none) to 100"),
    Column("race", "race", ("asian", "black", "hispanic", "other", "white")),
    Column("hday", "day of the hospital stay on which the study began"),
    Column("diabetes", "0 no, 1 yes"),
    Column("dementia", "0 no, 1 yes"),
    Column("ca", "cancer", ("no", "yes", "metastatic")),
    Column("meanbp", "mean arterial blood pressure on day 3, mmHg"),
    Column("wblc", "white blood cells on day 3, thousands per microlitre"),
    Column("hrt", "heart rate on day 3, per minute"),
    Column("resp", "respiration rate on day 3, per minute"),
    Column("temp", "temperature on day 3, degrees Celsius"),
    Column("pafi", "oxygenation PaO2 / FiO2 on day 3"),
    Column("alb", "serum albumin on day 3, g/dl"),
    Column("bili", "bilirubin on day 3, mg/dl"),
    Column("crea", "serum creatinine on day 3, mg/dl"),
    Column("sod", "serum sodium on day 3, mmol/l"),
    Column("ph", "arterial pH on day 3"),
    Column("glucose", "glucose on day 3, mg/dl"),
    Column("bun", "blood urea nitrogen on day 3, mg/dl"),
    Column("urine", "urine output on day 3, ml"),
    Column(
        "adlsc", "dependence in daily life, 0 to 7, from the patient or a relative, filled in where unknown"
    ),
)

_OUTCOME = "known only after the start of the study"
_FORECAST = "a forecast of the outcome, by physicians or by the study's own model"

SUPPORT2_DROPPED: Mapping[str, str] = {
    "death": "the label: whether death was observed",
    "d.time": "the label: days of follow-up",
    "sno": "number of the patient; kept as the row's id",
    "hospdead": "death in hospital: " + _OUTCOME,
    "slos": "days until discharge: " + _OUTCOME,
    "charges": "hospital charges: " + _OUTCOME,
    "totcst": "cost: " + _OUTCOME,
    "totmcst": "cost: " + _OUTCOME,
    "avtisst": "mean intensity of treatment, days 3 to 25: " + _OUTCOME,
    "sfdm2": "functional disability two months later: " + _OUTCOME,
    "dnr": "order not to resuscitate: often " + _OUTCOME,
    "dnrday": "day of that order: often " + _OUTCOME,
    "sps": "SUPPORT's physiology score: part of " + _FORECAST,
    "aps": "APACHE III physiology score: part of " + _FORECAST,
    "surv2m": _FORECAST,
    "surv6m": _FORECAST,
    "prg2m": _FORECAST,
    "prg6m": _FORECAST,
    "dzclass": "coarser groups: a function of dzgroup",
    "adlp": "as told by the patient: part of adlsc",
    "adls": "as told by a relative: part of adlsc",
}

FLCHAIN_USED = (
    Column("age", "years"),
    Column("sex", "sex", ("F", "M")),
    Column("sample.yr", "year of the blood sample"),
    Column("kappa", "serum free light chain, kappa portion, mg/dl"),
    Column("lambda", "serum free light chain, lambda portion, mg/dl"),
    Column("creatinine", "serum creatinine, mg/dl"),
    Column("mgus", "monoclonal gammopathy diagnosed", ("no", "yes")),
)

FLCHAIN_DROPPED: Mapping[str, str] = {
    "futime": "the label: days of follow-up",
    "death": "the label: whether death was observed",
    "chapter": "cause of death: " + _OUTCOME,
    "flc.grp": "tenth of kappa + lambda: a function of both",
}


def read_support2(path: Path) -> dict[str, Any]:
    """Fields of the data set: (9105, 27) inputs with NaN where missing, labels (time in days, event)."""
    pd = extra("pandas", "pandas")
    try:
        frame = pd.read_csv(path, skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as CSV: {error}. Delete it to have it fetched again."
        ) from error
    _require_columns(frame, path, SUPPORT2_USED, SUPPORT2_DROPPED)
    y = np.stack([frame["d.time"], frame["death"]], axis=1)
    return _fields(frame, SUPPORT2_USED, y) | {"ids": tuple(str(number) for number in frame["sno"])}


def read_flchain(path: Path) -> dict[str, Any]:
    """Fields of the data set: (7874, 7) inputs with NaN where missing, labels (time in days, event)."""
    pd = extra("pandas", "pandas")
    try:
        head, _, rows = path.read_text(encoding="utf-8").partition("@data\n")
        names = [line.split()[1] for line in head.splitlines() if line.startswith("@attribute")]
        frame = pd.read_csv(io.StringIO(rows), header=None, names=names, na_values=["?"])
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as ARFF: {error}. Delete it to have it fetched again."
        ) from error
    _require_columns(frame, path, FLCHAIN_USED, FLCHAIN_DROPPED)
    y = np.stack([frame["futime"], frame["death"] == "dead"], axis=1)
    return _fields(frame, FLCHAIN_USED, y) | {"ids": tuple(f"row {i}" for i in range(1, len(frame) + 1))}


def _fields(frame: Any, used: tuple[Column, ...], y: np.ndarray) -> dict[str, Any]:
    values = [
        frame[column.name].map({level: float(i) for i, level in enumerate(column.levels)})
        if column.levels
        else frame[column.name]
        for column in used
    ]
    return {
        "x": torch.from_numpy(np.stack(values, axis=1).astype(np.float32)),
        "y": torch.from_numpy(y.astype(np.float32)),
        "columns": used,
        "labels": SURVIVAL,
    }


def _require_columns(frame: Any, path: Path, used: tuple[Column, ...], dropped: Mapping[str, str]) -> None:
    known = {column.name for column in used} | set(dropped)
    if set(frame.columns) != known:
        raise DataError(
            f"{path} must have the {len(known)} columns that were judged. Missing: "
            f"{sorted(known - set(frame.columns))}, new: {sorted(map(str, set(frame.columns) - known))}. A column "
            "nobody "
            "judged may have been known only after the outcome. Use the published version of the file."
        )
    for column in used:
        other = set(frame[column.name].dropna()) - set(column.levels) if column.levels else set()
        if other:
            raise DataError(
                f"{path}: {column.name!r} holds {sorted(other)[0]!r}, which is none of {column.levels}."
            )
