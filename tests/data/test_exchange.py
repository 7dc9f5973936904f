from __future__ import annotations

import sys

import pytest

from gatecast.data.exchange import exchange

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges names")


def test_two_directories_exchange_their_names(tmp_path):
    one = tmp_path / "one"
    other = tmp_path / "other"
    for path in (one, other):
        path.mkdir()
        (path / path.name).touch()
    assert exchange(one, other)
    assert [file.name for file in one.iterdir()] == ["other"]
    assert [file.name for file in other.iterdir()] == ["one"]


def test_a_missing_path_is_an_error_that_names_both(tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        exchange(one, tmp_path / "missing")
    assert (caught.value.filename, caught.value.filename2) == (str(one), str(tmp_path / "missing"))
    assert one.is_dir()


def test_a_file_system_that_cannot_do_it_is_told_by_false():
    from pathlib import Path

    # The kernel's own file system of processes renames nothing.
    assert exchange(Path("/proc/self/fd"), Path("/proc/self/fdinfo")) is False
