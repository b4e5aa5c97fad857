"""Draft a first recipe for a data set, with comments."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from rightreasons import data
from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError
from rightreasons.data import ColumnsError, NotNumbersError
from rightreasons.data.readers._read import candidates
from rightreasons.recipes._yaml import dump

_SMALL = 2000  # training rows up to which an epoch is one step
_STEPS = {False: 1000, True: 4000}  # of a fit, about: on many rows fewer epochs do
_NAMELESS = "Unnamed: "  # as pandas calls a column whose header is empty
_SPLITS = {False: 2, True: 10}
_TESTED = {
    False: "a first look; ten (init --long) are needed to test differences",
    True: "ten, so that differences are tested",
}
_WEIGHTS = {False: "[0.1, 0.5]", True: "[0.1, 0.3, 1]"}
_SHRINKING = {False: "[0.02, 0.1]", True: "[0.01, 0.03, 0.1]"}  # L1 of weights leaves nothing from .3 on
_MOST_NAMES = 60  # that are all shown
_OFTEN = (
    "y",
    "label",
    "labels",
    "target",
    "class",
    "outcome",
    "response",
    "diagnosis",
    "status",
    "event",
    "died",
)
_FEW_TEXTS = 3  # different ones among numbers that may stand for no value


@dataclass(frozen=True)
class _Kind:
    """What suits a form of data: network, batch, epochs, and the belief that is tried."""

    model: str
    batch_size: int | None
    epochs: int
    belief: str
    prior: str
    attribution: str = "{name: expected_gradients, samples: 1}"
    explain: tuple[str, ...] = ()


_TABLE = _Kind(
    "{name: mlp, hidden: [64, 32]}", None, 150,
    "few columns matter: the Gini coefficient of the mean attributions is raised", "gini",
)  # fmt: skip
_IMAGES = _Kind(
    "{name: cnn, channels: [16, 32], hidden: 64}", 64, 20,
    "neighbouring pixels matter alike: the total variation of each map is penalised", "total_variation",
)  # fmt: skip
_SEQUENCE = _Kind(
    "{name: gru, hidden: 32}", 64, 20,
    "neighbours along the sequence matter alike: the total variation of each map is penalised", "total_variation",
)  # fmt: skip
_WORDS = _Kind(
    "{name: transformer, width: 32, heads: 4, layers: 1}", 64, 10,
    "few words of a text matter: the Gini coefficient of each map is raised", "{name: gini, level: sample}",
    "{name: integrated_gradients, at: positions.embedding, steps: 4}",
    ("explain: # words have no gradient, their embeddings have",
     "  attribution: {name: integrated_gradients, at: positions.embedding, steps: 32}", ""),
)  # fmt: skip


@checked
def draft(
    path: str | Path,
    *,
    target: str | Sequence[str] | None = None,
    event: str | None = None,
    id: str | None = None,
    group: str | None = None,
    split: str | None = None,
    drop: Sequence[str] = (),
    size: tuple[int, int] | None = None,
    labels: str | None = None,
    background: str | None = None,
    dates_since: str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    skip_unlabelled: bool = False,
    folder: str | Path | None = None,
    long: bool = False,
) -> str:
    """A recipe, as YAML with comments, for a file, a folder or a named set.

    The file is read as training will read it. Columns that cannot be used as they are, such as names and free text,
    are listed under `drop`, each with the reason.

    Args:
        path: as for `data.read`, or the name of a set; of that nothing else needs saying.
        target: column of the label.
        event: column of the event, if the target is the time until it.
        id: column that names the rows.
        group: column of what rows belong to.
        split: column of train, validation and test.
        drop: columns to leave out.
        size: height and width that images are resized to.
        labels: CSV file of a folder of images, relative to it.
        background: colour that transparent images are laid over.
        dates_since: day that dates are counted from.
        separator: what columns of a CSV end at.
        decimal: what decimals in a table begin with.
        thousands: what is between groups of three digits.
        skip_unlabelled: leave out rows of a table that have no label.
        folder: that the recipe will be in, which its paths are relative to; None: that of the data.
        long: ten splits and three weights for an arm, so that differences are tested, instead of a first look with two
            splits and two weights.

    Returns: the recipe's text.

    Raises: DataError if the data cannot be read, or have no label.
    """
    asked = {"target": target, "event": event, "id": id, "group": group, "split": split, "size": size,
             "labels": labels, "background": background,
             "dates_since": dates_since, "separator": separator, "decimal": decimal,
             "thousands": thousands, "skip_unlabelled": skip_unlabelled or None}  # fmt: skip
    options = {key: value for key, value in asked.items() if value is not None}
    if str(path) in data.names() and not Path(path).exists():
        if options or drop:
            raise DataError(
                f"{next(iter(options), 'drop')} is for files of your own; the set {path} is read as it is."
            )
        return _text(str(path), data.load(str(path)), [f"  name: {path}"], long)
    columns = _Columns(dict.fromkeys(drop, "you asked for it"), {})
    try:
        found = data.read(path, **options, **columns.options())
    except ColumnsError as error:
        columns.learn(error)
        found = data.read(path, **options, **columns.options())
    if named := _identifiers(path, found):
        options |= columns.identify(named, options)
        found = data.read(path, **options, **columns.options())
    if not found.labelled:
        table = "drop" in data.options(path)
        names = (
            [*found.feature_names, *(each for each in columns.drop if each not in drop)]
            if table
            else candidates(Path(path))
        )
        raise DataError(
            f"{path} has no label to learn yet. Say which column (or array) it is: target=NAME (--target). "
            f"{_choice(names)}"
        )
    home = Path(path).resolve().parent if folder is None else Path(folder).resolve()
    where = Path(os.path.relpath(Path(path).resolve(), home)).as_posix()
    reading = [
        f"  path: {_yaml(where)} # relative to this file",
        *(f"  {key}: {_yaml(value)}{_MEANING.get(key, '')}" for key, value in options.items()),
        *(columns.lines() if "drop" in data.options(path) else []),
    ]
    return _text(where, found, reading, long)


def _choice(names: Sequence[str]) -> str:
    """Names that may be the label's: of very many the first, the last, and those that labels often have."""
    if not names:
        return "There is no other array that could be it."
    often = [name for name in names if name.lower() in _OFTEN]
    shown = names if len(names) <= _MOST_NAMES else dict.fromkeys((*often, *names[:20], *names[-20:]))
    rest = f", and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return f"There are: {', '.join(shown)}{rest}."


