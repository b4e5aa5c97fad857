import pytest
import torch

from rightreasons.core._errors import DataError, InputError
from rightreasons.data import DataSet, bag_of_words
from rightreasons.data._text import PADDING, UNKNOWN, encode, words_of

TEXTS = ["A good, good film!", "a bad film", "", "don't"]


def test_words_are_lower_case_letters():
    assert [words_of(text) for text in TEXTS] == [
        ["a", "good", "good", "film"],
        ["a", "bad", "film"],
        [],
        ["don't"],
    ]
    assert words_of("Amélie 2001") == ["amélie"]


def test_numbers_count_along_the_vocabulary():
    x, vocabulary = encode(TEXTS, least=1)
    assert vocabulary == (PADDING, UNKNOWN, "a", "film", "bad", "don't", "good")
    assert [[vocabulary[i] for i in row if i] for row in x.tolist()] == [words_of(text) for text in TEXTS]
    assert x.shape == (4, 4)


def test_rare_words_are_unknown():
    x, vocabulary = encode(TEXTS, least=2)
    assert vocabulary[2:] == ("a", "film")
    assert x.tolist() == [[2, 1, 1, 3], [2, 1, 3, 0], [0] * 4, [1, 0, 0, 0]]


def test_a_bag_of_words_is_a_table_of_zeros_and_ones():
    x, vocabulary = encode(TEXTS)
    data = DataSet("d", x, torch.zeros(4), vocabulary=vocabulary)
    bag = bag_of_words(data, ["good", "splendid", "film"])
    assert bag.feature_names == ("good", "film")
    assert bag.x.tolist() == [[1, 1], [0, 1], [0, 0], [0, 0]]
    assert bag.vocabulary == ()
    with pytest.raises(DataError, match="'d' knows none of these 1 words"):
        bag_of_words(data, ["splendid"])
    with pytest.raises(DataError, match="'d' has no vocabulary: it is no text"):
        bag_of_words(bag, ["good"])


def test_one_text_is_no_list_of_texts():
    with pytest.raises(InputError, match="texts is a list of texts; got the text 'ab'. Say .'ab'."):
        encode("ab")
