"""The flow and the command that remove what is old, and Prefect's record of runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, FlowFilter, FlowFilterName
from typer.testing import CliRunner

from gatecast.flows.clean import RUNS, clean, rows_of, survey, table_of
from gatecast.flows.cli import app
from gatecast.flows.engine.artifacts import create_table_artifact
from gatecast.flows.engine.database import compact, fold_in
from gatecast.flows.engine.orchestration import artifacts, flow
from gatecast.flows.engine.records import delete_runs, old_runs
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.retention import RetentionSettings
from gatecast.flows.settings.workspace import Workspace
from tests.flows.registry.test_retention import NAME, Nights

LATER = timedelta(days=8)


@flow(name="short")
def short(fails: bool = False) -> None:
    """Leave a run with artifacts."""
    artifacts.create_markdown_artifact("a picture", key="short-pictures")
    create_table_artifact([{"a": 1}], key="short-scores", description="scores")
    if fails:
        raise ValueError("as asked")


def runs_of(name: str) -> list[UUID]:
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_filter=FlowFilter(name=FlowFilterName(any_=[name])))
    return [run.id for run in found]


def artifacts_of(key: str) -> int:
    with get_client(sync_client=True) as client:
        return len(client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key]))))


def test_old_runs_go_with_what_belongs_to_them(
    server: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatecast.flows.engine.records._is_own", lambda workspace: True)
    for _ in range(3):
        short()
    with pytest.raises(ValueError, match="as asked"):
        short(fails=True)
    settings = RetentionSettings(keep=1)
    now = datetime.now(UTC)
    before = runs_of("short")
    assert old_runs(settings, ["another"], workspace) == []
    assert old_runs(RetentionSettings(keep=1, keep_days=1), ["short"], workspace) == []
    assert len(old_runs(settings, ["short"], workspace, now)) == 3
    short()  # the failure is not the newest any more, but it is young
    assert len(old_runs(settings, ["short"], workspace, now)) == 3
    old = old_runs(settings, ["short"], workspace, now + LATER)
    assert delete_runs(old) == 4
    assert delete_runs(old) == 0  # another process has been faster
    assert [run for run in runs_of("short") if run in before] == []
    assert artifacts_of("short-pictures") == artifacts_of("short-scores") == 1


def test_runs_of_another_server_stay_unless_they_are_of_our_deployments(server: str, workspace: Workspace) -> None:
    short()
    short()
    assert old_runs(RetentionSettings(keep=1), ["short"], workspace, datetime.now(UTC) + LATER) == []


def test_the_flow_removes_what_the_dry_run_shows(server: str, workspace: Workspace) -> None:
    nights = Nights(workspace.root)
    shown = survey(workspace, RetentionSettings(keep=3))
    assert nights.versions() == list(range(1, 9))
    removed = clean(keep=3)["clean"]
    assert removed["rows"] == shown
    assert {row["kind"] for row in shown} >= {"versions", "trainings", "sequences", "data", "reports"}
    assert "removed" in removed["summary"]
    assert Registry(workspace, NAME).versions() == [nights.registry.find(text) for text in ("2", "5", "6", "7", "8")]
    assert clean(keep=3)["clean"]["rows"] == []


def test_the_command_shows_and_removes(server: str, workspace: Workspace, tmp_path: Path) -> None:
    nights = Nights(workspace.root)
    file = tmp_path / "gatecast.toml"
    file.write_text("[retention]\nkeep = 5\nkeep_days = 6.5\n")

    def command(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["clean", "--file", str(file), *arguments], env={"COLUMNS": "160"})
        assert result.exit_code == 0, result.output
        return result.output

    assert "Would be removed" in command("--dry-run", "--keep", "3", "--keep-days", "0")
    assert nights.versions() == list(range(1, 9))
    assert "versions" in command("--dry-run")
    command()
    assert nights.versions() == [2, 3, 4, 5, 6, 7, 8]  # the first is 7 days old, and not among the newest five
    command("--keep", "3", "--keep-days", "0")
    assert nights.versions() == [2, 5, 6, 7, 8]
    assert "nothing to remove" in command("--keep", "3", "--keep-days", "0")


def test_the_table_says_how_much_and_how_old() -> None:
    (row,) = table_of(rows_of([], [datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 1, 3, tzinfo=UTC)]))
    assert row == {"kind": RUNS, "count": "2", "size": "in the database", "oldest": "2020-01-02"}


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A database with a journal and gaps, as a server leaves it."""
    path = tmp_path / "prefect.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE log (message TEXT)")
        connection.executemany("INSERT INTO log VALUES (?)", [("x" * 1000,)] * 1000)
        connection.execute("DELETE FROM log WHERE rowid > 10")
    return path


def test_a_database_gets_smaller_while_a_server_has_it_open(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as of_the_server:
        assert of_the_server.execute("SELECT count(*) FROM log").fetchone() == (10,)
        assert compact(filled) > 900_000
        assert of_the_server.execute("SELECT count(*) FROM log").fetchone() == (10,)
        of_the_server.execute("INSERT INTO log VALUES ('more')")
        of_the_server.commit()
    assert filled.stat().st_size < 100_000
    assert compact(filled) == 0


def test_a_database_in_use_or_missing_waits_for_the_next_time(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatecast.flows.engine.database.WAIT_SECONDS", 0.1)
    with closing(sqlite3.connect(filled, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        compact(filled)
        busy.execute("INSERT INTO log VALUES ('more')")
        busy.execute("COMMIT")
    assert compact(filled.with_name("none.db")) == 0
    assert not filled.with_name("none.db").exists()


def test_the_journal_of_a_server_that_has_ended_goes_into_its_file(filled: Path) -> None:
    with closing(sqlite3.connect(filled)) as other:  # keeps the journal from being folded in by the last to close
        other.execute("SELECT count(*) FROM log").fetchone()
        with closing(sqlite3.connect(filled, isolation_level=None)) as connection:
            connection.execute("INSERT INTO log VALUES ('more')")
        journal = filled.with_name("prefect.db-wal")
        assert journal.stat().st_size > 0
        fold_in(filled)
        assert journal.stat().st_size == 0
    fold_in(filled.with_name("none.db"))
    assert not filled.with_name("none.db").exists()
