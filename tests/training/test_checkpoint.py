"""Checkpoints: whole or absent, plain data, exact."""

import json
import logging

import pytest
import torch

from rightreasons import InputError
from rightreasons.training._checkpoint import load_checkpoint, save_checkpoint


def nested_state():
    return {
        "weights": {"a": torch.randn(3, 2, dtype=torch.float64), "b": torch.arange(4)},
        "history": [{"loss": 0.1 + 0.2, "epoch": 1}, {"loss": float("inf"), "epoch": 2}],
        "none": None,
        "flag": True,
        "numbers": {3: 0.5},
    }


def test_round_trip_is_exact(tmp_path):
    state = nested_state()
    save_checkpoint(tmp_path, 7, state)
    loaded = load_checkpoint(tmp_path)
    assert torch.equal(loaded["weights"]["a"], state["weights"]["a"])
    assert torch.equal(loaded["weights"]["b"], state["weights"]["b"])
    assert loaded["history"] == state["history"]
    assert loaded["none"] is None
    assert loaded["flag"] is True
    assert loaded["numbers"] == {3: 0.5}


def test_the_newest_replaces_older_ones(tmp_path):
    for step in (1, 2, 10):
        save_checkpoint(tmp_path, step, {"step": step})
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000010"]
    assert load_checkpoint(tmp_path) == {"step": 10}


def test_an_unfinished_write_is_ignored_and_cleared(tmp_path):
    save_checkpoint(tmp_path, 1, {"step": 1})
    (tmp_path / ".writing-000000002-1").mkdir()
    torn = tmp_path / "step-000000002"
    torn.mkdir()
    (torn / "state.json").write_text("{")
    assert load_checkpoint(tmp_path) == {"step": 1}
    save_checkpoint(tmp_path, 3, {"step": 3})
    assert not list(tmp_path.glob(".writing-*"))


def test_nothing_there_is_none(tmp_path):
    assert load_checkpoint(tmp_path) is None
    assert load_checkpoint(tmp_path / "absent") is None


def test_nothing_is_pickled(tmp_path):
    saved = save_checkpoint(tmp_path, 1, nested_state())
    assert sorted(p.name for p in saved.iterdir()) == ["state.json", "tensors.safetensors"]
    json.loads((saved / "state.json").read_text())


def test_what_is_not_plain_data_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"/schedule/f is a function"):
        save_checkpoint(tmp_path, 1, {"schedule": {"f": lambda: 0}})
    assert load_checkpoint(tmp_path) is None


WAYS = {
    "empty": lambda own, other: b"",
    "truncated": lambda own, other: own[: len(own) // 2],
    "one flipped bit": lambda own, other: own[:-9] + bytes([own[-9] ^ 1]) + own[-8:],
    "garbage": lambda own, other: bytes(range(256)) * 4,
    "missing": lambda own, other: None,
    "another's": lambda own, other: other,
}


@pytest.mark.parametrize("name", ["state.json", "tensors.safetensors"])
@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_checkpoint_is_left_out_and_that_is_said(tmp_path, caplog, name, way):
    earlier, later = nested_state(), nested_state()
    other = (save_checkpoint(tmp_path / "other", 2, nested_state()) / name).read_bytes()
    first = save_checkpoint(tmp_path / "a", 1, earlier)
    file = save_checkpoint(tmp_path, 2, later) / name
    first.rename(tmp_path / "step-000000001")
    assert torch.equal(load_checkpoint(tmp_path)["weights"]["a"], later["weights"]["a"])
    content = WAYS[way](file.read_bytes(), other)
    file.unlink() if content is None else file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        found = load_checkpoint(tmp_path)
    assert torch.equal(found["weights"]["a"], earlier["weights"]["a"])
    assert "step-000000002 is damaged, so training goes on without it: " in caplog.text
    save_checkpoint(tmp_path, 3, later)
    assert [each.name for each in tmp_path.glob("step-*")] == ["step-000000003"]


def test_a_checkpoint_without_a_digest_is_read(tmp_path):
    saved = save_checkpoint(tmp_path, 1, nested_state())
    text = json.loads((saved / "state.json").read_text())
    (saved / "state.json").write_text(json.dumps(text["state"]))
    assert load_checkpoint(tmp_path)["numbers"] == {3: 0.5}
