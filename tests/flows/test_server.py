from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flows.server import dashboard_url
from flows.settings import Workspace
from tests.damage import HARM_NAMES, HARMS, Harm

# Two transactions at a time, each of which reads and then writes, as Prefect's server does when it creates a run.
PROGRAM = """
import asyncio, sys
from flows.server import _wait_in_line
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy import text

async def change(configuration, engine):
    async with await configuration.session(engine) as session:
        async with configuration.begin_transaction(session):
            await session.execute(text("SELECT * FROM runs"))
            await asyncio.sleep(0.2)
            await session.execute(text("INSERT INTO runs VALUES (1)"))

async def main():
    configuration = AioSqliteConfiguration("sqlite+aiosqlite:///" + sys.argv[1])
    engine = await configuration.engine()
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE runs (id INTEGER)"))
    await asyncio.gather(*(change(configuration, engine) for _ in range(3)))
    async with engine.begin() as connection:
        print((await connection.execute(text("SELECT count(*) FROM runs"))).scalar())

if sys.argv[2] == "in line":
    _wait_in_line()
asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["in line", "as Prefect does it"])
def test_transactions_on_sqlite_wait_for_each_other(tmp_path: Path, how: str) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "prefect.db"), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if how == "in line":
        assert done.stdout.strip() == "3", done.stderr
    else:
        assert "database is locked" in done.stderr  # else Prefect has mended it, and `_wait_in_line` may go


@pytest.mark.parametrize(
    "harm", [*HARMS, lambda path: path.write_text('{"url": "http://\\u0000"}')], ids=[*HARM_NAMES, "no_address"]
)
def test_a_damaged_file_of_the_dashboard_names_none(tmp_path: Path, harm: Harm) -> None:
    workspace = Workspace(tmp_path)
    pointer = workspace.prefect / "dashboard.json"
    pointer.parent.mkdir()
    pointer.write_text('{"url": "http://127.0.0.1:1/api"}')
    harm(pointer)
    assert dashboard_url(workspace) is None
