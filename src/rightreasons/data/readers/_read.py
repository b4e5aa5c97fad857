"""Read a file or folder; its kind decides the reader."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError
from rightreasons.core._suggest import did_you_mean, names_in
from rightreasons.data._dataset import DataSet
from rightreasons.data._preprocessing import Preprocessing
from rightreasons.data.readers._anndata import obs_columns, read_anndata
from rightreasons.data.readers._arrays import arrays_beside, read_arrays
from rightreasons.data.readers._image_folder import read_images
from rightreasons.data.readers._options import Asked, Label
from rightreasons.data.readers._pixels import ENDINGS
from rightreasons.data.readers._table import read_csv, read_parquet

_ROWS = ("target", "event", "id", "group", "split", "label", "classes")
_TABLE = (
    *_ROWS, "drop", "categorical", "missing", "dates_since", "like", "decimal", "thousands", "skip_unlabelled",
)  # fmt: skip


@dataclass(frozen=True)
class _Format:
    """A kind of path, how it is read, and the options it has."""

    name: str
    read: Callable[[Path, Asked], DataSet]
    options: tuple[str, ...]


_CSV = _Format("a CSV file", read_csv, (*_TABLE, "separator"))
_PARQUET = _Format("a Parquet file", read_parquet, _TABLE)
_ARRAYS = _Format(
    "a NumPy file", read_arrays, ("target", "id", "group", "split", "label", "classes", "channels")
)
_ANNDATA = _Format("an AnnData file", read_anndata, (*_ROWS, "layer", "like"))
_IMAGES = _Format(
    "a folder of images", read_images, (*_ROWS, "size", "colour", "background", "labels", "separator")
)

FORMATS: Mapping[str, _Format] = {
    ".csv": _CSV, ".tsv": _CSV, ".txt": _CSV, ".csv.gz": _CSV, ".tsv.gz": _CSV,
    ".parquet": _PARQUET, ".pq": _PARQUET,
    ".npz": _ARRAYS, ".npy": _ARRAYS,
    ".h5ad": _ANNDATA,
}  # fmt: skip

_ELSEWHERE = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods"), "a workbook (in Excel: Save As, CSV UTF-8)"),
    ".sav": "a file of SPSS", ".dta": "a file of Stata", ".sas7bdat": "a file of SAS", ".rds": "a file of R",
    ".feather": "a Feather file", ".json": "JSON", ".jsonl": "JSON", ".zip": "an archive to unpack",
}  # fmt: skip


@checked
def read(
    path: str | Path,
    *,
    target: str | Sequence[str] | None = None,
    event: str | None = None,
    id: str | None = None,
    group: str | None = None,
    split: str | None = None,
    label: Label | None = None,
    classes: Sequence[str] = (),
    drop: Sequence[str] = (),
    categorical: Sequence[str] = (),
    missing: Sequence[str] = (),
    dates_since: str | None = None,
    like: Preprocessing | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    skip_unlabelled: bool = False,
    size: tuple[int, int] | None = None,
    colour: bool | None = None,
    background: str | None = None,
    labels: str | None = None,
    channels: str | None = None,
    layer: str | None = None,
) -> DataSet:
    r"""Data of a table (.csv, .tsv, .parquet), arrays (.npz, .npy), an expression matrix (.h5ad) or an image folder.

    How a column of a table is understood, in this order:

    | values                                         | become                                                  |
    |------------------------------------------------|---------------------------------------------------------|
    | named in `categorical`, or a Parquet category  | categories, numbered in their own or alphabetical order |
    | numbers                                        | numbers                                                 |
    | true and false                                 | 0 and 1                                                 |
    | dates, YYYY-MM-DD with or without a time       | days since `dates_since`; an error without it           |
    | text, more than half of it numbers             | an error that names the row of the first that is none   |
    | durations, times of day, lists, bytes          | an error: they have no unit, or are no single value     |
    | text of at most 50 values, most of them twice  | categories, in alphabetical order                       |
    | other text                                     | an error: names and free text are no categories         |

    Empty cells, NA, N/A, NaN, NULL and ? are missing; so are the texts in `missing`, in a column of any type: -999 is
    the number -999, too. Blanks around a text do not count. A CSV file whose rows have more or fewer cells than the
    header is refused. Rows in messages count from 1 after the header. A target of text, true/false, or at most 10
    different whole numbers is a class; other numbers are a quantity. The scaling of numbers is not learned here:
    that is `Preprocessing`, from training rows only.

    Cost: one pass over the file, which must fit into memory.

    Args:
        path: a file, or a folder with one folder of images for each class.
        target: column of the label (several: labels that are 0 or 1 each; with `event`: the time); for .npz the name
            of an array, for .npy of another file; without one, nothing is known about the rows.
        event: column that is 1 where the time is that of the event and 0 where observation ended before.
        id: column that names the rows; each name once.
        group: column of what rows belong to, such as a patient with several visits; `splits` never divides a group.
        split: column that says train, validation or test, for `predefined`.
        label: "class" or "number", where the rule above guesses wrong.
        classes: names of the classes in order, as a trained model has them; others are refused.
        drop: columns to leave out, such as what was known only after the outcome.
        categorical: columns whose numbers or texts are names of categories.
        missing: further texts that stand for a missing value.
        dates_since: day, YYYY-MM-DD, that dates are counted from.
        like: a trained model's preprocessing: its columns are read, of the kinds that it knows, in any order.
        separator: between columns, one character; default a comma, a tab for .tsv, or what a first line `sep=;` says;
            of a folder of images, in the file `labels`.
        decimal: what decimals begin with; default a point.
        thousands: what is between groups of three digits, as in 1.234.567; default nothing. It is never guessed.
        skip_unlabelled: leave out the rows of a table that have no label, instead of refusing them; rows in messages
            then count without them.
        size: height and width in pixels that images are resized to (bilinear, not cropped).
        colour: True for three channels, False for one, None for what the images are.
        background: colour that transparent images are laid over, white unless said: a name such as black, or #rrggbb.
        labels: of a folder of images, a CSV file that names the rows, one for each image, relative to the folder: the
            column `id` (default "file") is the image, relative to the folder as well; `target`, `event`, `group` and
            `split` are other columns. Without `target` the folders are the classes.
        channels: "first" or "last" in the images of a NumPy file, where both readings of its shape fit.
        layer: of the AnnData file, instead of X.

    Raises:
        DataError: one line that names the file, the column and the row, and what to do about it.
        InputError: a text where a list of names is needed.
        MissingExtraError: without pandas, pyarrow, Pillow or h5py for a format that needs it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "people.csv"
    ...     _ = file.write_text("id,age,drink,ill\np1,20,beer,no\np2,,wine,yes\np3,60,beer,no\n")
    ...     data = read(file, target="ill", id="id")
    >>> data, data.columns[1].levels
    (DataSet('people', x=(3, 2), y=(3,), classes=('no', 'yes')), ('beer', 'wine'))
    """
    named = {"classes": classes, "drop": drop, "categorical": categorical, "missing": missing}
    lists = {name: names_in(name, given) for name, given in named.items()}
    if target is not None and not isinstance(target, str):
        target = names_in("target", target)
    asked = Asked(
        target=target, event=event, id=id, group=group, split=split, label=label, dates_since=dates_since, like=like,
        separator=separator, decimal=decimal, thousands=thousands, skip_unlabelled=skip_unlabelled, size=size,
        colour=colour, background=background, labels=labels, channels=channels, layer=layer, **lists,
    )  # fmt: skip
    path = Path(path)
    found = _format(path)
    for option in fields(asked):
        if option.name not in found.options and getattr(asked, option.name) != option.default:
            raise DataError(
                f"{path} is {found.name}, which has no {option.name!r}. Its options: {', '.join(found.options)}."
            )
    return found.read(path, asked)


@checked
def options(path: str | Path) -> tuple[str, ...]:
    """Which options `read` has for a path, by what it is.

    Raises: DataError for a path that is not there, or of no known kind.
    """
    return _format(Path(path)).options


def candidates(path: Path) -> tuple[str, ...]:
    """Names of what may hold the label in a file whose labels are apart from its inputs."""
    apart = {_ANNDATA.name: obs_columns, _ARRAYS.name: arrays_beside}
    return apart.get(_format(path).name, lambda _: ())(path)


def _format(path: Path) -> _Format:
    if path.is_dir():
        return _IMAGES
    if not path.exists():
        raise DataError(f"There is no file {str(path)!r}. {did_you_mean(str(path), _beside(path))}")
    if not path.is_file():
        raise DataError(f"{path} is a pipe or a device, which may never end. Save what it gives as a file.")
    ending = _ending(path)
    if ending in ENDINGS:
        raise DataError(f"{path} is one image, and a data set is a folder of them: pass {path.parent}.")
    if ending in _ELSEWHERE:
        raise DataError(
            f"{path} is {_ELSEWHERE[ending]}, which is not read. Save it as CSV (UTF-8) or Parquet."
        )
    if ending not in FORMATS:
        raise DataError(
            f"{path} cannot be read: nothing is known about files that end in {ending!r}. "
            f"{did_you_mean(ending, FORMATS)} Or pass a folder of images."
        )
    return FORMATS[ending]


def _ending(path: Path) -> str:
    return "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _beside(path: Path) -> list[str]:
    """What can be read where a path was looked for: of its own ending, or else of any, or folders."""
    if not path.parent.is_dir():
        return []
    there = [each for each in path.parent.iterdir() if not each.name.startswith(".")]
    like = [each for each in there if path.suffix and _ending(each) == _ending(path)]
    return [str(each) for each in like or there if _ending(each) in FORMATS or each.is_dir()]
