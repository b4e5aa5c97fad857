"""Data sets by name, repeated splits, preprocessing that cannot leak, and noise.

>>> data = load("nhefs")
>>> split = next(splits(data, count=1, train=100, validation=100, seed=0))
>>> fitted = Preprocessing.fit(data.rows(split.train))
>>> train = fitted(data.rows(split.train))
>>> tuple(train.x.shape), len(train.groups), Preprocessing.from_json(fitted.to_json()) == fitted
((100, 52), 45, True)
"""

from rightreasons.core._groups import sum_groups
from rightreasons.data._dataset import SURVIVAL, Column, DataSet
from rightreasons.data._describe import outline
from rightreasons.data._fitted_column import FittedColumn
from rightreasons.data._id_columns import identifiers
from rightreasons.data._images import corrupt, rescale
from rightreasons.data._preprocessing import Preprocessing
from rightreasons.data._text import bag_of_words
from rightreasons.data.named._drug_response import Alterations
from rightreasons.data.named._fetch import data_folder
from rightreasons.data.named._gene_knowledge import gene_annotation, reactome, read_gmt
from rightreasons.data.named._registry import (
    alterations,
    describe,
    drug_response,
    fetch,
    lexicon,
    load,
    names,
    where,
)
from rightreasons.data.readers._masks import read_masks
from rightreasons.data.readers._options import ColumnsError, NotNumbersError
from rightreasons.data.readers._read import options, read
from rightreasons.data.splitting._predefined import predefined
from rightreasons.data.splitting._splits import Split, splits

__all__ = [
    "SURVIVAL",
    "Alterations",
    "Column",
    "ColumnsError",
    "DataSet",
    "FittedColumn",
    "NotNumbersError",
    "Preprocessing",
    "Split",
    "alterations",
    "bag_of_words",
    "corrupt",
    "data_folder",
    "describe",
    "drug_response",
    "fetch",
    "gene_annotation",
    "identifiers",
    "lexicon",
    "load",
    "names",
    "options",
    "outline",
    "predefined",
    "reactome",
    "read",
    "read_gmt",
    "read_masks",
    "rescale",
    "splits",
    "sum_groups",
    "where",
]
