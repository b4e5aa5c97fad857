import numpy as np
import pytest
import torch

from rightreasons import data
from rightreasons.core._errors import DataError
from rightreasons.data.named._splice import RDA, read_splice

pandas = pytest.importorskip("pandas")
rdata = pytest.importorskip("rdata")

BITS = {"A": (1, 0, 0), "C": (0, 1, 0), "G": (0, 0, 1), "T": (0, 0, 0)}
SEQUENCES = ["ACGT" * 15, "TTTT" * 15, "ACGT" * 15, "GGCA" * 15]


def write(path, sequences=SEQUENCES, labels=("ei", "ie", "ei", "n"), bits=BITS):
    rows = np.array([[bit for letter in sequence for bit in bits[letter]] for sequence in sequences])
    frame = pandas.DataFrame(rows, columns=[f"V{i}" for i in range(1, 181)]).astype("category")
    frame["Class"] = pandas.Categorical(labels)
    frame.columns = frame.columns.astype(object)
    for name in frame.columns:
        frame[name] = frame[name].cat.rename_categories(lambda each: str(each))
    rdata.write_rda(path, {"DNA": frame})
    return path


def test_letters_are_channels_and_copies_one_cluster(tmp_path):
    found = data.DataSet("dna-splice", **read_splice(write(tmp_path / RDA)))
    assert found.x.shape == (4, 4, 60)
    assert torch.equal(found.x.sum(1), torch.ones(4, 60))
    letters = ["".join("ACGT"[base] for base in row) for row in found.x.argmax(1).tolist()]
    assert letters == SEQUENCES
    assert found.clusters == tuple(SEQUENCES)
    assert (found.y.tolist(), found.classes) == ([0, 1, 0, 2], ("ei", "ie", "n"))


def test_what_is_no_such_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="at most one of three set"):
        read_splice(write(tmp_path / RDA, bits={**BITS, "A": (1, 1, 0)}))
    (tmp_path / RDA).write_bytes(write(tmp_path / RDA).read_bytes()[:500])
    with pytest.raises(DataError, match="cannot be read as R data"):
        read_splice(tmp_path / RDA)
    (tmp_path / RDA).write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="is no R data"):
        read_splice(tmp_path / RDA)


def test_the_published_file_where_it_is():
    if not (data.data_folder() / "dna-splice" / RDA).is_file():
        pytest.skip("not in the data folder")
    found = data.load("dna-splice")
    assert torch.bincount(found.y).tolist() == [767, 765, 1654]
    assert len(set(found.clusters)) == 3001
    ei, ie = (found.x[found.y == label].mean(0) for label in (0, 1))
    assert float(ei[2, 30]) > 0.99  # an intron begins with GT
    assert float(ei[3, 31]) > 0.98
    assert float(ie[0, 28]) > 0.99  # and ends with AG
    assert float(ie[2, 29]) > 0.99
