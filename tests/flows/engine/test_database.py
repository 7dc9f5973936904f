from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gatecast.data.store import is_damaged_sqlite
from gatecast.flows.engine.database import set_aside_with_journal
from gatecast.flows.engine.server import Server
from gatecast.flows.settings.workspace import Workspace
from tests.damage import HARM_NAMES, HARMS, Harm, emptied


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "prefect.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE runs (name TEXT)")
        connection.executemany("INSERT INTO runs VALUES (?)", [(f"{k} " * 1000,) for k in range(30)])
    connection.close()
    return path


@pytest.mark.parametrize("harm", HARMS, ids=HARM_NAMES)
def test_a_damaged_database_is_known_as_such(database: Path, harm: Harm) -> None:
    assert not is_damaged_sqlite(database)
    harm(database)
    assert is_damaged_sqlite(database) is (harm is not emptied)  # an empty file is a database without tables


def test_a_database_that_is_missing_or_in_use_is_not_damaged(database: Path) -> None:
    assert not is_damaged_sqlite(database.with_name("none.db"))
    connection = sqlite3.connect(database)
    connection.execute("BEGIN EXCLUSIVE")
    assert not is_damaged_sqlite(database)
    connection.close()


def test_a_journal_goes_with_its_database(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    for suffix in ("-wal", "-shm"):
        database.with_name(f"prefect.db{suffix}").write_bytes(b"of the old one")
    set_aside_with_journal(database)
    names = {path.name for path in database.parent.iterdir()}
    assert names == {"prefect.db.damaged", "prefect.db-wal.damaged", "prefect.db-shm.damaged"}
    assert f"{database}, Prefect's record of runs, is damaged; it was set aside as prefect.db.damaged" in caplog.text


@pytest.mark.parametrize("damaged", [True, False])
def test_a_server_starts_again_without_a_damaged_database(
    database: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    starts = []

    def start(server: Server) -> None:
        starts.append(database.exists())
        if database.exists():
            raise RuntimeError("Prefect's server ended while it started")

    monkeypatch.setattr(Server, "_start", start)
    monkeypatch.setenv("PREFECT_HOME", str(database.parent))
    server = Server(Workspace(database.parent))
    if damaged:
        database.write_bytes(b"no database" * 1000)
        server.start()
        assert starts == [True, False]
    else:
        with pytest.raises(RuntimeError, match="ended while it started"):
            server.start()
        assert starts == [True]
        assert database.exists()
