from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from data.errors import InputError
from data.store import content_hash, read_parquet
from flows.ingest import ingest, read_ingested
from flows.settings import DataSettings
from tests.flows.conftest import contents

JANUARY = DataSettings(start=date(2018, 1, 1), end=date(2018, 1, 31))


def test_each_series_gets_a_file_that_says_where_it_comes_from(tmp_path: Path) -> None:
    result = ingest.fn(JANUARY, str(tmp_path))
    files = sorted(Path(result["directory"]).iterdir())
    assert len(files) == 2
    frame, metadata = read_parquet(files[0])
    assert metadata["kind"] == "bars"
    assert metadata["source"] == "sample"
    assert frame["unique_id"].unique().tolist() == ["nasdaq"]


def test_what_was_written_reads_back_as_it_was(tmp_path: Path) -> None:
    result = ingest.fn(JANUARY, str(tmp_path))
    assert content_hash(read_ingested(Path(result["directory"]))) == result["content_hash"]
    assert (result["kind"], result["last"]) == ("bars", "2018-01-31")


def test_the_same_data_is_not_written_twice(tmp_path: Path) -> None:
    first = ingest.fn(JANUARY, str(tmp_path))
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert ingest.fn(JANUARY, str(tmp_path)) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == times


def test_a_damaged_file_is_written_anew(tmp_path: Path) -> None:
    first = ingest.fn(JANUARY, str(tmp_path))
    whole = contents(tmp_path)
    next(iter(tmp_path.rglob("*.parquet"))).write_bytes(b"PAR1")
    assert ingest.fn(JANUARY, str(tmp_path)) == first
    assert contents(tmp_path) == whole


def test_wrong_input_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dow"):
        ingest.fn(DataSettings(symbols=("dow",)), str(tmp_path / "bars"))
    assert not (tmp_path / "bars").exists()


def test_an_empty_folder_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Parquet file"):
        read_ingested(tmp_path)
