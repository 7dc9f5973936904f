from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gatecast.data.errors import InputError, SourceError
from gatecast.data.store import content_hash, read_parquet, write_parquet
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.ingest import ingest_data, read_data, table_of
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.workspace import Workspace
from tests.damage import HARM_NAMES, HARMS, Harm
from tests.data.frames import make_bars
from tests.data.yahoo.server import Reply, Yahoo, listing, serving

JANUARY = DataSettings(start=date(2018, 1, 1), end=date(2018, 1, 31))


def test_each_series_gets_a_file_that_says_where_it_comes_from(tmp_path: Path) -> None:
    result = read_data(JANUARY, Workspace(tmp_path))
    files = sorted(Path(result["directory"]).glob("*.parquet"))
    assert len(files) == 2
    frame, metadata = read_parquet(files[0])
    assert metadata["kind"] == "bars"
    assert metadata["source"] == "sample"
    assert frame["unique_id"].unique().tolist() == ["nasdaq"]


def test_what_was_written_reads_back_as_it_was(tmp_path: Path) -> None:
    result = read_data(JANUARY, Workspace(tmp_path))
    assert content_hash(read_ingested(Path(result["directory"]))) == result["content_hash"]
    assert (result["kind"], result["last"]) == ("bars", "2018-01-31")


def test_the_same_data_is_not_written_twice(tmp_path: Path) -> None:
    first = read_data(JANUARY, Workspace(tmp_path))
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    again = read_data(JANUARY, Workspace(tmp_path))
    assert (again["directory"], again["content_hash"]) == (first["directory"], first["content_hash"])
    assert [record["new"] for record in first["series"] + again["series"]] == [21, 21, 0, 0]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == times


def in_folder(result: dict[str, Any]) -> dict[str, bytes]:
    folder = Path(result["directory"])
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("harm", HARMS, ids=HARM_NAMES)
@pytest.mark.parametrize("name", ["overview.json", "sp500+.parquet"])
def test_a_damaged_file_is_written_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, name: str, harm: Harm
) -> None:
    monkeypatch.setattr("gatecast.flows.ingest.utc_now", lambda: pd.Timestamp("2018-02-01", tz="UTC"))
    first = read_data(JANUARY, Workspace(tmp_path))
    whole = in_folder(first)
    harm(Path(first["directory"], name))
    again = read_data(JANUARY, Workspace(tmp_path))
    assert again == {**first, "series": [{**record, "new": 0} for record in first["series"]]}
    assert in_folder(again) == whole
    assert "written again" in caplog.text
    assert first["directory"] in caplog.text
    caplog.clear()
    assert read_data(JANUARY, Workspace(tmp_path)) == again
    assert not caplog.messages


@pytest.mark.parametrize("harm", HARMS, ids=HARM_NAMES)
def test_a_damaged_overview_of_older_data_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Harm
) -> None:
    old = read_data(JANUARY, Workspace(tmp_path))
    harm(Path(old["directory"], "overview.json"))
    new = read_data(DataSettings(start=date(2018, 1, 1), end=date(2018, 2, 2)), Workspace(tmp_path))
    assert [record["new"] for record in new["series"]] == [2, 2]
    harm(Path(new["directory"], "overview.json"))
    for file in Path(new["directory"]).glob("*.parquet"):
        harm(file)
    newest = read_data(DataSettings(start=date(2018, 1, 1), end=date(2018, 2, 5)), Workspace(tmp_path))
    assert "overview.json" in caplog.text
    assert [record["rows"] for record in newest["series"]] == [24, 24]


@pytest.mark.parametrize("harm", HARMS, ids=HARM_NAMES)
def test_a_damaged_quarantine_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Harm) -> None:
    path = tmp_path / "prices.csv"
    make_bars(("A",), rows=30).assign(close=lambda bars: bars["close"].where(bars.index != 7, -1)).to_csv(path)
    settings = DataSettings(source="csv", path=path, bad_rows="quarantine")
    quarantine = Path(read_data(settings, Workspace(tmp_path))["quarantine"])
    harm(quarantine)
    damaged = quarantine.read_bytes()
    assert read_data(settings, Workspace(tmp_path))["quarantine"] == str(quarantine)
    assert len(read_parquet(quarantine)[0]) == 1
    aside = quarantine.with_name(f"{quarantine.name}.damaged")
    assert aside.read_bytes() == damaged
    assert str(aside) in caplog.text


