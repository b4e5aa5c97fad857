import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rightreasons.core import _sparse_rows
from rightreasons.core._errors import DataError, InputError
from rightreasons.core._sparse_rows import SparseRows
from rightreasons.data import Column, DataSet, Preprocessing, sum_groups

NAN = math.nan
COLUMNS = (Column("age", "years"), Column("drink", "usual", levels=("beer", "wine", "none")), Column("flat"))
X = torch.tensor([[20.0, 0, 5], [50.0, 2, 5], [NAN, NAN, 5], [80.0, 2, 5]])


def table(x=X, columns=COLUMNS):
    return DataSet("d", x, torch.zeros(len(x)), columns=columns)


def test_features_by_hand():
    fitted = Preprocessing.fit(table(), indicators=True, standardise="none")
    out = fitted(table())
    assert out.feature_names == (
        "age", "age is missing", "drink=beer", "drink=wine", "drink=none", "drink is missing", "flat",
    )  # fmt: skip
    assert out.x.tolist() == [
        [20, 0, 1, 0, 0, 0, 5],
        [50, 0, 0, 0, 1, 0, 5],
        [50, 1, 0, 0, 0, 1, 5],
        [80, 0, 0, 0, 1, 0, 5],
    ]
    assert out.groups == {"age": (0, 1), "drink": (2, 3, 4, 5), "flat": (6,)}
    assert out.x.dtype == torch.float32


@pytest.mark.parametrize(("impute", "fill"), [("mean", 44.0), ("median", 35.0)])
def test_the_fill_is_that_of_the_values_that_are_there(impute, fill):
    x = torch.tensor([[20.0], [90.0], [NAN], [30.0], [40.0], [40.0]])[:, [0]]
    x[4] = NAN
    x = torch.cat([x, torch.tensor([[NAN]])])
    present = [20.0, 90.0, 30.0, 40.0]
    expected = {"mean": sum(present) / 4, "median": (30.0 + 40.0) / 2}[impute]
    fitted = Preprocessing.fit(table(x, COLUMNS[:1]), impute=impute)
    assert fitted.columns[0].fill == expected


def test_features_are_standardised_with_the_training_moments():
    x = torch.randn(50, 3) * 7 + 3
    columns = tuple(Column(name) for name in "abc")
    out = Preprocessing.fit(table(x, columns))(table(x, columns)).x.double()
    # float32 outputs: 1e-6
    assert torch.allclose(out.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(out.std(0, correction=0), torch.ones(3, dtype=torch.float64), atol=1e-6)


@pytest.mark.peer
def test_standardisation_equals_scikit_learn():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    train, test = torch.randn(40, 4) * 3 + 1, torch.randn(20, 4)
    columns = tuple(Column(name) for name in "abcd")
    ours = Preprocessing.fit(table(train, columns))(table(test, columns)).x
    theirs = preprocessing.StandardScaler().fit(train.double()).transform(test.double())
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)  # ours are float32


def test_a_feature_constant_in_training_has_scale_one():
    fitted = Preprocessing.fit(table())
    assert fitted.columns[2].scale == (1.0,)
    assert fitted(table()).x[:, -1].tolist() == [0.0] * 4
    assert fitted(table(X + torch.tensor([0.0, 0, 2]))).x[:, -1].tolist() == [2.0] * 4


def test_numbers_alone_can_be_standardised():
    out = Preprocessing.fit(table(), standardise="numbers")(table())
    assert out.x[:, 1:4].unique().tolist() == [0.0, 1.0]
    assert abs(float(out.x[:, 0].mean())) < 1e-6


def test_no_missing_value_is_left():
    assert not Preprocessing.fit(table())(table()).x.isnan().any()


def test_indicators_can_be_asked_for_by_name():
    fitted = Preprocessing.fit(table(), indicators=("flat",))
    assert [column.name for column in fitted.columns if column.indicator] == ["flat"]
    with pytest.raises(DataError, match="no column 'flatt'.*Did you mean 'flat'"):
        Preprocessing.fit(table(), indicators=("flatt",))


@given(st.integers(0, 2**16), st.floats(-1e6, 1e6))
def test_validation_and_test_rows_never_change_what_is_fitted(seed, value):
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(seed))
    x[:, 1] = torch.arange(12) % 3
    train = torch.arange(0, 12, 2)
    changed = x.clone()
    changed[1::2, ::2] = value
    changed[1::2, 1] = NAN
    options = {"impute": "median", "indicators": True}
    before = Preprocessing.fit(table(x).rows(train), **options)
    after = Preprocessing.fit(table(changed).rows(train), **options)
    assert before == after
    assert before(table(x)).feature_names == before(table(changed)).feature_names


@given(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=2, max_size=8))
def test_json_keeps_every_number_exactly(values):
    data = table(torch.tensor(values)[:, None], (Column("v"),))
    fitted = Preprocessing.fit(data)
    again = Preprocessing.from_json(fitted.to_json())
    assert again == fitted
    assert torch.equal(again(data).x, fitted(data).x)


