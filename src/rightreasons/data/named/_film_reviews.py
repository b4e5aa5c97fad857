"""Film-review sentences with mean ratings, and a lexicon of rated words [hutto2014]."""

import tarfile
from pathlib import Path
from typing import Any

import torch

from rightreasons.core._errors import DataError
from rightreasons.data._text import encode, words_of

ARCHIVE = "hutto_ICWSM_2014.tar.gz"
_SENTENCES = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
_LEXICON = "hutto_ICWSM_2014/vader_sentiment_lexicon.txt"
_NEUTRAL = 0.5  # ratings of smaller size say neither
_LEAST = 3  # sentences a word must be in to be known


def read_film_reviews(path: Path) -> dict[str, Any]:
    """Fields of the data set: (10072, 51) words, 1 for a positive mean rating."""
    rows = [(number, float(rating), text) for number, rating, text in _table(path, _SENTENCES, 3, "utf-8")]
    kept = [row for row in rows if abs(row[1]) >= _NEUTRAL and words_of(row[2])]
    x, vocabulary = encode([text for _, _, text in kept], least=_LEAST)
    return {
        "x": x,
        "y": torch.tensor([int(rating > 0) for _, rating, _ in kept]),
        "classes": ("negative", "positive"),
        "ids": tuple(number for number, _, _ in kept),
        "clusters": tuple(" ".join(words_of(text)) for _, _, text in kept),
        "vocabulary": vocabulary,
    }


def read_lexicon(path: Path) -> dict[str, float]:
    """Mean rating, -4 to 4, of each word of letters."""
    rows = _table(path, _LEXICON, 4, "latin-1")
    return {word: float(mean) for word, mean, _, _ in rows if words_of(word) == [word]}


def _table(path: Path, name: str, columns: int, encoding: str) -> list[list[str]]:
    """Rows of a file in the archive, cells between tabs."""
    try:
        with tarfile.open(path) as archive:
            file = archive.extractfile(name)
            text = "" if file is None else file.read().decode(encoding)
    except (OSError, EOFError, KeyError, ValueError, tarfile.TarError) as error:
        raise DataError(f"{path} cannot be read: {error}. Delete it to have it fetched again.") from error
    rows = [line.split("\t") for line in text.replace("\r", "").split("\n") if line]
    if not rows or any(len(row) != columns for row in rows):
        raise DataError(
            f"{path}: {name} must have {columns} columns between tabs. Delete it to have it fetched again."
        )
    return rows
