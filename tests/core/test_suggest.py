"""Did you mean."""

from functools import partial
from pathlib import Path

import pytest
import torch

import rightreasons as rr
from rightreasons.core._errors import InputError
from rightreasons.core._suggest import did_you_mean, names_in, repeats


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("mnits", ["digits", "mnist"], "Did you mean 'mnist'? Known: 'digits', 'mnist'."),
        ("zzz", ["mnist", "digits"], "Known: 'digits', 'mnist'."),
        ("a", [], "Known: none."),
    ],
)
def test_the_closest_name_and_all_of_them(name: str, known: list[str], said: str) -> None:
    assert did_you_mean(name, known) == said


def test_repeated_names_are_found_in_one_pass() -> None:
    assert repeats(["b", "a", "b", "c", "a", "b"]) == ["b", "a"]
    assert repeats(str(i) for i in range(100_000)) == []


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("text", r"drop is a list of names; got the text 'text'. Say \['text'\]"),
        (b"ab", "drop is a list of names; got the text b'ab'"),
        (3, "drop is a list of names; got 3"),
        (["a", 3], "which are texts; got 3. Say '3'"),
    ],
)
def test_what_is_no_list_of_names_is_refused(given: object, match: str) -> None:
    with pytest.raises(InputError, match=match):
        names_in("drop", given)


def test_a_text_is_nowhere_read_letter_by_letter(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,y\n1,2,0\n2,3,1\n")
    (tmp_path / "w.safetensors").touch()
    words = rr.data.DataSet("d", torch.ones(1, 2).long(), torch.zeros(1), vocabulary=("", "a", "b"))
    model = rr.models.MLP(2, (2,))
    calls = {
        name: partial(rr.data.read, tmp_path / "t.csv", target="y", **{name: "ab"})
        for name in ("drop", "categorical", "missing", "classes")
    }
    calls |= {
        "skip": lambda: rr.models.load_weights(model, tmp_path / "w.safetensors", "ab"),
        "names": lambda: rr.models.freeze(model, "ab"),
        "words": lambda: rr.data.bag_of_words(words, "ab"),
        "symbols": lambda: rr.data.gene_annotation("ab"),
        "features": lambda: rr.plot.summary(torch.zeros(2, 2), "ab"),
    }
    for name, call in calls.items():
        with pytest.raises(
            InputError,
            match=rf"{name} (is a list of names; got the text|must be a sequence of strings; got) 'ab'",
        ):
            call()