def test_columns_are_matched_by_name_whatever_their_order():
    fitted = Preprocessing.fit(table(), indicators=True)
    order = [2, 0, 1]
    shuffled = table(X[:, order], tuple(COLUMNS[i] for i in order))
    more = table(torch.cat([X, X[:, :1]], 1), (*COLUMNS, Column("new")))
    for other in (shuffled, more):
        assert torch.equal(fitted(other).x, fitted(table()).x)
        assert fitted(other).columns == fitted(table()).columns


def test_categories_are_matched_by_name_and_unknown_ones_are_refused_or_all_zero():
    fitted = Preprocessing.fit(table(), standardise="none")
    levels = ("cider", "none", "beer")
    x = torch.tensor([[20.0, 0, 5], [20.0, 1, 5], [20.0, 2, 5], [20.0, NAN, 5]])
    new = table(x, (COLUMNS[0], Column("drink", levels=levels), COLUMNS[2]))
    with pytest.raises(
        DataError, match=r"'drink' is 'cider' in row 1 \(1 of 4 rows\), a category the model has never"
    ):
        fitted(new)
    with pytest.raises(InputError, match="unseen cannot be 'zeros'. Did you mean 'zero'"):
        fitted(new, unseen="zeros")
    assert fitted(new.rows(torch.tensor([1, 2, 3]))).x.shape == (3, 5)  # declared, but in none of these rows
    out = fitted(new, unseen="zero")
    assert out.x[:, 1:4].tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_labels_ids_and_classes_are_kept():
    data = replace(table(), ids=("p", "q", "r", "s"), y=torch.tensor([0, 1, 0, 1]), classes=("no", "yes"))
    out = Preprocessing.fit(data)(data)
    assert (out.ids, out.classes) == (data.ids, data.classes)
    assert torch.equal(out.y, data.y)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"impute": "meen"}, "impute cannot be 'meen'. Did you mean 'mean'"),
        ({"standardise": "number"}, "standardise cannot be 'number'. Did you mean 'numbers'"),
    ],
)
def test_options_are_checked(options, match):
    with pytest.raises(InputError, match=match):
        Preprocessing.fit(table(), **options)


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (X[:0], "at least one training row"),
        (X * torch.tensor([math.inf, 1, 1]), "'age' holds infinite values"),
        (
            torch.where(torch.tensor([True, False, False]), NAN, X),
            "'age' has no value in the 4 training rows",
        ),
        (X + torch.tensor([0, 1, 0]), r"'drink' must hold positions among its 3 levels or NaN, got 3.0"),
        (X + torch.tensor([0, 0.5, 0]), r"'drink' must hold positions .* got 0.5"),
    ],
)
def test_values_that_cannot_be_learned_from_are_refused(x, match):
    with pytest.raises(DataError, match=match):
        Preprocessing.fit(table(x))


def test_tables_other_than_that_of_training_are_refused():
    fitted = Preprocessing.fit(table())
    with pytest.raises(DataError, match="no column 'flat', which is needed"):
        fitted(table(X[:, :2], COLUMNS[:2]))
    with pytest.raises(DataError, match="'drink' held categories in training and holds numbers now"):
        fitted(table(X, (COLUMNS[0], Column("drink"), COLUMNS[2])))
    with pytest.raises(DataError, match="is for tables, and 'images' has no columns"):
        fitted(DataSet("images", torch.zeros(2, 1, 3, 3), torch.zeros(2)))


def broken(change):
    content = json.loads(Preprocessing.fit(table()).to_json())
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("not json", "not a saved preprocessing"),
        ("[]", "not a saved preprocessing"),
        ("{}", "not a saved preprocessing: 'version'"),
        (broken(lambda c: c.update(version=99)), "must be of version 1, got 99"),
        (broken(lambda c: c["columns"][0].pop("fill")), "not a saved preprocessing: .*fill"),
        ("[" * 100_000, "not a saved preprocessing: maximum recursion depth"),
        (
            broken(lambda c: c["columns"][0].update(centre=["x"])),
            "not a saved preprocessing: could not convert",
        ),
        (broken(lambda c: c["columns"][0].update(scale=[0.0])), "must be finite, and no scale 0"),
        (broken(lambda c: c["columns"][0].update(fill=float("nan"))), "must be finite, and no scale 0"),
        (broken(lambda c: c["columns"][0]["centre"].append(1.0)), "one centre and one scale per feature"),
    ],
)
def test_text_that_is_no_preprocessing_is_refused(text, match):
    with pytest.raises(DataError, match=match):
        Preprocessing.from_json(text)


