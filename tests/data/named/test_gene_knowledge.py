"""Annotation of genes from a small data base of the same tables, pathways from a small archive, sets from GMT files."""

import sqlite3
import zipfile

import pytest

from rightreasons import data
from rightreasons.core._errors import DataError
from rightreasons.data.named import _gene_knowledge as knowledge

ROWS = {
    "gene_info": ("_id, gene_name, symbol", [(1, "tumor protein p53", "TP53"), (2, "mouse double minute 2", "MDM2")]),
    "alias": ("_id, alias_symbol", [(1, "P53"), (2, "HDM2"), (1, "BOTH"), (2, "BOTH")]),
    "pubmed": ("_id, pubmed_id", [(1, "11"), (1, "12"), (1, "12"), (2, "12")]),
    "go_bp": ("_id, go_id", [(1, "GO:1"), (2, "GO:1"), (2, "GO:2")]),
    "go_mf": ("_id, go_id", []),
    "go_cc": ("_id, go_id", []),
    "pfam": ("_id, pfam_id", [(1, "PF1")]),
    "omim": ("_id, omim_id", []),
    "chromosomes": ("_id, chromosome", [(1, "17"), (2, "12")]),
    "uniprot": ("_id, uniprot_id", [(1, "P04637"), (2, "Q00987")]),
}  # fmt: skip
GMT = "R-1\tCell cycle\tP04637-2\tQ00987\t\t\nR-2\tOther\tX1\t\nR-3\tOther\tQ00987\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder with both files; what the system has is not seen."""
    home = tmp_path / "genes"
    home.mkdir()
    monkeypatch.setattr(knowledge, "_SYSTEM", tmp_path / "nowhere")
    db = sqlite3.connect(home / knowledge.ANNOTATION)
    for table, (columns, rows) in ROWS.items():
        db.execute(f"create table {table} ({columns})")
        marks = ", ".join("?" for _ in columns.split(","))
        db.executemany(f"insert into {table} values ({marks})", rows)
    db.commit()
    db.close()
    with zipfile.ZipFile(home / knowledge.PATHWAYS.name, "w") as archive:
        archive.writestr(knowledge._GMT, GMT)
    return tmp_path


def test_counts_by_official_symbol_or_certain_alias(folder):
    found = data.gene_annotation(["HDM2", "TP53", "BOTH", "XYZ"], folder)
    assert found["publications"] == [1, 2, None, None]
    assert found["processes"] == [2, 1, None, None]
    assert found["domains"] == [0, 1, None, None]
    assert found["chromosome"] == ["12", "17", None, None]


def test_pathways_by_symbol(folder):
    found = data.reactome(["HDM2", "TP53"], folder)
    assert found == {"Cell cycle (R-1)": ("HDM2", "TP53"), "Other (R-3)": ("HDM2",)}


def test_the_annotation_says_where_to_get_it(folder):
    (folder / "genes" / knowledge.ANNOTATION).unlink()
    with pytest.raises(DataError, match="apt-get download r-bioc-org.hs.eg.db") as caught:
        data.gene_annotation(["TP53"], folder)
    assert f"cp usr/lib/R/site-library/org.Hs.eg.db/extdata/org.Hs.eg.sqlite {folder}/genes" in str(
        caught.value
    )


def test_other_files_are_refused(folder):
    place = folder / "genes" / knowledge.ANNOTATION
    db = sqlite3.connect(place)
    db.execute("drop table omim")
    db.commit()
    db.close()
    with pytest.raises(DataError, match="has no table 'omim': it is not that of org.Hs.eg.db 3.16"):
        data.gene_annotation(["TP53"], folder)
    place.write_bytes(b"no data base" * 100)
    with pytest.raises(DataError, match="is no SQLite data base"):
        data.gene_annotation(["TP53"], folder)
    (folder / "genes" / knowledge.PATHWAYS.name).write_text("<html>")
    with pytest.raises(DataError, match="does not hold pathintegrate/data/Reactome"):
        data.reactome(["TP53"], folder)


def test_gmt_files(tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_text("REPAIR\thttp://x\tTP53\tATM\n\nGROWTH\t\tKRAS\n")
    assert data.read_gmt(path) == {"REPAIR": ("TP53", "ATM"), "GROWTH": ("KRAS",)}


def test_gmt_files_of_other_programs(tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_bytes("\ufeffREPAIR\tof\x85DNA\tTP53 \tATM\r\n\r\nGROWTH\t\tKRAS\r\n".encode())
    assert data.read_gmt(path) == {"REPAIR": ("TP53", "ATM"), "GROWTH": ("KRAS",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A\tx\tTP53\nA\ty\tATM\n", "two sets of the name 'A'"),
        ("A\tx\n", "separated by tabs; 'A' has no members"),
        ("A,x,TP53\n", "separated by tabs; 'A,x,TP53' has no members"),
        ("\n", "it has no line"),
    ],
)
def test_gmt_files_that_cannot_be_used(tmp_path, text, message):
    path = tmp_path / "sets.gmt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        data.read_gmt(path)
    with pytest.raises(DataError, match="cannot be read as text"):
        data.read_gmt(tmp_path / "missing.gmt")
