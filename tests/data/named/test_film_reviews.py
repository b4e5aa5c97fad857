import io
import tarfile

import pytest

from rightreasons import data
from rightreasons.core._errors import DataError
from rightreasons.data.named._film_reviews import ARCHIVE, read_film_reviews, read_lexicon

RATED = ("2.5\tA good film", "-0.4\tA film", "-3.0\tA bad film", "1.0\ta GOOD film!", "0.5\tgood", "3.1\t...")
SENTENCES = "".join(f"{i}\t{each}\n" for i, each in enumerate(RATED, start=1))
LEXICON = (
    "good\t1.9\t0.9\t[2, 2]\n:-)\t1.3\t0.5\t[1, 1]\nbad\t-2.5\t0.6\t[-3, -2]\nna\xefve\t-1.1\t0.5\t[-1]\n"
)


def archive(folder, sentences=SENTENCES, lexicon=LEXICON):
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / ARCHIVE, "w:gz") as out:
        for name, content in (
            ("movieReviewSnippets_GroundTruth.txt", sentences.encode()),
            ("vader_sentiment_lexicon.txt", lexicon.encode("latin-1")),
        ):
            info = tarfile.TarInfo(f"hutto_ICWSM_2014/{name}")
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return folder / ARCHIVE


def test_neutral_and_wordless_sentences_are_left_out(tmp_path):
    found = data.DataSet("film-reviews", **read_film_reviews(archive(tmp_path)))
    assert found.ids == ("1", "3", "4", "5")
    assert found.y.tolist() == [1, 0, 1, 1]
    assert found.vocabulary[2:] == ("a", "film", "good")
    assert found.clusters[0] == found.clusters[2] == "a good film"
    assert found.task() == ("binary", {})


def test_the_lexicon_has_words_of_letters(tmp_path):
    assert read_lexicon(archive(tmp_path)) == {"good": 1.9, "bad": -2.5, "naïve": -1.1}


def test_both_are_found_by_name(tmp_path):
    archive(tmp_path / "film-reviews")
    assert len(data.load("film-reviews", tmp_path)) == 4
    assert data.lexicon(tmp_path)["bad"] == -2.5


def test_a_broken_archive_is_refused(tmp_path):
    path = archive(tmp_path, sentences="1\t2.5\n")
    with pytest.raises(DataError, match="GroundTruth.txt must have 3 columns between tabs"):
        read_film_reviews(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="cannot be read: .*Delete it to have it fetched again"):
        read_film_reviews(path)


def test_the_published_file_where_it_is():
    if not (data.data_folder() / "film-reviews" / ARCHIVE).is_file():
        pytest.skip("not in the data folder")
    found = data.load("film-reviews")
    assert found.x.shape == (10072, 51)
    assert 0.49 < float(found.y.double().mean()) < 0.5
    assert len(data.lexicon()) == 7206
