"""Texts as sequences of word numbers, and as bags of words."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Int64
from torch import Tensor

from rightreasons.core._checked import checked
from rightreasons.core._errors import DataError
from rightreasons.core._suggest import did_you_mean, entries_in, names_in
from rightreasons.data._dataset import Column, DataSet

PADDING, UNKNOWN = "<padding>", "<unknown>"


def words_of(text: str) -> list[str]:
    """Lower-case words of Latin letters, with their apostrophes; all else separates.

    >>> words_of("It's GOOD, really-good.")
    ["it's", 'good', 'really', 'good']
    """
    return re.findall(r"[a-zà-ÿ]+(?:'[a-z]+)?", text.lower())


def encode(texts: Sequence[str], least: int = 1) -> tuple[Int64[Tensor, "N L"], tuple[str, ...]]:
    """Numbers of the words of each text, and the words they count along.

    0 is padding after the end, up to the longest text; 1 a word that is in fewer than `least` texts; then the words,
    the most frequent first. No label is looked at. Cost: one pass over the texts.

    Raises: InputError for one text where a list of texts is needed.

    >>> encode(["good film", "good good plot"], least=2)[0].tolist()
    [[2, 1, 0], [2, 2, 1]]
    """
    split = [words_of(text) for text in entries_in("texts", texts, "texts")]
    counts = Counter(word for words in split for word in sorted(set(words)))
    kept = sorted((word for word, count in counts.items() if count >= least), key=lambda w: (-counts[w], w))
    vocabulary = (PADDING, UNKNOWN, *kept)
    number = {word: i for i, word in enumerate(vocabulary)}
    x = torch.zeros(len(texts), max(map(len, split), default=0), dtype=torch.int64)
    for row, words in enumerate(split):
        x[row, : len(words)] = torch.tensor([number.get(word, 1) for word in words], dtype=torch.int64)
    return x, vocabulary


@checked
def bag_of_words(data: DataSet, words: Sequence[str]) -> DataSet:
    """Texts as a table: one column for each of these words, 1 where the text has it and 0 where not.

    A linear model or an MLP can read it, and a prior can speak of each word. Cost: N x number of words numbers.

    Args:
        data: integers that count along a vocabulary.
        words: such as those of `lexicon()`; words that the data do not know are left out.

    Raises: DataError if the data are no texts, or know none of the words.

    >>> x, vocabulary = encode(["good film", "bad plot"])
    >>> data = DataSet("d", x, torch.tensor([1, 0]), vocabulary=vocabulary)
    >>> bag_of_words(data, ["bad", "good", "splendid"]).x
    tensor([[0., 1.],
            [1., 0.]])
    """
    if not data.vocabulary:
        raise DataError(
            f"{data.name!r} has no vocabulary: it is no text. Pass data such as load('film-reviews')."
        )
    words = names_in("words", words)
    number = {word: i for i, word in enumerate(data.vocabulary)}
    kept = [word for word in words if word in number]
    if not kept:
        raise DataError(
            f"{data.name!r} knows none of these {len(words)} words. "
            f"{did_you_mean(next(iter(words), ''), data.vocabulary[:9])}"
        )
    column = torch.full((len(data.vocabulary),), -1)
    column[torch.tensor([number[word] for word in kept])] = torch.arange(len(kept))
    rows, places = (column[data.x] >= 0).nonzero(as_tuple=True)
    x = torch.zeros(len(data), len(kept))
    x[rows, column[data.x[rows, places]]] = 1
    columns = tuple(Column(word, f"1 if the text has the word {word!r}") for word in kept)
    return replace(data, x=x, columns=columns, vocabulary=())
