from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gatecast.data.yahoo.client import remove_damaged
from tests.damage import HARM_NAMES, HARMS, Harm, emptied


@pytest.mark.parametrize("harm", HARMS, ids=HARM_NAMES)
def test_a_damaged_cache_of_yfinance_is_removed_and_a_whole_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Harm
) -> None:
    for name in ("cookies.db", "tkr-tz.db"):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            connection.execute("CREATE TABLE kv (key TEXT)")
            connection.executemany("INSERT INTO kv VALUES (?)", [(f"{k} " * 1000,) for k in range(30)])
            connection.commit()
    whole = (tmp_path / "tkr-tz.db").read_bytes()
    harm(tmp_path / "cookies.db")
    (tmp_path / "cookies.db-wal").touch()
    remove_damaged(tmp_path)
    if harm is not emptied:  # an empty file is a database without tables
        assert [path.name for path in tmp_path.iterdir()] == ["tkr-tz.db"]
        assert caplog.messages == [f"{tmp_path / 'cookies.db'} is damaged; yfinance makes it again."]
    assert (tmp_path / "tkr-tz.db").read_bytes() == whole
