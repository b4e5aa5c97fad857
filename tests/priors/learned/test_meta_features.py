"""Meta-features: matched by name, standardised, filled, refused where they cannot be used."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from rightreasons import InputError, ShapeError
from rightreasons.priors import MetaFeatures, feature_graph

GENES = ["TP53", "KRAS", "MYC", "EGFR"]
FRAME = pd.DataFrame(
    {"length": [40.0, 10.0, 30.0, 20.0], "type": ["b", "a", None, "a"], "hub": [True, False, False, True]},
    index=["EGFR", "TP53", "MYC", "KRAS"],
)


def column(meta: MetaFeatures, name: str) -> list[float]:
    return meta.values[:, meta.names.index(name)].tolist()


def test_rows_are_matched_by_name_whatever_the_order():
    meta = MetaFeatures.from_table(FRAME, GENES)
    shuffled = MetaFeatures.from_table(FRAME.sample(frac=1, random_state=1), GENES)
    assert torch.equal(meta.values, shuffled.values)
    lengths = [10.0, 20.0, 30.0, 40.0]
    expected = [(v - 25) / np.std(lengths) for v in lengths]
    assert column(meta, "length") == pytest.approx(expected, rel=1e-6)
    assert column(meta, "type=a") == [1, 1, 0, 0]
    assert column(meta, "type=b") == [0, 0, 0, 1]
    assert column(meta, "type is missing") == [0, 0, 1, 0]
    assert meta.sources == ("length", "type", "hub", "type is missing")


def test_frames_and_mappings_agree():
    again = MetaFeatures.from_table(FRAME.to_dict("list"), GENES, names=list(FRAME.index))
    assert again.digest == MetaFeatures.from_table(FRAME, GENES).digest


def test_missing_numbers_become_the_mean_and_are_marked_once_for_each_pattern():
    table = {"a": [1.0, math.nan, 3.0, 8.0], "b": [5, None, 1, 2], "c": [pd.NA, 2, 4, 7]}
    meta = MetaFeatures.from_table(table, GENES, names=GENES)
    assert meta.names == ("a", "b", "c", "a and 1 more are missing", "c is missing")
    assert column(meta, "a")[1] == column(meta, "b")[1] == column(meta, "c")[0] == 0
    assert column(meta, "a and 1 more are missing") == [0, 1, 0, 0]
    there = meta.values[:, 0][[0, 2, 3]]
    assert float(there.mean()) == pytest.approx(0, abs=1e-6)
    assert float(there.std(correction=0)) == pytest.approx(1, rel=1e-6)
    assert (meta.columns[0].centre, meta.columns[0].scale) == (4.0, pytest.approx(np.std([1, 3, 8])))


def test_empty_text_is_missing_and_texts_of_numbers_can_be_categories():
    meta = MetaFeatures.from_table(
        {"place": ["x", "", "y", "x"], "chromosome": ["1", "X", "2", "1"]},
        GENES,
        names=GENES,
        categorical=["chromosome"],
    )
    assert meta.names[:5] == ("place=x", "place=y", "chromosome=1", "chromosome=2", "chromosome=X")
    assert column(meta, "place is missing") == [0, 1, 0, 0]


def test_codes_can_be_categories():
    meta = MetaFeatures.from_table(
        {"chromosome": [1, 2.0, 2, 1]}, GENES, names=GENES, categorical=["chromosome"]
    )
    assert meta.names == ("chromosome=1", "chromosome=2")


def test_a_table_of_the_whole_genome_is_cut_to_the_features_on_request():
    with pytest.raises(InputError, match="2 of 4 rows match no feature .'EGFR', 'MYC'.*unmatched='ignore'"):
        MetaFeatures.from_table(FRAME, ["TP53", "KRAS"])
    meta = MetaFeatures.from_table(FRAME[["length"]], ["TP53", "KRAS"], unmatched="ignore")
    assert column(meta, "length") == [-1, 1]  # standardised over the two


def test_features_without_a_row_are_refused_or_imputed():
    genes = [*GENES, "TP54"]
    with pytest.raises(
        InputError, match="1 of 5 features have no row .'TP54'; did 'TP54' mean 'TP53'.*absent='impute'"
    ):
        MetaFeatures.from_table(FRAME, genes)
    meta = MetaFeatures.from_table(FRAME[["length", "hub"]], genes, absent="impute")
    assert column(meta, "length")[4] == column(meta, "hub")[4] == 0
    assert column(meta, "length and 1 more are missing") == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": [1, 1, 1, 1]}, "'a' is 1 for all of the 4 features that have it"),
        ({"a": [1, math.nan, 1, 1]}, "'a' is 1 for all of the 3 features"),
        ({"a": ["x", "x", "x", "x"]}, "'a=x' is 1 for all of the 4 features"),
        ({"a": [math.nan] * 4}, "'a' has no value for any of the 4 features"),
        ({"a": [1, 2, math.inf, 3]}, "'a' holds infinite values"),
        ({"a": [1e300, 2, 1e308, 3]}, "'a' holds infinite values, or such large ones"),
        (
            {"a": ["1.5", "2", "n.d.", "7"]},
            "'a' holds numbers written as text, such as '1.5', next to 'n.d.'. Convert",
        ),
        ({"a": ["1", "2", "X", "2"]}, r"If they stand for categories, say categorical=\['a'\]"),
        ({"a": ["", "  ", None, math.nan]}, "'a' has no value for any of the 4 features"),
        ({}, "needs at least one column, a meta-feature; got none but names"),
        ({"a": [1, "x", 2, 3]}, "'a' holds neither numbers only nor text only, such as 1"),
    ],
)
def test_columns_that_cannot_be_used(table, message):
    with pytest.raises(InputError, match=message):
        MetaFeatures.from_table(table, GENES, names=GENES)


def test_texts_of_which_there_are_too_many():
    names = [f"g{i}" for i in range(60)]
    with pytest.raises(InputError, match="60 different texts, such as 'g0': names, not categories"):
        MetaFeatures.from_table({"a": names}, names, names=names)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"table": {"a": [1, 2, 3, 4]}},
            InputError,
            "matched to features by name, never by order: pass names",
        ),
        ({"table": [[1, 2]]}, InputError, "a table is a pandas frame or a mapping.*got list"),
        (
            {"names": [*GENES[:3], "MYC"]},
            InputError,
            "rows of the table must have different names; 1 occur.*'MYC'",
        ),
        (
            {"features": ["a", "b", "a"]},
            InputError,
            "features must have different names; 1 occur more than once .'a'",
        ),
        ({"features": []}, InputError, "features must hold at least one name"),
        ({"features": "TP53"}, InputError, "features must be a sequence of names; got str"),
        ({"names": ["1", "2", "3", "4"]}, InputError, "no row of the table is about a feature.*rows like"),
        ({"names": GENES[:3]}, ShapeError, "'a' must have one value for each of the 3 rows; got shape .4,."),
        ({"categorical": ["b"]}, InputError, "categorical names no column .'b'.*Columns: .'a'."),
        (
            {"categorical": "a"},
            InputError,
            r"categorical is a list of names; got the text 'a'. Say \['a'\]",
        ),
        ({"names": ["tp53", "KRAS", "MYC", "EGFR"]}, InputError, "did 'tp53' mean 'TP53'"),
        ({"names": ["TP53 ", "KRAS", "MYC", "EGFR"]}, InputError, "did 'TP53 ' mean 'TP53'"),
        (
            {"table": pd.DataFrame({"gene": GENES, "a": [1, 2, 3, 4]}), "names": None},
            InputError,
            r"rows like \['0', '1', '2'\]. Column 'gene' has them: table.set_index\('gene'\)",
        ),
        ({"unmatched": "drop"}, InputError, "unmatched must be one of .*got 'drop'"),
        ({"absent": "drop"}, InputError, "absent must be one of .*got 'drop'"),
    ],
)
def test_tables_that_cannot_be_used(arguments, error, message):
    given = {"table": {"a": [1, 2, 3, 4]}, "features": GENES}
    if "table" not in arguments:
        given["names"] = GENES
    with pytest.raises(error, match=message):
        MetaFeatures.from_table(**{**given, **arguments})


def test_two_columns_of_one_name():
    frame = pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"], index=["x", "y"])
    with pytest.raises(InputError, match="columns of the table must have different names"):
        MetaFeatures.from_table(frame, ["x", "y"])


def test_values_given_by_hand_are_checked():
    good = MetaFeatures.from_table(FRAME[["length"]], GENES)
    with pytest.raises(ShapeError, match=r"values must be .features, columns., .4, 1.; got .3, 1."):
        MetaFeatures(good.features, good.columns, good.values[:3])
    with pytest.raises(InputError, match="must be finite"):
        MetaFeatures(good.features, good.columns, good.values * torch.nan)
    with pytest.raises(InputError, match="at least one feature and one column"):
        MetaFeatures(good.features, (), good.values[:, :0])


def test_sets_are_memberships():
    sets = {"repair": {"TP53", "ATM"}, "growth": ["KRAS", "EGFR", "MYC"], "all": GENES, "none": ["ATM"]}
    meta = MetaFeatures.from_sets(sets, GENES)
    assert meta.names == ("repair", "growth")
    assert meta.values.T.tolist() == [[1, 0, 0, 0], [0, 1, 1, 1]]
    assert MetaFeatures.from_sets(sets, GENES, smallest=2).names == ("growth",)
    assert MetaFeatures.from_sets(sets, GENES, largest=2).names == ("repair",)
    with pytest.raises(InputError, match="none of 1 sets has between 1 and 3 members.*members like .'7157'"):
        MetaFeatures.from_sets({"repair": ["7157"]}, GENES)


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([["TP53", "MYC"]], "sets are a mapping from name to members, .*; got list"),
        ({"repair": "TP53"}, "sets are a mapping from name to members, .*; got text as members of 'repair'"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_sets_that_cannot_be_used(sets, message):
    with pytest.raises(InputError, match=message):
        MetaFeatures.from_sets(sets, GENES)


def test_a_graph_as_meta_features():
    weights = torch.zeros(5, 5)
    for i, j, w in ((0, 1, 2.0), (0, 2, 1.0), (1, 2, 1.0), (2, 3, 4.0)):
        weights[i, j] = weights[j, i] = w
    weights[0, 0] = 9.0  # self loops are no neighbours
    meta = MetaFeatures.from_graph(feature_graph(weights), list("abcde"))
    assert meta.names == ("degree", "degree of neighbours", "strength", "degree of neighbours is missing")
    degree = np.log1p([2, 2, 3, 1, 0])
    assert column(meta, "degree") == pytest.approx((degree - degree.mean()) / degree.std(), rel=1e-5)
    strength = np.log1p([3, 3, 6, 4, 0])
    assert column(meta, "strength") == pytest.approx((strength - strength.mean()) / strength.std(), rel=1e-5)
    near = [np.log1p([2, 3]).mean(), np.log1p([2, 3]).mean(), np.log1p([2, 2, 1]).mean(), np.log1p(3)]
    assert column(meta, "degree of neighbours")[:4] == pytest.approx(
        (near - np.mean(near)) / np.std(near), rel=1e-5
    )
    assert column(meta, "degree of neighbours is missing") == [0, 0, 0, 0, 1]  # e is isolated


def test_graphs_in_other_forms():
    path = {"a": ["b"], "b": ["a", "c"], "c": ["b"]}
    adjacency = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    expected = MetaFeatures.from_graph(feature_graph(adjacency), list("abc")).values
    assert torch.equal(MetaFeatures.from_graph(adjacency, list("abc")).values, expected)
    networkx = pytest.importorskip("networkx")
    found = MetaFeatures.from_graph(networkx.Graph(path), ["c", "b", "a"])  # matched by name
    torch.testing.assert_close(found.aligned(list("abc")).values, expected)


def test_graphs_that_cannot_be_used():
    ring = torch.tensor([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    with pytest.raises(InputError, match="all features are alike in this graph"):
        MetaFeatures.from_graph(feature_graph(ring), list("abc"))
    with pytest.raises(ShapeError, match="3 nodes, 2 names"):
        MetaFeatures.from_graph(feature_graph(ring), list("ab"))
    with pytest.raises(InputError, match="adjacency must be non-negative"):
        MetaFeatures.from_graph(feature_graph(-ring), list("abc"))


def test_joined_parts_are_matched_by_name():
    table = MetaFeatures.from_table(FRAME[["length"]], GENES)
    sets = MetaFeatures.from_sets({"repair": ["TP53"]}, GENES[::-1])
    joined = MetaFeatures.join(table, sets)
    assert joined.features == tuple(GENES)
    assert column(joined, "repair") == [1, 0, 0, 0]
    with pytest.raises(InputError, match="columns must have different names; 1 occur"):
        MetaFeatures.join(table, table)
    with pytest.raises(InputError, match="join needs at least one part"):
        MetaFeatures.join()


def test_alignment_is_about_the_same_features():
    meta = MetaFeatures.from_table(FRAME[["length"]], GENES)
    turned = meta.aligned(GENES[::-1])
    assert turned.features == tuple(GENES[::-1])
    assert torch.equal(turned.values, meta.values.flip(0))
    few = meta.aligned(["MYC", "TP53"], unmatched="ignore")
    assert few.values.tolist() == [meta.values[2].tolist(), meta.values[0].tolist()]
    with pytest.raises(InputError, match="unmatched must be one of .*got 'drop'"):
        meta.aligned(GENES, unmatched="drop")
    with pytest.raises(InputError, match="1 features have none .'ATM'., 1 meta-features belong"):
        meta.aligned([*GENES[:3], "ATM"], unmatched="ignore")
    with pytest.raises(InputError, match="0 features have none, 2 meta-features belong to no feature"):
        meta.aligned(GENES[:2])
    with pytest.raises(
        InputError, match="1 features have none .'ATM'., 1 meta-features belong to no feature .'EGFR'"
    ):
        meta.aligned([*GENES[:3], "ATM"])


def test_controls_keep_what_they_should():
    names = [f"g{i}" for i in range(200)]
    meta = MetaFeatures.from_table({"a": np.arange(200.0), "b": np.arange(200.0) ** 2}, names, names=names)
    permuted = meta.permuted(torch.Generator().manual_seed(0))
    assert permuted.names == meta.names
    assert not torch.equal(permuted.values, meta.values)
    assert torch.equal(permuted.values.sort(0).values, meta.values.sort(0).values)
    rows = {tuple(row) for row in meta.values.tolist()}
    assert {tuple(row) for row in permuted.values.tolist()} == rows  # whole rows move
    other = meta.permuted(torch.Generator().manual_seed(1))
    assert not torch.equal(permuted.values, other.values)
    drawn = meta.random(torch.Generator().manual_seed(0))
    torch.set_default_dtype(torch.float64)
    again = meta.random(torch.Generator().manual_seed(0))
    torch.set_default_dtype(torch.float32)
    assert torch.equal(again.values, drawn.values)
    assert drawn.values.shape == meta.values.shape
    assert drawn.names == ("random 1", "random 2")
    assert abs(float(drawn.values.mean())) < 0.2
    assert abs(float(drawn.values.std()) - 1) < 0.2


def test_digest_tells_values_and_names_apart():
    meta = MetaFeatures.from_table(FRAME[["length"]], GENES)
    renamed = MetaFeatures(tuple("abcd"), meta.columns, meta.values)
    moved = MetaFeatures(meta.features, meta.columns, meta.values + 1)
    assert len({meta.digest, renamed.digest, moved.digest}) == 3
    assert repr(meta) == f"MetaFeatures(4 features x 1, {meta.digest})"