def test_wrong_input_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dow"):
        read_data(DataSettings(symbols=("dow",)), Workspace(tmp_path))
    assert not (tmp_path / "bars").exists()


def test_an_empty_folder_is_no_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Parquet file"):
        read_ingested(tmp_path)


def test_what_an_older_version_wrote_is_still_read(tmp_path: Path) -> None:
    bars = make_bars(("A",)).astype({"ds": "datetime64[ns]"})
    write_parquet(bars, tmp_path / "A.parquet", {"kind": "bars", "source": "sample", "origin": "sample"})
    frame = read_ingested(tmp_path)
    assert frame[list(bars.columns)].equals(bars)


def test_wrong_rows_of_a_file_can_go_to_quarantine(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    make_bars(("A",), rows=30).assign(close=lambda bars: bars["close"].where(bars.index != 7, -1)).to_csv(path)
    settings = DataSettings(source="csv", path=path)
    with pytest.raises(InputError, match="row 8"):
        read_data(settings, Workspace(tmp_path))
    result = read_data(settings.model_copy(update={"bad_rows": "quarantine"}), Workspace(tmp_path))
    assert result["series"][0]["rows"] == 29
    assert result["series"][0]["refused"] == 1
    assert "1 of 30 rows were put in quarantine; the first: row 8" in result["notices"][0]
    refused, _ = read_parquet(Path(result["quarantine"]))
    assert "close is -1.0" in refused["problem"].iloc[0]


@pytest.mark.parametrize("symbol", ["../x", "A/B", "x" * 200, "🚀", "CON", "a", "..", "C:\\x", "nul\x00"])
def test_no_symbol_of_a_file_leads_out_of_its_folder(tmp_path: Path, symbol: str) -> None:
    path = tmp_path / "in.parquet"
    write_parquet(pd.concat([make_bars((symbol,)), make_bars((symbol.swapcase() + "Z",))]), path)
    result = read_data(DataSettings(source="parquet", path=path), Workspace(tmp_path))
    written = [file for file in tmp_path.rglob("*.parquet") if file != path]
    assert len(written) == 2
    assert {file.parent for file in written} == {Path(result["directory"])}
    assert set(read_ingested(Path(result["directory"]))["unique_id"]) == {symbol, symbol.swapcase() + "Z"}


def test_a_folder_s_old_and_new_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    write_parquet(make_bars(("A",), rows=30), path)
    read_data(DataSettings(source="parquet", path=path), Workspace(tmp_path))
    write_parquet(make_bars(("A", "B"), rows=40), path)
    result = read_data(DataSettings(source="parquet", path=path), Workspace(tmp_path))
    assert [(record["unique_id"], record["new"]) for record in result["series"]] == [("A", 10), ("B", 40)]


# ---------------------------------------------------------------- Yahoo, played by a server on this machine


@pytest.fixture
def yahoo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Yahoo]:
    with serving() as server:
        monkeypatch.setenv("GATECAST_YAHOO_URL", server.address)
        yield server


def yahoo_settings(*symbols: str, **options: object) -> DataSettings:
    return DataSettings(source="yahoo", symbols=symbols, requests_per_second=1000, **options)


def test_yahoo_s_bars_become_a_folder_like_any_other(yahoo: Yahoo, tmp_path: Path) -> None:
    yahoo.listings["AAPL"] = listing(splits={20: 4.0})
    yahoo.listings["^GSPC"] = listing(seed=1)
    result = read_data(yahoo_settings("AAPL", "^gspc"), Workspace(tmp_path))
    assert [(record["unique_id"], record["new"]) for record in result["series"]] == [("AAPL", 40), ("^GSPC", 40)]
    frame = read_ingested(Path(result["directory"]))
    assert list(frame.columns) == ["unique_id", "ds", "open", "high", "low", "close", "volume"]
    assert (tmp_path / "bars" / "yahoo" / "1d" / "^GSPC.parquet").exists()
    assert (tmp_path / "yahoo").is_dir()  # yfinance's own caches stay in the workspace


