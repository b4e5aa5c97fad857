import sys

import numpy as np
import pytest
import torch

from rightreasons import data
from rightreasons.core._errors import DataError, MissingExtraError
from rightreasons.data.named._nhefs import DROPPED, USED, read_nhefs

pandas = pytest.importorskip("pandas")
causaldata = pytest.importorskip("causaldata")


@pytest.fixture(scope="module")
def nhefs():
    return data.load("nhefs")


@pytest.fixture(scope="module")
def raw():
    from pathlib import Path

    return pandas.read_stata(Path(causaldata.__file__).parent / "nhefs" / "nhefs.dta")


def column(nhefs, name):
    return nhefs.x[:, nhefs.feature_names.index(name)].numpy()


def test_size_label_and_ids(nhefs, raw):
    assert nhefs.x.shape == (1629, 45)
    assert int(nhefs.y.sum()) == 318
    assert nhefs.classes == ("alive", "death")
    assert nhefs.ids == tuple(str(int(number)) for number in raw["seqn"])
    assert np.array_equal(nhefs.y.numpy(), raw["death"])


def test_every_column_of_the_file_is_used_or_dropped_for_a_stated_reason(raw):
    used = {each.name for each in USED}
    assert used | set(DROPPED) == set(raw.columns)
    assert not used & set(DROPPED)
    assert (len(used), len(DROPPED)) == (45, 22)


def test_nothing_after_the_baseline_is_used(nhefs):
    book = pytest.importorskip("causaldata.nhefs_codebook").load_pandas().data
    meaning = dict(zip(book["variable"].str.strip(), book["description"], strict=True))
    after = ("1982", "DEATH", "WEIGHT CHANGE")
    for name in nhefs.feature_names:
        said = meaning.get(name) or meaning["bithcontrol"]  # the code book misspells birthcontrol
        assert not any(word in said.upper() for word in after), (name, said)


def test_dropped_copies_are_functions_of_what_is_used(raw):
    assert (raw.groupby("school", observed=True)["education"].nunique() == 1).all()
    assert ((raw["age"] > 50) == (raw["older"] == 1)).all()
    assert ((raw["alcoholfreq"] == 4) == (raw["alcoholpy"] == 0)).all()


def test_numbers_are_those_of_the_file(nhefs, raw):
    for name in ("age", "sex", "wt71", "smokeyrs", "cholesterol", "exercise"):
        np.testing.assert_allclose(column(nhefs, name), raw[name].astype(float), rtol=1e-6)  # float32


def test_codes_for_missing_are_missing(nhefs, raw):
    for name, code in (("hbp", 2), ("diabetes", 2), ("pica", 2), ("alcoholfreq", 5), ("marital", 8)):
        assert np.array_equal(np.isnan(column(nhefs, name)), raw[name] == code), name


def test_what_a_question_not_asked_means(nhefs, raw):
    men = (raw["sex"].astype(int) == 0).to_numpy()
    assert (column(nhefs, "pregnancies")[men] == 0).all()
    assert (column(nhefs, "birthcontrol")[men] == 0).all()
    assert int(np.isnan(column(nhefs, "pregnancies")).sum()) == 104
    assert (column(nhefs, "alcoholhowmuch")[raw["alcoholfreq"] == 4] == 0).all()
    assert int(np.isnan(column(nhefs, "alcoholhowmuch")).sum()) == 417 - 207


def test_codes_without_order_are_categories(nhefs, raw):
    categories = {each.name: each.levels for each in nhefs.columns if each.levels}
    assert set(categories) == {"marital", "alcoholtype"}
    widowed = categories["marital"].index("widowed")
    assert np.array_equal(column(nhefs, "marital") == widowed, raw["marital"] == 3)


def test_it_is_never_called_the_survey_itself():
    assert "not the NHANES I survey itself" in data.describe("nhefs")


@pytest.mark.peer
def test_baseline_columns_predict_death():
    """A plain logistic regression reaches what the literature leads one to expect, so the labels are not shuffled."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    metrics = pytest.importorskip("sklearn.metrics")
    everything = data.load("nhefs")
    split = next(data.splits(everything, 1, train=800, validation=0, seed=0))
    fitted = data.Preprocessing.fit(everything.rows(split.train))
    train, test = (fitted(everything.rows(rows)) for rows in (split.train, split.test))
    model = linear_model.LogisticRegression(C=0.01).fit(train.x, train.y)
    assert metrics.roc_auc_score(test.y, model.predict_proba(test.x)[:, 1]) > 0.78


def test_another_file_is_refused(tmp_path):
    pandas.DataFrame({"age": [1.0], "sbp82": [2.0]}).to_stata(tmp_path / "nhefs.dta")
    with pytest.raises(DataError, match="must have the 67 columns .* new: .*'sbp82'"):
        read_nhefs(tmp_path / "nhefs.dta")
    (tmp_path / "nhefs.dta").write_bytes(b"not stata")
    with pytest.raises(DataError, match="cannot be read as a Stata file"):
        read_nhefs(tmp_path / "nhefs.dta")


def test_without_pandas_the_line_to_install_it_is_given(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rightreasons\[data\]'"):
        read_nhefs(tmp_path / "nhefs.dta")


def test_rows_are_missing_only_where_they_say_so(nhefs):
    assert torch.isfinite(nhefs.x[~nhefs.x.isnan()]).all()
