from __future__ import annotations

import logging

import pytest

from gatecast.lstm.training.checkpoint import DamagedError, FormatError
from gatecast.lstm.training.epochs import are_in, clear, epoch_path, keep_last, member_path, newest


def make(folder, *epochs):
    for epoch in epochs:
        epoch_path(folder, epoch).mkdir(parents=True)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_last_ones_stay_also_beyond_four_digits(tmp_path):
    make(tmp_path, 9998, 9999, 10000, 10001)
    keep_last(tmp_path, 2)
    assert names(tmp_path) == ["epoch-10000", "epoch-10001"]


def test_clearing_removes_checkpoints_and_nothing_else(tmp_path):
    make(tmp_path, 1, 2)
    (tmp_path / ".epoch-0003.1234.tmp").mkdir()
    (tmp_path / ".epoch-0003.former").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "epoch-of-rain").mkdir()
    make(member_path(tmp_path, 11), 1)
    (tmp_path / "member-of-parliament").mkdir()
    clear(tmp_path)
    assert names(tmp_path) == ["epoch-of-rain", "member-of-parliament", "notes.txt"]


def test_checkpoints_of_a_model_and_of_members_are_found(tmp_path):
    assert not are_in(tmp_path / "nowhere")
    member_path(tmp_path / "ensemble", 1).mkdir(parents=True)
    assert not are_in(tmp_path / "ensemble")
    make(member_path(tmp_path / "ensemble", 1), 3)
    make(tmp_path / "model", 1)
    assert are_in(tmp_path / "ensemble")
    assert are_in(tmp_path / "model")


def test_a_damaged_checkpoint_is_reported_and_passed_over(tmp_path, caplog):
    make(tmp_path, 1, 2)

    def load(path):
        if path.name == "epoch-0002":
            raise DamagedError("it is damaged")
        return path.name

    with caplog.at_level(logging.WARNING):
        assert newest(tmp_path, load) == (tmp_path / "epoch-0001", "epoch-0001")
    assert "it is damaged" in caplog.text


def test_a_checkpoint_of_another_gatecast_is_not_passed_over(tmp_path):
    make(tmp_path, 1, 2)

    def load(path):
        raise FormatError("a newer Gatecast wrote it")

    with pytest.raises(FormatError, match="a newer Gatecast"):
        newest(tmp_path, load)


def test_no_checkpoint_is_no_start(tmp_path):
    assert newest(tmp_path / "missing", pytest.fail) is None