def test_a_failing_yahoo_is_told_and_the_last_good_rows_used(yahoo: Yahoo, tmp_path: Path) -> None:
    yahoo.listings["FAIL"] = listing()
    settings = yahoo_settings("FAIL")
    first = read_data(settings, Workspace(tmp_path))
    yahoo.always["FAIL"] = Reply(401, "")
    second = read_data(settings, Workspace(tmp_path))
    assert second["directory"] == first["directory"]
    assert "1 from the store, since the source failed" in second["summary"]
    assert "source refused: last good rows" in table_of(second["series"])[0]["problems"]
    assert "The last good rows are used" in second["notices"][0]
    with pytest.raises(SourceError, match="more than --max-stale 0min allows"):
        read_data(settings.model_copy(update={"max_stale": "0min"}), Workspace(tmp_path))


def test_the_flow_shows_a_table_and_records_a_task_for_each_symbol(
    yahoo: Yahoo, server: str, workspace: Workspace
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    yahoo.listings["ONE"] = listing()
    yahoo.listings["TWO"] = listing(seed=1)
    result = ingest_data(yahoo_settings("ONE", "TWO"))
    assert [record["unique_id"] for record in result["series"]] == ["ONE", "TWO"]
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["ingest"])))
        names = {run.name for run in client.read_task_runs(limit=200)}
    tables = [json.loads(artifact.data) for artifact in artifacts]
    assert any([row["symbol"] for row in table] == ["ONE", "TWO"] for table in tables)
    assert list(tables[0][0]) == ["symbol", "rows", "range", "new rows", "age", "rows overdue", "problems"]
    assert {"fetch ONE", "fetch TWO", "ingest yahoo"} <= names


@pytest.mark.parametrize(
    ("text", "expected"), [("5d", "5 days"), ("12h", "12 hours"), ("30min", "30 minutes"), (None, None)]
)
def test_an_age_is_a_number_and_a_unit(text: str | None, expected: str | None) -> None:
    age = DataSettings(max_stale=text).longest_age
    assert age == (None if expected is None else pd.Timedelta(expected))


def of_days(path: Path, **series: int) -> DataSettings:
    """A file of daily series that end so many days before 10 March 2024."""
    last = pd.Timestamp("2024-03-10")
    rows = [
        pd.DataFrame({"unique_id": name, "ds": pd.date_range("2024-01-01", last - pd.Timedelta(days=days)), "y": 1.5})
        for name, days in series.items()
    ]
    pd.concat(rows).to_csv(path, index=False)
    return DataSettings(source="csv", path=path)


def test_old_rows_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = of_days(tmp_path / "sales.csv", a=0, b=9)
    workspace = Workspace(tmp_path / "workspace")
    monkeypatch.setattr("gatecast.flows.ingest.utc_now", lambda: pd.Timestamp("2024-03-11 06:00", tz="UTC"))
    result = read_data(settings, workspace)
    assert result["age"]["is_stale"]
    assert result["summary"].endswith("the last row is of 2024-03-01, 9 are overdue; 1 (b) of 2 series late")
    assert [row["rows overdue"] for row in table_of(result["series"])] == ["0", "9"]
    assert not read_data(settings.model_copy(update={"max_overdue": 9}), workspace)["age"]["is_stale"]
    # Data with a last day are not expected to go on.
    ends = settings.model_copy(update={"end": date(2024, 3, 1)})
    monkeypatch.setattr("gatecast.flows.ingest.utc_now", lambda: pd.Timestamp("2027-03-11", tz="UTC"))
    assert not read_data(ends, workspace)["age"]["is_stale"]
    assert read_data(settings, workspace)["age"]["overdue"] == 1104


def test_the_sample_and_steps_do_not_get_old(tmp_path: Path) -> None:
    assert read_data(JANUARY, Workspace(tmp_path))["age"]["overdue"] is None
    path = tmp_path / "steps.csv"
    pd.DataFrame({"unique_id": "a", "ds": range(50), "y": 1.5}).to_csv(path, index=False)
    numbered = DataSettings(source="csv", path=path, date_format="steps")
    result = read_data(numbered, Workspace(tmp_path))
    assert result["age"]["overdue"] is None
    assert table_of(result["series"])[0]["rows overdue"] == "–"
