import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rightreasons.core._errors import DataError
from rightreasons.data.named._fetch import RemoteFile, data_folder, download, find_files

CONTENT = b"rows and rows" * 1000


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):  # keeps the test output clean
        pass


@pytest.fixture
def site(tmp_path):
    """A loopback server of one file, and its address."""
    published = tmp_path / "published"
    published.mkdir()
    (published / "data.bin").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=published)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def remote(base, digest=None, name="data.bin"):
    return RemoteFile(name, f"{base}{name}", digest or f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")


def test_a_file_is_downloaded_once_and_whole(site, tmp_path):
    home = tmp_path / "home"
    found = download([remote(site)], home)
    assert found["data.bin"].read_bytes() == CONTENT
    gone = remote("http://127.0.0.1:1/")
    assert download([gone], home) == found  # present: nothing is asked of the network
    assert [each.name for each in home.iterdir()] == ["data.bin"]


def test_a_file_url_and_md5_work_too(tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    file = remote(tmp_path.as_uri() + "/", digest=f"md5:{hashlib.md5(CONTENT).hexdigest()}")
    assert download([file], tmp_path / "home")["data.bin"].read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing_behind(site, tmp_path):
    with pytest.raises(DataError, match="its sha256 must be beef, got"):
        download([remote(site, digest="sha256:beef")], tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("name", ["absent.bin"])
def test_a_missing_file_is_said_with_its_address(site, tmp_path, name):
    with pytest.raises(DataError, match=r"absent\.bin could not be downloaded to .*404"):
        download([remote(site, name=name)], tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []


def test_no_connection_is_said_with_the_address(tmp_path):
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:1/data\.bin could not be downloaded"):
        download([remote("http://127.0.0.1:1/")], tmp_path)


def test_a_folder_that_cannot_be_written_is_said(site, tmp_path):
    (tmp_path / "home").write_text("a file, not a folder")
    with pytest.raises(DataError, match="could not be downloaded to"):
        download([remote(site)], tmp_path / "home")


def test_files_are_found_zipped_or_not_and_only_all_together(tmp_path):
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    full.mkdir()
    (full / "a").touch()
    (full / "b.gz").touch()
    (empty / "a.gz").touch()
    assert find_files(["a.gz", "b.gz"], [empty, full]) == {"a.gz": full / "a", "b.gz": full / "b.gz"}
    assert find_files(["a.gz", "c.gz"], [empty, full]) is None
    assert find_files([], [full]) is None


def test_the_data_folder_is_chosen_by_the_environment(monkeypatch):
    monkeypatch.setenv("RIGHTREASONS_DATA", "~/elsewhere")
    assert data_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv("RIGHTREASONS_DATA")
    assert data_folder() == Path.home() / ".cache" / "rightreasons"
