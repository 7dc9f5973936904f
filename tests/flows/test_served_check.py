from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gatecast.data.store import write_parquet
from gatecast.flows.cli import app
from gatecast.flows.served_check import problems_in
from gatecast.flows.settings.workspace import Workspace
from tests.data.frames import make_series


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_parquet(make_series({"a": 60}), tmp_path / "good.parquet")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "columns.csv").write_text("a,b\nx,y\n")
    (tmp_path / "text.txt").write_text("some text")
    with sqlite3.connect(tmp_path / "sales.db") as database:
        database.execute("CREATE TABLE sales (ds TEXT, y REAL)")
    return tmp_path


def found(folder: Path, text: str, *, elsewhere: bool = False) -> list[str]:
    file = folder / "gatecast.toml"
    file.write_text(text)
    return problems_in(file, Workspace(folder / "workspace"), elsewhere=elsewhere)


def retrain(name: str, data: str) -> str:
    return f'[deployments.{name}]\nflow = "retrain"\n[deployments.{name}.settings.data]\n{data}\n'


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ('path = "missing.csv"', "missing.csv does not exist; check the path."),
        ('path = "missing.parquet"', "missing.parquet does not exist; check the path."),
        ('path = "nowhere/"', "nowhere does not exist; check the path."),
        ('path = "empty.csv"', "empty.csv"),
        ('path = "columns.csv"', "columns.csv"),
        ('path = "good.parquet"\ntarget_column = "sales"', "sales"),
        ('path = "good.parquet"\nsymbols = ["b"]', "'b'"),
        ('path = "good.parquet"\ncalendar = "XNOWHERE"', "There is no calendar 'XNOWHERE'"),
        ('source = "csv"', "needs the path of a file"),
        ('path = "htps://host/file.csv"', "has no scheme that is known"),
        ('path = "https:///"', "names no file"),
        ('path = "$GATECAST_TEST_UNSET"', "GATECAST_TEST_UNSET is not set"),
        ('source = "sql"\nurl = "sqlite:///sales.db"', "needs a database and a query"),
        ('source = "sql"\nurl = "sqlite:///none.db"\nquery = "SELECT 1"', "none.db does not exist"),
        ('source = "sql"\nurl = "sqlite:///sales.db"\nquery = "SELEC ds FROM sales"', "syntax error"),
        ('source = "sql"\nurl = "sqlite:///sales.db"\nquery = "SELECT ds, y FROM shops"', "no such table: shops"),
        ('source = "sql"\nurl = "not a url"\nquery = "SELECT 1"', "is not a database URL"),
        ('source = "sql"\nurl = "cobol://host/db"\nquery = "SELECT 1"', "needs a driver that is not installed"),
    ],
)
def test_what_a_run_could_not_read_is_found(folder: Path, data: str, says: str) -> None:
    (problem,) = found(folder, retrain("nightly", data))
    assert "deployments.nightly: " in problem
    assert says in problem
    assert "\n" not in problem


def test_everything_is_told_and_not_only_the_first(folder: Path) -> None:
    text = """
timezone = "Mars/Olympus"
runs_at_once = 0
webhook = "not a url"
colour = "red"

[deployments.one]
flow = "retrain"
cron = "never"
when_busy = "perhaps"
[deployments.two]
flow = "retrain"
[deployments.two.settings]
name = "../x"
warm_start = "perhaps"
[deployments.two.settings.model]
lookback = -1
hidden_size = 0
[deployments.three]
flow = "text"
[deployments.three.settings]
paths = ["missing.txt", "text.txt", "gone.txt"]
[deployments.four]
flow = "tagging"
[deployments.four.settings]
train = "train.conll"
dev = "dev.conll"
[deployments.five]
flow = "nothing"
[deployments.six]
flow = "forecast"
[deployments.six.settings]
name = "salse"
path = "newer.csv"
[deployments.seven]
flow = "monitor"
[deployments.seven.settings]
prometheus = "figures"
"""
    problems = found(folder, text)
    for word in (
        "Mars/Olympus", "runs_at_once", "webhook", "colour", "'never'", "when_busy", "settings.name", "warm_start",
        "lookback", "hidden_size", "missing.txt", "gone.txt", "train.conll", "dev.conll", "'nothing'", "'salse'",
        "newer.csv",
    ):  # fmt: skip
        assert sum(word in problem for problem in problems) == 1, (word, problems)
    assert len(problems) == 17
    assert not any("\n" in problem or "text.txt" in problem for problem in problems)


def test_a_good_file_has_no_problem(folder: Path) -> None:
    text = retrain("nightly", 'path = "good.parquet"') + retrain("away", 'path = "https://example.com/sales.csv"')
    text += '[deployments.daily]\nflow = "forecast"\n[deployments.daily.settings]\nname = "good"\n'
    assert found(folder, text) == []
    assert not (folder / "workspace").exists()


def test_files_of_other_machines_are_not_looked_for(folder: Path) -> None:
    assert found(folder, retrain("nightly", 'path = "missing.csv"'), elsewhere=True) == []
    assert found(folder, retrain("nightly", 'calendar = "XNOWHERE"'), elsewhere=True)


@pytest.mark.parametrize("text", ["deployments = 3", "[deployments]\nnightly = 3", "x = [", '"a\\nb" = 3', "\x00"])
def test_whatever_the_file_holds_it_is_a_sentence(folder: Path, text: str) -> None:
    problems = found(folder, text)
    assert problems
    assert all(len(problem.splitlines()) == 1 for problem in problems)


def test_names_are_shown_on_one_line(folder: Path) -> None:
    hostile = r'"\"../x\n<b>\""'
    text = f'[deployments.{hostile}]\nflow = "retrain"\n[deployments.{hostile}.settings.data]\npath = {hostile}\n'
    problems = found(folder, text)
    assert problems
    assert all(len(problem.splitlines()) == 1 for problem in problems)


def test_the_command_prints_each_and_ends_with_2(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATECAST_HOME", str(folder / "workspace"))
    monkeypatch.setenv("COLUMNS", "400")
    (folder / "gatecast.toml").write_text(retrain("a", 'path = "one.csv"') + retrain("b", 'path = "two.csv"'))
    result = CliRunner().invoke(app, ["serve", "--check"])
    assert result.exit_code == 2
    assert result.stderr.count("Error:") == 2
    assert result.stderr.count("does not exist") == 2
