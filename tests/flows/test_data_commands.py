"""``gatecast fetch`` and ``gatecast data check``, as a person types them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from gatecast.data.store import read_parquet
from gatecast.flows.commands.fetch import FetchOptions
from gatecast.flows.settings.runs import DataSettings, Workspace
from tests.data.frames import make_bars
from tests.data.yahoo.server import Reply, Yahoo, listing, serving
from tests.flows.test_cli import gatecast, plain
from tests.flows.typed import parsed

FAST = ("--source", "yahoo", "--requests-per-second", "1000")


@pytest.fixture
def yahoo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Yahoo]:
    with serving() as server:
        monkeypatch.setenv("GATECAST_YAHOO_URL", server.address)
        yield server


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    make_bars(("A", "B"), rows=30).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("path", "source"), [("a.csv", "csv"), ("a.PARQUET", "parquet"), ("s3://b/c.parquet", "parquet"), ("folder", "csv")]
)
def test_a_path_alone_tells_its_source(path: str, source: str) -> None:
    settings = parsed(FetchOptions, "--path", path).data.settings()
    assert settings.source == source
    assert DataSettings.model_validate_json(settings.model_dump_json()) == settings


def test_a_url_keeps_its_form_and_a_path_becomes_absolute() -> None:
    for path, kept in (("s3://bucket/x.parquet", "s3://bucket/x.parquet"), ("x.csv", Path("x.csv").resolve())):
        assert parsed(FetchOptions, "--path", path).data.settings().path == kept


def test_series_are_a_list_and_days_are_days() -> None:
    data = parsed(FetchOptions, "--symbols", "A, ^GSPC", "--start", "2010-01-01").data.settings()
    assert (data.symbols, data.start) == (("A", "^GSPC"), date(2010, 1, 1))
    assert parsed(FetchOptions, "--symbols", " ").data.settings().symbols == ()


def test_a_good_file_is_described(prices: Path, workspace: Workspace) -> None:
    done = gatecast("data", "check", str(prices))
    assert done.exit_code == 0, done.output
    for expected in (
        "60 good rows, 0 wrong",
        "2020-01-01",
        "Nothing is wrong",
        f"retrain --source csv --path {prices}",
    ):
        assert expected in plain(done.output)
    assert not workspace.root.exists()


def test_all_that_is_wrong_is_listed_and_can_be_written(prices: Path, tmp_path: Path) -> None:
    lines = prices.read_text().splitlines()
    lines[5] = lines[5].replace(lines[5].split(",")[2], "n/a", 1)
    lines[9] = lines[8]
    prices.write_text("\n".join(lines))
    done = gatecast("data", "check", str(prices), "--output", str(tmp_path / "problems.parquet"))
    assert done.exit_code == 2
    for expected in (
        "row 5 (A, 2020-01-07): open is 'n/a'",
        "row 9 (A): ds is 2020-01-10",
        "2 errors",
        "--bad-rows quar",
    ):
        assert expected in done.output
    problems, _ = read_parquet(tmp_path / "problems.parquet")
    assert problems["rule"].tolist() == ["number", "twice"]


def test_gaps_are_looked_for_with_a_calendar(prices: Path) -> None:
    done = gatecast("data", "check", str(prices), "--calendar", "XNYS")
    assert done.exit_code == 0
    assert "a day on which XNYS does not trade" in done.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["data", "check", "nothing.csv"], "nothing.csv does not exist"),
        (["data", "check", "a.csv", "--path", "b.csv"], "Two files are named"),
        (["data", "check", "--source", "yahoo"], "use gatecast fetch"),
        (["data", "check", "--calendar", "MARS"], "no calendar 'MARS'"),
        (["fetch", "--source", "yahoo", "--max-stale", "soon"], "--max-stale soon is not allowed"),
        (["fetch", "--source", "excel"], "--source excel is not allowed"),
        (["fetch", "--source", "yahoo", "--requests-per-second", "0"], "--requests-per-second 0.0 is not allowed"),
    ],
)
def test_wrong_input_is_one_sentence(workspace: Workspace, arguments: list[str], expected: str) -> None:
    done = gatecast(*arguments)
    assert done.exit_code == 2, done.output
    assert expected in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_fetching_shows_what_is_new(server: str, workspace: Workspace, yahoo: Yahoo) -> None:
    yahoo.listings["NEW"] = listing()
    done = gatecast("fetch", *FAST, "--symbols", "NEW")
    assert done.exit_code == 0, done.output
    for expected in ("NEW", "40", "2024-01-02", "2024-02-28", str(workspace.bars), "Next:"):
        assert expected in done.output


def test_a_failing_source_is_told_and_may_be_an_error(server: str, workspace: Workspace, yahoo: Yahoo) -> None:
    yahoo.listings["OLD"] = listing()
    assert gatecast("fetch", *FAST, "--symbols", "OLD").exit_code == 0
    yahoo.always["OLD"] = Reply(401, "")
    done = gatecast("fetch", *FAST, "--symbols", "OLD")
    assert done.exit_code == 0
    assert "The last good rows are used" in " ".join(done.output.split())
    done = gatecast("fetch", *FAST, "--symbols", "OLD", "--max-stale", "0min")
    assert done.exit_code == 1
    assert "more than --max-stale 0min allows" in " ".join(done.output.split())


def test_an_unknown_symbol_is_wrong_input(server: str, workspace: Workspace, yahoo: Yahoo) -> None:
    done = gatecast("fetch", *FAST, "--symbols", "NOSUCH")
    assert done.exit_code == 2
    assert "Yahoo gave no bars of NOSUCH: it does not know the symbol" in " ".join(done.output.split())
