import numpy as np
import pytest

from rightreasons import data
from rightreasons.core._errors import DataError
from rightreasons.data.named._survival_sets import (
    FLCHAIN_DROPPED,
    FLCHAIN_USED,
    SUPPORT2_DROPPED,
    SUPPORT2_USED,
    read_flchain,
    read_support2,
)

pandas = pytest.importorskip("pandas")

FLCHAIN = """@relation flchain
@attribute age numeric
@attribute sex {F,M}
@attribute sample.yr {1995,1996}
@attribute kappa numeric
@attribute lambda numeric
@attribute flc.grp {1,2}
@attribute creatinine numeric
@attribute mgus {no,yes}
@attribute futime numeric
@attribute death {alive,dead}
@attribute chapter {External Causes,Neoplasms}
@data
97,F,1997,5.7,4.86,10,1.7,no,85,dead,External Causes
92,M,2000,0.87,0.683,1,?,yes,1281,alive,?
"""


def support2(**changes):
    """Two patients; every column of the file, categories at their first level."""
    row = {column.name: column.levels[0] if column.levels else 1.5 for column in SUPPORT2_USED}
    rows = [
        row | dict.fromkeys(SUPPORT2_DROPPED, 2) | {"death": i, "d.time": 10 + i, "sno": 7 + i}
        for i in (0, 1)
    ]
    return pandas.DataFrame([rows[0], rows[1] | changes])


def test_support2_has_what_was_known_at_the_start(tmp_path):
    support2(age=np.nan, ca="metastatic", income=np.nan).to_csv(tmp_path / "s.csv", index=False)
    found = data.DataSet("support2", **read_support2(tmp_path / "s.csv"))
    assert found.x.shape == (2, 27)
    assert found.y.tolist() == [[10.0, 0.0], [11.0, 1.0]]
    assert (found.labels, found.ids) == (("time", "event"), ("7", "8"))
    second = dict(zip(found.feature_names, found.x[1].tolist(), strict=True))
    assert np.isnan([second["age"], second["income"]]).all()
    assert (second["ca"], second["temp"]) == (2.0, 1.5)


def test_flchain_has_what_was_known_at_the_start(tmp_path):
    (tmp_path / "f.arff").write_text(FLCHAIN)
    found = data.DataSet("flchain", **read_flchain(tmp_path / "f.arff"))
    assert found.feature_names == ("age", "sex", "sample.yr", "kappa", "lambda", "creatinine", "mgus")
    np.testing.assert_allclose(found.x[0], [97, 0, 1997, 5.7, 4.86, 1.7, 0], rtol=1e-6)  # float32
    np.testing.assert_allclose(found.x[1], [92, 1, 2000, 0.87, 0.683, np.nan, 1], rtol=1e-6)
    assert found.y.tolist() == [[85.0, 1.0], [1281.0, 0.0]]


@pytest.mark.parametrize(
    ("used", "dropped"), [(SUPPORT2_USED, SUPPORT2_DROPPED), (FLCHAIN_USED, FLCHAIN_DROPPED)]
)
def test_every_column_is_used_or_dropped_for_a_stated_reason(used, dropped):
    names = {column.name for column in used}
    assert not names & set(dropped)
    assert all(dropped.values())
    assert all(column.description for column in used)


def test_other_columns_or_categories_are_refused(tmp_path):
    support2().rename(columns={"age": "years"}).to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(DataError, match=r"48 columns that were judged. Missing: \['age'\], new: \['years'\]"):
        read_support2(tmp_path / "s.csv")
    support2(ca="maybe").to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(DataError, match="'ca' holds 'maybe', which is none of"):
        read_support2(tmp_path / "s.csv")
    (tmp_path / "f.arff").write_text("<html>not found</html>\n")
    with pytest.raises(DataError, match="cannot be read as ARFF: No columns to parse"):
        read_flchain(tmp_path / "f.arff")
    (tmp_path / "f.arff").write_text(FLCHAIN.replace("kappa", "k"))
    with pytest.raises(DataError, match=r"11 columns that were judged. Missing: \['kappa'\], new: \['k'\]"):
        read_flchain(tmp_path / "f.arff")
    (tmp_path / "s.csv").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read as CSV"):
        read_support2(tmp_path / "s.csv")
    (tmp_path / "f.arff").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read as ARFF"):
        read_flchain(tmp_path / "f.arff")


@pytest.mark.parametrize(
    ("name", "shape", "deaths"), [("support2", (9105, 27), 6201), ("flchain", (7874, 7), 2169)]
)
def test_the_published_file_where_it_is(name, shape, deaths):
    if not any((data.data_folder() / name).glob("*.*")):
        pytest.skip("not in the data folder")
    found = data.load(name)
    assert tuple(found.x.shape) == shape
    assert int(found.y[:, 1].sum()) == deaths