def _identifiers(path: str | Path, found: data.DataSet) -> dict[str, Any]:
    """Columns of a table that name something; genes of an .h5ad and numbers of an array are no columns to leave out."""
    return dict(data.identifiers(found)) if "drop" in data.options(path) else {}


@dataclass(frozen=True)
class _Columns:
    """Columns that need care: those left out, and texts that stand for no value, each with the reason."""

    drop: dict[str, str]
    missing: dict[str, str]

    def options(self) -> dict[str, Any]:
        """For `data.read`."""
        given = {"drop": list(self.drop), "missing": list(self.missing)}
        return {key: value for key, value in given.items() if value}

    def learn(self, error: ColumnsError) -> None:
        """A few texts among numbers mean that there is none; other columns are left out."""
        for name, problem in error.columns.items():
            if isinstance(problem, NotNumbersError) and len(problem.texts) <= _FEW_TEXTS:
                self.missing.update(dict.fromkeys(problem.texts, f"in column {name}: taken for no value"))
            else:
                self.drop[name] = str(problem).split(" of ", 1)[-1].split(" ", 1)[-1].split(". ")[0]

    def identify(self, names: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, str]:
        """Fields `id` and `group` where nothing is said yet; further columns that name something are left out."""
        found: dict[str, str] = {}
        for name, field in names.items():
            if field == "unlike":
                self.drop[name] = "another one in each row, as names are; take it in again if it is measured"
            elif name.startswith(_NAMELESS):
                self.drop[name] = "a column without a name that numbers the rows"
            elif field in options or field in found:
                self.drop[name] = "its numbers are names"
            else:
                found[field] = name
        return found

    def lines(self) -> list[str]:
        """Of the recipe."""
        if not self.drop:
            drop = [
                "  # drop: [column, ...] leaves out what was known only after the outcome: it would leak it."
            ]
        else:
            drop = [
                "  # Left out. Add what was known only after the outcome: it would leak it.",
                *_listed("drop", self.drop),
            ]
        return drop + (_listed("missing", self.missing) if self.missing else [])


