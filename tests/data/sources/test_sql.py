from __future__ import annotations

import sqlite3
import traceback
from decimal import Decimal

import pandas as pd
import pytest

from gatecast.data.errors import InputError, SourceError
from gatecast.data.sources.selection import Selection
from gatecast.data.sources.source import open_source
from gatecast.data.sources.sql import SqlSource
from gatecast.data.sources.tables import check_table
from tests.data.frames import make_bars

ALL = Selection()


@pytest.fixture
def database(tmp_path):
    """A database with bars, out of order, and its URL."""
    path = tmp_path / "prices.db"
    with sqlite3.connect(path) as connection:
        make_bars(("A", "B"), rows=6)[::-1].to_sql("bars", connection, index=False)
    connection.close()
    return f"sqlite:///{path}"


def test_a_query_gives_bars_in_any_order(database):
    bars = open_source("sql", url=database, query="SELECT * FROM bars").read(ALL)
    pd.testing.assert_frame_equal(
        bars, make_bars(("A", "B"), rows=6).astype({"ds": "datetime64[ns]"}), check_dtype=False
    )


def test_a_query_gives_series_and_numbers_as_names(database):
    query = "SELECT 7 AS unique_id, ds, close AS y, volume FROM bars WHERE unique_id = 'A'"
    frame = SqlSource(database, query).read(ALL)
    assert set(frame["unique_id"]) == {"7"}
    assert list(frame.columns) == ["unique_id", "ds", "y", "volume"]


def test_decimals_of_a_database_are_numbers():
    frame = pd.DataFrame({"ds": ["2020-01-01", "2020-01-02"], "y": [Decimal("1.50"), Decimal("2.25")]})
    assert check_table(frame, "s", "f").rows["y"].tolist() == [1.5, 2.25]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM elsewhere", "failed: no such table: elsewhere; correct the query"),
        ("SELEC", "correct the query"),
        ("SELECT * FROM bars WHERE 0", "has no rows"),
        ("DELETE FROM bars", "correct the query"),
        ("SELECT ds FROM bars", "has no column 'open'"),
    ],
)
def test_a_wrong_query_is_one_sentence(database, query, message):
    with pytest.raises(InputError, match=message):
        SqlSource(database, query).read(ALL)


def test_a_query_changes_nothing(database):
    with pytest.raises(InputError):
        SqlSource(database, "DELETE FROM bars").read(ALL)
    assert len(SqlSource(database, "SELECT * FROM bars WHERE ds > '2019-12-31 00:00:00'").read(ALL)) == 12


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(InputError, match=r"none\.db does not exist"):
        SqlSource(f"sqlite:///{tmp_path}/none.db", "SELECT 1").read(ALL)
    assert list(tmp_path.iterdir()) == []


WITH_PASSWORD = [
    "postgresql+psycopg://me:hunter2@host/db",
    "postgresql+psycopg://host/db?password=hunter2",
    "postgres:/me:hunter2@host/db",
    "me:hunter2@host/db",
    "mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dhunter2",
]


@pytest.mark.parametrize("url", WITH_PASSWORD)
def test_a_password_is_neither_taken_nor_shown(monkeypatch, url):
    with pytest.raises(InputError, match="holds a secret, such as a password") as error:
        SqlSource(url, "SELECT 1").read(ALL)
    assert "hunter2" not in str(error.value)
    monkeypatch.setenv("SALES_DB", url)
    with pytest.raises((InputError, SourceError)) as error:
        SqlSource("$SALES_DB", "SELECT 1").read(ALL)
    assert "hunter2" not in "".join(traceback.format_exception(error.value))


def test_a_password_alone_may_be_in_a_variable(database, monkeypatch):
    monkeypatch.setenv("PASSWORD", "hunter2")
    with pytest.raises(InputError, match=r"me:\$\{PASSWORD\}@host/db needs a driver that is not installed"):
        SqlSource("postgresql+nodriver://me:${PASSWORD}@host/db", "SELECT 1").read(ALL)
    monkeypatch.setenv("FOLDER", database.removeprefix("sqlite:///").removesuffix("/prices.db"))
    assert len(SqlSource("sqlite:///${FOLDER}/prices.db", "SELECT * FROM bars").read(ALL)) == 12


def test_a_variable_that_holds_no_url_is_named_and_not_shown(monkeypatch):
    monkeypatch.setenv("SALES_DB", "hunter2")
    with pytest.raises(InputError, match=r"What \$SALES_DB holds is not a database URL") as error:
        SqlSource("$SALES_DB", "SELECT 1").read(ALL)
    assert "hunter2" not in "".join(traceback.format_exception(error.value))


def test_a_url_in_a_variable_is_read(database, monkeypatch):
    monkeypatch.setenv("PRICES_DB", database)
    assert len(SqlSource("$PRICES_DB", "SELECT * FROM bars").read(ALL)) == 12
    with pytest.raises(InputError, match="variable NOWHERE is not set"):
        SqlSource("$NOWHERE", "SELECT 1").read(ALL)


@pytest.mark.parametrize("url", ["", "prices.db", "nosuch://x/y"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(InputError):
        SqlSource(url, "SELECT 1").read(ALL)


def test_url_and_query_go_together():
    with pytest.raises(InputError, match="give them with --url and --query"):
        open_source("sql", url="sqlite:///x")