def test_what_is_not_scaled_must_fit_into_single_precision():
    seconds = table(torch.arange(8)[:, None].double() + 1_700_000_000, (Column("time"),))
    with pytest.raises(
        DataError, match="'time' holds whole numbers such as 1700000000, which single precision"
    ):
        Preprocessing.fit(seconds, standardise="none")
    assert len(Preprocessing.fit(seconds, standardise="numbers")(seconds).x.unique()) == 8
    huge = table(torch.tensor([[1.0], [1e200]], dtype=torch.float64), (Column("a"),))
    with pytest.raises(
        DataError, match="'a' holds numbers as large as 1e.200, whose spread is beyond double"
    ):
        Preprocessing.fit(huge)
    fitted = Preprocessing.fit(table(torch.tensor([[1.0], [2.0]]), (Column("a"),)))
    with pytest.raises(DataError, match="'a' in row 2 is too large for the model"):
        fitted(huge)


def test_many_columns_take_linear_time():
    p = 30_000  # quadratic bookkeeping took minutes
    columns = tuple(Column(f"g{i}") for i in range(p))
    started = time.process_time()
    data = DataSet("d", torch.randn(6, p), torch.arange(6) % 2, columns=columns, classes=("a", "b"))
    fitted = Preprocessing.fit(data.rows(torch.arange(4)))
    seen = Preprocessing.from_json(fitted.to_json())(data)
    assert sum_groups(seen.x, seen.groups)[0] == data.feature_names
    assert time.process_time() - started < 10


def test_blocks_of_columns_change_nothing(monkeypatch):
    x = torch.randn(7, 11, dtype=torch.float64)
    x[2, ::3] = NAN
    x[:, 4] = torch.arange(7) % 3
    columns = tuple(Column(f"c{i}", levels=("a", "b", "c") if i == 4 else ()) for i in range(11))
    options = {"impute": "median", "indicators": True}
    whole = Preprocessing.fit(table(x, columns), **options)
    expected = whole(table(x, columns)).x
    monkeypatch.setattr(_sparse_rows, "AT_ONCE", 21)  # three columns at a time
    assert Preprocessing.fit(table(x, columns), **options) == whole
    assert torch.equal(whole(table(x, columns)).x, expected)


def test_a_text_is_no_list_of_indicators():
    with pytest.raises(
        InputError, match=r"indicators is a list of names; got the text 'flat'. Say \['flat'\]"
    ):
        Preprocessing.fit(table(), indicators="flat")


def sparse(x):
    """The table with what is not 0 stored."""
    rows, places = x.ne(0).nonzero(as_tuple=True)
    return SparseRows.of(rows, places.int(), x[rows, places], torch.zeros(x.shape[1], dtype=x.dtype), len(x))


def counts(rows=40, columns=9):
    x = torch.randint(1, 9, (rows, columns)).double() * (torch.rand(rows, columns) < 0.3)
    x[:, 3] = 0.0
    x[::7, 5] = NAN
    x[:, 6] = torch.arange(1.0, rows + 1)  # stored in every row
    return x


@pytest.mark.parametrize("indicators", [False, True])
@pytest.mark.parametrize("impute", ["mean", "median"])
@pytest.mark.parametrize("standardise", ["all", "none"])
def test_a_sparse_table_gets_the_same_numbers(monkeypatch, indicators, impute, standardise):
    monkeypatch.setattr(_sparse_rows, "AT_ONCE", 120)  # three columns at a time
    x, columns = counts(), tuple(Column(f"g{i}") for i in range(9))
    options = {"indicators": indicators, "impute": impute, "standardise": standardise}
    half = torch.randperm(40)[:20]
    fitted = Preprocessing.fit(table(x, columns).rows(half), **options)
    assert Preprocessing.fit(table(sparse(x), columns).rows(half), **options) == fitted
    order = [8, 0, 1, 2, 3, 4, 5, 6, 7]  # columns of new data, one of them unknown
    new = (*(columns[i] for i in order), Column("new"))
    wide = torch.cat([x[:, order], torch.ones(40, 1)], 1)
    found = fitted(table(sparse(wide), new))
    assert isinstance(found.x, SparseRows)
    assert len(found.x.entries) < found.x.numel()
    assert found.feature_names == fitted(table(x, columns)).feature_names
    assert torch.equal(found.x.to_dense(), fitted(table(x, columns)).x)


def test_a_sparse_table_is_refused_alike():
    columns = tuple(Column(f"g{i}") for i in range(9))
    x = counts()
    fitted = Preprocessing.fit(table(x, columns))
    x[11, 2] = math.inf
    for each in (x, sparse(x)):
        with pytest.raises(DataError, match="Column 'g2' holds infinite values"):
            fitted(table(each, columns))
        with pytest.raises(DataError, match="Column 'g2' holds infinite values"):
            Preprocessing.fit(table(each, columns))
    x[11, 2] = 1e300
    for each in (x, sparse(x)):
        with pytest.raises(DataError, match="Column 'g2' in row 12 is too large for the model"):
            fitted(table(each, columns))
