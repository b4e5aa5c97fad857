import random
from math import inf

import pytest

from rightreasons import RecipeError
from rightreasons.recipes._yaml import LONGEST, dump, load

_NINE = "&b0 [x, x, x, x, x, x, x, x, x]"


def _unfolding(times: int) -> str:
    """Aliases that unfold to 9^(times + 1) words."""
    text = _NINE
    for i in range(1, times + 1):
        text = f"&b{i} [{text}" + f", *b{i - 1}" * 8 + "]"
    return text


HOSTILE = {
    "aliases that unfold": (_unfolding(8), r"line 1, column \d+: there are more than 100,000 values"),
    "aliases in keys": ("{a: " + _unfolding(8) + "}", "there are more than 100,000 values"),
    "a list in itself": ("a: &a [*a]", "a value holds itself"),
    "a mapping in itself": ("&a {x: {y: *a}}", "a value holds itself"),
    "depth": ("[" * 20_000 + "]" * 20_000, "line 1, column 41: values are nested more than 40 deep"),
    "depth of mappings": ("{a: " * 20_000, "nested more than 40 deep"),
    "depth of blocks": ("\n".join(" " * i + "- " for i in range(500)), "nested more than 40 deep"),
    "depth by aliases": (f"[&a {'[' * 30}{']' * 30}, {'[' * 20}*a{']' * 20}]", "nested more than 40 deep"),
    "noise": ("x" * 10_000_000, "a text of 10,000,000 characters is not read; 1,048,576 are the most"),
    "a number of words": ("seed: !!int abc", "line 1, column 7: 'abc' cannot be read as int"),
    "a number of nothing": ("!!int ''", "'' cannot be read as int"),
    "a truth of words": ("demo: !!bool maybe", "'maybe' cannot be read as bool"),
    "a fraction of words": ("!!float x", "'x' cannot be read as float"),
    "5,000 digits": ("seed: " + "9" * 5000, "line 1, column 7: '999+' cannot be read as int"),
    "5,000 hexadecimal digits": ("0x" + "f" * 5000, "line 1, column 1: a whole number of more than 64 bits"),
    "base 60": ("!!int " + ":".join(["59"] * 300), "a whole number of more than 64 bits"),
    "Python": ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "bytes": ("!!binary aGk=", "could not determine a constructor"),
    "sets": ("!!set {a}", "could not determine a constructor"),
    "a mapping that is a list": ("!!map [a]", "expected a mapping node, but found sequence"),
    "keys that are lists": ("{? [a] : b}", "found unhashable key"),
    "NUL": ("a: \0", "unacceptable character #x0000"),
    "two documents": ("--- a\n--- b", "found another document"),
    "an unknown alias": ("*x", "found undefined alias 'x'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_text_is_refused_in_one_line(case: str) -> None:
    text, message = HOSTILE[case]
    with pytest.raises(RecipeError, match=message) as caught:
        load(text)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_aliases_and_depth_within_the_limits_are_read() -> None:
    assert load("{a: &a [1, {b: 2}], c: *a}") == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}
    assert load("[" * 39 + "x" + "]" * 39) is not None
    assert len(load(_unfolding(3))) == 9
    assert load("x" * LONGEST) == "x" * LONGEST


def test_values_are_those_of_json() -> None:
    text = "{a: on, b: 2001-99-99, c: 2001-01-01, d: true, e: 1.5, f: ~, g: 12, h: <<, i: 1e400, 7: [x]}"
    want = {
        "a": "on",
        "b": "2001-99-99",
        "c": "2001-01-01",
        "d": True,
        "e": 1.5,
        "f": None,
        "g": 12,
        "h": "<<",
    }
    assert load(text) == want | {"i": "1e400", 7: ["x"]}
    assert load(str(2**64 - 1)) == 2**64 - 1


@pytest.mark.parametrize("break_", ["\n", "\r", "\x85", "\u2028", "\u2029", "\r\n", "\n\n", "\x0b", "\x00"])
def test_line_breaks_survive_a_round_trip(break_: str) -> None:
    for text in (f"a{break_}b", break_, f" {break_} - x: y", f"{break_}#"):
        for written in (dump({text: [text]}), dump({text: [text]}, flow=True, width=inf)):
            assert load(written) == {text: [text]}


def test_any_text_survives_a_round_trip_and_stays_on_its_line() -> None:
    draw = random.Random(0)
    letters = "ab \n\r\t\x85\u2028\u2029\ufeff\x00\x1b:#-?'\"[]{}&*!|>%@`,é😀\x7f\xa0~=01.e<"
    for _ in range(500):
        text = "".join(draw.choice(letters) for _ in range(draw.randrange(12)))
        written = dump([text, {text: text}], flow=True, width=inf)
        assert load(written) == [text, {text: text}]
        assert written.count("\n") == 1


@pytest.mark.parametrize(
    "text", ["0150", "00", "2:30", "1:30.5", "1_000", "0b11", "-007", "1_0.5", "0o17", "+-1"]
)
def test_what_only_old_yaml_takes_for_a_number_is_a_word(text: str) -> None:
    assert load(f"a: {text}") == {"a": text}
    assert load(dump({"a": text})) == {"a": text}


def test_numbers_are_those_of_json_and_hexadecimal_ones() -> None:
    assert load("[0, -7, +7, 0x1f, 1.5, -.5, 3., 1.0e-3, .inf, -.Inf]") == [
        0,
        -7,
        7,
        31,
        1.5,
        -0.5,
        3.0,
        1e-3,
        inf,
        -inf,
    ]
