"""Did you mean."""

import pytest

from rightreasons.core._closest import did_you_mean


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
