"""The workspace's files: what is in them, who else can read them, and what happens when something goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gatecast.data.bars.store import SCHEMA_VERSION, BarStore, NewerFileError, add_to_quarantine, read_rows, write_rows
from gatecast.data.errors import InputError
from gatecast.data.store import content_hash, locked, read_parquet, write_parquet
from tests.data.frames import make_bars

FETCHED = {"source": "yahoo", "fetched_at": "2024-03-01T21:00:00+00:00"}
BARS = make_bars().astype({"ds": "datetime64[ns]"})
ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path):
    return BarStore(tmp_path / "bars", tmp_path / "quarantine")


def test_a_file_describes_itself(tmp_path):
    path = write_rows(BARS, tmp_path / "A.parquet", FETCHED)
    stored = read_rows(path)
    assert content_hash(stored.rows) == stored.metadata["content_hash"]
    expected = {"first": "2020-01-01", "last": "2020-03-24", "rows": "60", "symbol": "A", "kind": "bars"}
    assert {name: stored.metadata[name] for name in expected} == expected
    assert stored.metadata["schema_version"] == str(SCHEMA_VERSION)
    assert stored.fetched_at == pd.Timestamp("2024-03-01 21:00Z")
    assert pq.ParquetFile(path).metadata.row_group(0).column(2).compression == "ZSTD"


def test_pandas_and_duckdb_read_the_file_as_it_is(store):
    path = store.write(BARS.assign(unique_id="EURUSD=X"), "1d", FETCHED)
    expected = BARS["close"].sum()
    assert pd.read_parquet(path)["close"].sum() == expected
    with duckdb.connect() as connection:
        query = "SELECT count(*), sum(close), min(ds) FROM read_parquet($path, hive_partitioning = false)"
        rows, total, first = connection.execute(query, {"path": str(path)}).fetchone()
        keys = connection.execute("SELECT decode(key) FROM parquet_kv_metadata($path)", {"path": str(path)}).fetchall()
    assert (rows, first) == (60, pd.Timestamp("2020-01-01"))
    assert total == pytest.approx(expected, rel=1e-12)
    assert {"schema_version", "content_hash", "fetched_at", "source"} <= {key for (key,) in keys}


def test_an_older_file_is_brought_to_today_s_form(tmp_path):
    path = write_parquet(BARS, tmp_path / "A.parquet", {"kind": "bars", "source": "sample", "origin": "sample"})
    stored = read_rows(path)
    assert stored.metadata["schema_version"] == "2"
    assert (stored.rows["dividend"] == 0).all()
    assert (stored.rows["split"] == 1).all()
    assert stored.metadata["content_hash"] == content_hash(stored.rows)
    assert read_rows(write_rows(stored.rows, path, stored.metadata)).metadata == stored.metadata


def test_a_newer_file_is_neither_read_nor_replaced(store):
    path = store.write(BARS, "1d", FETCHED)
    rows, metadata = read_parquet(path)
    write_parquet(rows, path, {**metadata, "schema_version": "99"})
    with pytest.raises(NewerFileError, match=r"newer Gatecast \(schema version 99"):
        store.read("A", "1d")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows, metadata: (rows.assign(close=1.0), metadata), "content hash differs"),
        (lambda rows, metadata: (rows, {"schema_version": "two"}), "is not a file of this workspace"),
        (lambda rows, metadata: (rows.drop(columns="ds"), {}), "is not a file of this workspace"),
    ],
)
def test_a_file_that_is_not_what_was_written_is_named(store, change, message):
    path = store.write(BARS, "1d", FETCHED)
    rows, metadata = change(*read_parquet(path))
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(metadata), path)
    with pytest.raises(InputError, match=message):
        store.read("A", "1d")


def test_what_is_not_stored_is_none(store):
    assert store.read("NOTHING", "1d") is None


def test_refused_rows_are_kept_once_whatever_their_types(tmp_path):
    path = tmp_path / "q" / "A.parquet"
    one = pd.DataFrame({"unique_id": ["A"], "close": ["n/a"], "problem": ["no number"]})
    other = pd.DataFrame({"unique_id": ["A"], "close": [-1.0], "problem": ["below 0"], "source": ["yahoo"]})
    for rows in (one, other, one, other):
        add_to_quarantine(rows, path)
    kept, _ = read_parquet(path)
    assert kept["close"].tolist() == ["n/a", "-1.0"]


WRITER = """
import sys, pandas as pd
from gatecast.data.bars.store import BarStore
from pathlib import Path
from tests.data.frames import make_bars
store = BarStore(Path(sys.argv[1]), Path(sys.argv[1]))
bars = make_bars(rows=3000).astype({"ds": "datetime64[ns]"})
print("ready", flush=True)
while True:
    with store.locked("A", "1d"):
        store.write(bars, "1d", {"source": "x", "fetched_at": "2020-01-01T00:00:00+00:00"})
"""


def test_a_writer_that_is_killed_leaves_a_whole_file_and_no_lock(store):
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store.root)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout.readline() == "ready\n"
        while not store.path("A", "1d").exists():
            time.sleep(0.01)
        time.sleep(0.2)  # somewhere in one of the writes that follow
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        with store.locked("A", "1d"):  # would hang, were the lock still held
            assert len(store.read("A", "1d").rows) == 3000
            assert sorted(path.name for path in store.root.rglob("*.*")) == [".A.parquet.lock", "A.parquet"]


def test_a_lock_keeps_others_out(tmp_path):
    path = tmp_path / "f"
    code = (
        "import sys; from pathlib import Path; from gatecast.data.store import locked\n"
        "with locked(Path(sys.argv[1])): print('in')"
    )
    with locked(path):
        other = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(1.0)
    assert other.communicate()[0] == "in\n"
