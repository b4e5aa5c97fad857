"""Enrichment of a known group among the top features (hypergeometric test)."""

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass

from rightreasons.core._checked import checked
from rightreasons.core._errors import InputError, MissingExtraError
from rightreasons.core._suggest import entries_in
from rightreasons.stats._benjamini_hochberg import benjamini_hochberg


@dataclass(frozen=True)
class Enriched:
    """One set of features against the chosen ones.

    Attributes:
        name: of the set.
        chosen: its members among the chosen features, sorted.
        size: its members among all features.
        expected: how many of them a random choice of as many features holds on average.
        p: probability of at least as many by chance.
        adjusted: that, adjusted for all sets tested.
    """

    name: str
    chosen: tuple[str, ...]
    size: int
    expected: float
    p: float
    adjusted: float


@checked
def enrichment(
    chosen: Collection[Hashable],
    features: Collection[Hashable],
    sets: Mapping[str, Collection[Hashable]],
    *,
    smallest: int = 3,
) -> list[Enriched]:
    """Over-representation of sets among chosen features: hypergeometric test, Benjamini-Hochberg over sets.

    Of N features, K in the set, n are chosen, k of them in the set:  p = P(X >= k), X hypergeometric(N, K, n). The
    universe is what the model saw, not a whole genome: features that were never measured cannot be chosen.

    Args:
        chosen: the features that came out on top.
        features: all features that could have.
        sets: name of each set and its members; members that are no features do not count.
        smallest: sets with fewer members among the features are not tested.

    Returns:
        All sets tested, by falling evidence.

    Raises:
        InputError: a chosen feature is none of the features, nothing chosen, no set to test, or a text for a list.
        MissingExtraError: scipy is not installed.

    Example:
        >>> found = enrichment(["a", "b"], list("abcdefgh"), {"first": list("abc"), "last": list("fgh")})
        >>> tuple((each.name, each.chosen, round(each.p, 4), round(each.adjusted, 4)) for each in found)
        (('first', ('a', 'b'), 0.1071, 0.2143), ('last', (), 1.0, 1.0))
    """
    top, universe = (
        set(map(str, entries_in(*each))) for each in (("chosen", chosen), ("features", features))
    )
    other = sorted(top - universe)
    if other or not top:
        raise InputError(
            "chosen features must be some of the features; "
            + (f"{len(other)} are not, such as {other[0]!r}." if other else "none were given.")
        )
    members = {name: set(map(str, entries_in(f"sets[{name!r}]", of))) & universe for name, of in sets.items()}
    tested = {name: inside for name, inside in members.items() if len(inside) >= max(smallest, 1)}
    if not tested:
        raise InputError(
            f"none of {len(sets)} sets has {max(smallest, 1)} members among the {len(universe)} features. Use the same "
            "kind of name in both, or smaller sets."
        )
    ps = [_upper_tail(len(universe), len(inside), len(top), len(inside & top)) for inside in tested.values()]
    adjusted = [p if p is not None else 1.0 for p in benjamini_hochberg(ps)]
    found = [
        Enriched(
            name,
            tuple(sorted(inside & top)),
            len(inside),
            len(top) * len(inside) / len(universe),
            p,
            corrected,
        )
        for (name, inside), p, corrected in zip(tested.items(), ps, adjusted, strict=True)
    ]
    return sorted(found, key=lambda each: (each.p, each.name))


def _upper_tail(features: int, members: int, chosen: int, both: int) -> float:
    try:
        from scipy.stats import hypergeom
    except ImportError as error:
        raise MissingExtraError(
            'enrichment needs scipy, which is not installed: pip install "rightreasons[train]"'
        ) from error
    return min(1.0, float(hypergeom.sf(both - 1, features, members, chosen)))
