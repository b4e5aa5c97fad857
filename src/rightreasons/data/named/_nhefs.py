"""NHEFS: smokers of the first national health survey, followed to 1992; columns used, columns dropped.

Meanings are those of the code book in package causaldata (`causaldata.nhefs_codebook`). Everyone in the file
was alive and interviewed again in 1982: all 318 deaths are from 1983 to 1992. A model of death must therefore
use only what was known at the first interview in 1971, so nothing measured or derived in 1982 is kept.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from rightreasons.core._errors import DataError, MissingExtraError
from rightreasons.data._dataset import Column

FILE = "nhefs.dta"
LABEL = "death"


@dataclass(frozen=True)
class Used:
    """A column that is kept.

    Args:
        name: as in the file.
        description: what it holds in 1971.
        missing: code that stands for "missing" or "unknown" and becomes NaN.
        levels: category of each code, for codes without an order; others are used as numbers.
        men: value for men where the question was put to women only.
    """

    name: str
    description: str
    missing: int | None = None
    levels: tuple[tuple[int, str], ...] = ()
    men: int | None = None


# Code 2 means missing in five yes/no columns, for the same 791 people.
_YES_NO = ", 0 no, 1 yes"

USED: tuple[Used, ...] = (
    Used("sex", "0 male, 1 female"),
    Used("age", "age in 1971, years"),
    Used("race", "0 white, 1 black or other"),
    Used("income", "family income, 11 (under $1,000) to 22 ($25,000 or more)"),
    Used(
        "marital",
        "marital status",
        missing=8,
        levels=((2, "married"), (3, "widowed"), (4, "never married"), (5, "divorced"), (6, "separated")),
    ),
    Used("school", "highest grade of school, years"),
    Used("ht", "height, cm"),
    Used("wt71", "weight in 1971, kg"),
    Used("smokeintensity", "cigarettes per day"),
    Used("smokeyrs", "years of smoking"),
    Used("asthma", "asthma ever diagnosed" + _YES_NO),
    Used("bronch", "chronic bronchitis or emphysema ever diagnosed" + _YES_NO),
    Used("tb", "tuberculosis ever diagnosed" + _YES_NO),
    Used("hf", "heart failure ever diagnosed" + _YES_NO),
    Used("hbp", "high blood pressure ever diagnosed" + _YES_NO, missing=2),
    Used("pepticulcer", "peptic ulcer ever diagnosed" + _YES_NO),
    Used("colitis", "colitis ever diagnosed" + _YES_NO),
    Used("hepatitis", "hepatitis ever diagnosed" + _YES_NO),
    Used("chroniccough", "chronic cough ever diagnosed" + _YES_NO),
    Used("hayfever", "hay fever ever diagnosed" + _YES_NO),
    Used("diabetes", "diabetes ever diagnosed" + _YES_NO, missing=2),
    Used("polio", "polio ever diagnosed" + _YES_NO),
    Used("tumor", "malignant tumour or growth ever diagnosed" + _YES_NO),
    Used("nervousbreak", "nervous breakdown ever diagnosed" + _YES_NO),
    Used(
        "alcoholfreq", "drinks, 0 almost daily, 1 weekly, 2 monthly, 3 rarely, 4 never last year", missing=5
    ),
    Used(
        "alcoholtype",
        "most frequent drink",
        levels=((1, "beer"), (2, "wine"), (3, "liquor"), (4, "other or unknown")),
    ),
    Used("alcoholhowmuch", "drinks on a drinking day; 0 for those who did not drink last year"),
    Used("pica", "eats dirt, clay or starch" + _YES_NO, missing=2),
    Used("headache", "headache medication" + _YES_NO),
    Used("otherpain", "other pain medication" + _YES_NO),
    Used("weakheart", "weak heart medication" + _YES_NO),
    Used("allergies", "allergy medication" + _YES_NO),
    Used("nerves", "medication for nerves" + _YES_NO),
    Used("lackpep", "medication for lack of pep" + _YES_NO),
    Used("hbpmed", "high blood pressure medication" + _YES_NO, missing=2),
    Used("boweltrouble", "bowel trouble medication" + _YES_NO, missing=2),
    Used("wtloss", "weight loss medication" + _YES_NO),
    Used("infection", "infection medication" + _YES_NO),
    Used("active", "activity on a usual day, 0 very active to 2 inactive"),
    Used("exercise", "exercise in recreation, 0 much to 2 little or none"),
    Used("birthcontrol", "birth control pills in the past 6 months, 0 no (and men), 1 yes", missing=2, men=0),
    # No woman has 0: "never" and "unknown" cannot be told apart among 104 women, who stay missing.
    Used("pregnancies", "number of pregnancies; 0 for men", men=0),
    Used("cholesterol", "serum cholesterol, mg/100 ml"),
    Used("price71", "mean tobacco price in the state in 1971, 2008 US$"),
    Used("tax71", "tobacco tax in the state in 1971, 2008 US$"),
)

_MEASURED_1982 = "measured in 1982, after the baseline"

DROPPED: Mapping[str, str] = {
    LABEL: "the label: death by 1992",
    "yrdth": "known only after death",
    "modth": "known only after death",
    "dadth": "known only after death",
    "sbp": _MEASURED_1982 + " (the name does not say so, the code book does); its absence foretells death",
    "dbp": _MEASURED_1982 + " (the name does not say so, the code book does); its absence foretells death",
    "wt82": _MEASURED_1982 + "; its absence foretells death",
    "wt82_71": "weight change from 1971 to 1982",
    "censored": "whether wt82 is missing",
    "qsmk": "quit smoking between 1971 and 1982",
    "smkintensity82_71": "change in cigarettes per day from 1971 to 1982",
    "price82": "price in 1982",
    "tax82": "tax in 1982",
    "price71_82": "difference from 1971 to 1982",
    "tax71_82": "difference from 1971 to 1982",
    "hightax82": "state of residence in 1982",
    "seqn": "identifier of the survey; kept as the row's id",
    "id": "row number",
    "older": "age above 50: a copy of age",
    "education": "five steps of school: a copy of it",
    "alcoholpy": "whether alcoholfreq is 4: a copy of it",
    "birthplace": "state code, 49 of them and unnamed: too many categories for 1,629 people",
}


def read_nhefs(path: Path) -> tuple[Tensor, Tensor, tuple[Column, ...], tuple[str, ...]]:
    """Inputs (1629, 45) with NaN where missing, labels, columns and ids from the Stata file.

    Raises: MissingExtraError without pandas; DataError if the file has other columns than the two tables.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError(
            "Package pandas is not installed. pip install 'rightreasons[data]'"
        ) from error
    try:
        frame = cast(pd.DataFrame, pd.read_stata(path))
    except (OSError, ValueError, struct.error) as error:
        raise DataError(f"{path} cannot be read as a Stata file: {error}.") from error
    known = {used.name for used in USED} | set(DROPPED)
    if set(frame.columns) != known:
        raise DataError(
            f"{path} must have the 67 columns of package causaldata 0.1.5. Missing: "
            f"{sorted(known - set(frame.columns))}, new: {sorted(set(frame.columns) - known)}. A column "
            "nobody judged may have been measured after the baseline. Use that version of the file."
        )
    raw = {name: frame[name].astype("float64").to_numpy() for name in frame.columns}
    raw["alcoholhowmuch"] = np.where(
        np.isnan(raw["alcoholhowmuch"]) & (raw["alcoholfreq"] == 4), 0.0, raw["alcoholhowmuch"]
    )
    x = np.stack([_values(used, raw[used.name], raw["sex"] == 0) for used in USED], axis=1)
    columns = tuple(Column(u.name, u.description, tuple(level for _, level in u.levels)) for u in USED)
    ids = tuple(str(int(number)) for number in raw["seqn"])
    labels = torch.from_numpy(raw[LABEL].astype(np.int64))
    return torch.from_numpy(x.astype(np.float32)), labels, columns, ids


def _values(used: Used, values: np.ndarray, men: np.ndarray) -> np.ndarray:
    """One column with NaN for missing, positions in `levels` for codes, and what men have by definition."""
    out = np.where(values == used.missing, np.nan, values) if used.missing is not None else values.copy()
    if used.men is not None:
        out[men] = used.men
    if used.levels:
        position = {code: float(i) for i, (code, _) in enumerate(used.levels)}
        out = np.array([np.nan if np.isnan(value) else position[int(value)] for value in out])
    return out