def _listed(key: str, reasons: Mapping[str, str]) -> list[str]:
    lines = [f"    - {_yaml(name)} # {' '.join(reason.split())}" for name, reason in reasons.items()]
    return [f"  {key}:", *lines]


_MEANING = {
    "id": " # names rows: no feature",
    "group": " # rows of one stay together, in training or in test",
}


def _text(source: str, found: data.DataSet, reading: Sequence[str], long: bool) -> str:
    kind = _kind(found)
    rows = 0.6 * len(found)
    large = rows > _SMALL and found.labels != data.SURVIVAL
    batch = kind.batch_size or (256 if large else None)
    most = kind.epochs if long or kind is _TABLE else kind.epochs // 2
    epochs = min(most, max(5, round(_STEPS[long] * (batch or rows) / rows)))
    lines = [
        f"# {source}, as `rightreasons init` found it. Change what you know better, then:",
        "#   rightreasons train THIS_FILE",
        "# It trains each arm on every split, chooses weights on validation rows, and writes a page to runs/.",
        f"name: {_name(found.name)}",
        "",
        "data:",
        *reading,
        *(f"  # {line}" for line in data.outline(found).splitlines()[1:2]),
        *_split_lines(found, long),
        "",
        f"model: {kind.model} # or cnn, resnet, gru, transformer, or module:factory for a network of your own",
        "",
        "training:",
        f"  epochs: {epochs}",
        f"  batch_size: {_yaml(batch)} # null: all training rows at once, so that priors see them all",
        "  optimizer: {name: adam, lr: 1.0e-3}",
        *_REGRESSION[: found.task()[0] == "regression"],
        f"  patience: {max(10, epochs // 5)} # epochs without a better validation score before stopping",
        "",
        "# Each arm gets as many trials on each split: arms without weights start from as many initialisations.",
        "# schedule: auto - weights are multiples of the task's gradient, measured at the first step.",
        "arms:",
        "  - name: Unregularised",
        "  - name: L1 of weights",
        "    description: A control that knows nothing of attributions.",
        "    terms: [{regulariser: weight_l1, schedule: auto}]",
        f"    weights: {_SHRINKING[long]}",
        "  - name: Belief",
        f"    description: {kind.belief[0].upper()}{kind.belief[1:].replace(': ', ' - ')}.",
        f"    terms: [{{prior: {kind.prior}, attribution: {kind.attribution}, schedule: auto}}]",
        f"    weights: {_WEIGHTS[long]}",
        "",
        *kind.explain,
        "select: best # or {largest_within: 0.01}: the strongest prior within .01 of the best validation score",
        "compare: {against: Unregularised, confidence: 0.95, margin: 0.01}",
    ]
    return "\n".join(lines) + "\n"


_REGRESSION = ["  standardise_labels: true # networks predict in the label's own units all the same"]


def _kind(found: data.DataSet) -> _Kind:
    if found.columns:
        return _TABLE
    if found.vocabulary:
        return _WORDS
    return _IMAGES if found.x.ndim == 4 else _SEQUENCE


def _split_lines(found: data.DataSet, long: bool) -> list[str]:
    if found.parts:
        named = "validation" in found.parts
        return [
            f"  splits: {1 if named else _SPLITS[long]} # the test rows are those that the data name",
            *(
                []
                if named
                else ["  validation: 0.2 # of the training rows: weights and epochs are chosen on them"]
            ),
        ]
    return [
        f"  splits: {_SPLITS[long]} # random, repeated; {_TESTED[long]}",
        "  train: 0.6",
        "  validation: 0.2 # weights and epochs are chosen on these",
        "  test: 0.2",
    ]


def _name(name: str) -> str:
    plain = "".join(c if (c.isalnum() and c.isascii()) or c in "-_" else "-" for c in name)
    return plain.strip("-_") or "data"


def _yaml(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return dump(plain, flow=True, width=inf).removesuffix("...\n").strip()
