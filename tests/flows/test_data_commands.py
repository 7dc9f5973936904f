"""``gatecast fetch`` and ``gatecast data check``, as a person types them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sequences.splits import SplitSettings
from gatecast.data.store import read_parquet
from gatecast.flows.commands.data import CheckOptions, settings_of
from gatecast.flows.commands.fetch import FetchOptions
from gatecast.flows.commands.setting import settings_in
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.workspace import Workspace
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
    make_bars(("A", "B"), rows=240).to_csv(path, index=False)
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
        "480 good rows, 0 wrong",
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
        "--bad-rows quarantine would leave out 2 of 480 rows: 2 of A.",
        "--bad-rows quar",
    ):
        assert expected in done.output
    problems, _ = read_parquet(tmp_path / "problems.parquet")
    assert problems["rule"].tolist() == ["number", "twice"]


def test_gaps_are_looked_for_with_a_calendar(prices: Path) -> None:
    done = gatecast("data", "check", str(prices), "--calendar", "XNYS")
    assert done.exit_code == 0
    assert "a day on which XNYS does not trade" in done.output


def series(**changes: Any) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    days = pd.date_range("2020-01-01", periods=200)
    return pd.DataFrame({"unique_id": "a", "ds": days, "y": 100 + rng.normal(size=200)}).assign(**changes)


def written(tmp_path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(tmp_path / "data.csv", index=False)
    return tmp_path / "data.csv"


def told(text: str) -> str:
    return " ".join(plain(text).split())


def test_what_would_be_lost_is_named_and_much_is_not_advised(tmp_path: Path) -> None:
    frame = series()
    frame["y"] = frame["y"].astype(object)
    frame.loc[60:, "y"] = "?"
    output = told(gatecast("data", "check", str(written(tmp_path, frame))).output)
    assert (
        "140 of 200 rows are wrong: too many to leave out. Most often, in 140 rows, it is y, which is not a" in output
    )
    assert "quarantine" not in output
    output = told(gatecast("data", "check", str(written(tmp_path, series(weather="rain")))).output)
    assert "No row has a number in weather; correct the column, or leave it out: --exclude weather." in output
    assert "quarantine" not in output


def test_a_covariate_that_is_text_in_many_rows_can_be_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, series(holiday=["0", "a"] * 100))
    output = told(gatecast("data", "check", str(path)).output)
    assert "correct or remove the row, or leave the column out: --exclude holiday." in output
    path = written(tmp_path, series(open=["yes", "no"] * 100))  # of a shop, not a price
    assert "or leave it out: --exclude open." in told(gatecast("data", "check", str(path)).output)


def test_a_column_that_is_needed_is_not_left_out(tmp_path: Path) -> None:
    output = told(gatecast("data", "check", str(written(tmp_path, series(y="many")))).output)
    assert "No row has a number in y; correct the column." in output


def test_a_series_that_would_be_lost_is_named(tmp_path: Path) -> None:
    small = series(unique_id="b", y=["?"] * 5 + [1.0] * 195)[:10]
    done = gatecast("data", "check", str(written(tmp_path, pd.concat([series(), small]))))
    assert "5 of 210 rows are wrong, 50% of b among them: too many to leave out" in told(done.output)


def test_the_newest_row_first_is_sorted(tmp_path: Path) -> None:
    path = written(tmp_path, series()[::-1])
    done = gatecast("data", "check", str(path), "--lookback", "20", "--bidirectional")
    assert done.exit_code == 0
    assert "200 good rows" in done.output
    assert "the rows were sorted by date" in told(done.output)
    assert f"retrain --source csv --path {path} --bidirectional --lookback 20" in told(done.output)


def test_what_a_retrain_would_learn_from_is_told(tmp_path: Path) -> None:
    output = told(gatecast("data", "check", str(written(tmp_path, series())), "--lookback", "20").output)
    assert "A retrain would have 120 training, 19 validation, 39 test windows; training ends on 2020-05-19" in output


def test_doubts_are_told(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=200).delete(slice(80, 89))
    parts = {"constant": 5.0, "line": np.arange(191.0), "large": 1e7 * series()["y"][:191]}
    frame = pd.concat([series()[:191].assign(unique_id=name, ds=days, y=y) for name, y in parts.items()])
    done = gatecast("data", "check", str(written(tmp_path, pd.concat([series(), series(unique_id="b"), frame]))))
    assert done.exit_code == 0
    for expected in (
        "constant, 2020-01-01: y is 5, as in all 191 rows",
        "line, 2020-01-01: y is 0, and all later values follow from the first ones",
        "times larger than the others",
        "the first of 9 days without a row",
    ):
        assert expected in told(done.output)


def opened_late() -> pd.DataFrame:
    return pd.concat([series(), series(unique_id="new")[190:]])


CASES: dict[str, tuple[pd.DataFrame, tuple[str, ...]]] = {
    "good": (series(), ("--lookback", "20")),
    "newest first": (series()[::-1], ("--lookback", "20")),
    "constant": (series(y=0.0025), ("--lookback", "20")),
    "too short": (series()[:50], ()),
    "lookback": (series(), ("--lookback", "190")),
    "horizon": (series(), ("--lookback", "20", "--horizon", "60")),
    "no test": (series(), ("--lookback", "20", "--train-end", "2020-06-01", "--validation-end", "2021-01-01")),
    "no training": (series(), ("--lookback", "20", "--train-end", "2019-06-01", "--validation-end", "2020-02-01")),
    "opened late": (opened_late(), ("--lookback", "5")),
    "opened late, lookback": (opened_late(), ("--lookback", "20")),
    "text": (series(weather="rain"), ("--lookback", "20")),
    "no number": (series(y=lambda rows: rows["y"].astype(object).where(rows.index != 7, "?")), ("--lookback", "20")),
    "no number, left out": (
        series(y=lambda rows: rows["y"].astype(object).where(rows.index != 7, "?")),
        ("--lookback", "20", "--bad-rows", "quarantine"),
    ),
    "none good": (series(y=None), ("--lookback", "20", "--bad-rows", "quarantine")),
    "no order": (series().sample(frac=1, random_state=0), ("--lookback", "20")),
    "too large": (series(y=lambda rows: 1e200 * rows["y"]), ("--lookback", "20")),
    "target": (series(), ("--target", "range")),
    "symbol": (series(), ("--lookback", "20", "--symbols", "b")),
    "frequency": (series(), ("--lookback", "20", "--freq", "MS")),
    "closed": (series()[::7], ("--lookback", "4", "--closed", "WED")),
    "missing": (
        series(y=lambda rows: rows["y"].astype(object).where(rows.index % 50 != 7, "NA")),
        ("--lookback", "20"),
    ),
    "steps": (series(ds=range(200)), ("--lookback", "20", "--date-format", "steps")),
    "steps, not said": (series(ds=range(200)), ("--lookback", "20")),
    "a total": (pd.concat([series(), pd.DataFrame({"unique_id": ["a"], "ds": ["Total"], "y": [1.0]})]), ()),
    "two targets": (series(price=2.5).rename(columns={"y": "sales"}), ()),
    "no target": (series().rename(columns={"y": "sales"}), ("--lookback", "20")),
    "bars": (make_bars(rows=120), ("--lookback", "20")),
    "bars, too few": (make_bars(rows=15), ("--lookback", "2")),
    "bars without volume": (make_bars(rows=120).assign(volume=0), ("--lookback", "20")),
}


def test_a_check_takes_all_settings_of_a_retrain_that_decide_about_data() -> None:
    others = {setting.path[0] for setting in settings_in(RetrainSettings)} - {"name", "data", "gate"}
    assert {setting.path[0] for setting in CheckOptions.retrain.options} == others
    typed = parsed(CheckOptions, "x.csv", "--horizon", "3", "--purge", "2", "--features", "none")
    settings = settings_of(typed)
    assert (settings.model.horizon, settings.split, settings.features) == (3, SplitSettings(purge=2), "none")
    assert settings.data == DataSettings(path="x.csv")


@pytest.mark.parametrize("name", CASES)
def test_a_check_and_a_retrain_refuse_the_same(name: str, server: str, tmp_path: Path, workspace: Workspace) -> None:
    frame, arguments = CASES[name]
    typed = [str(written(tmp_path, frame)), *arguments, "--epochs", "1", "--hidden-size", "2"]
    checked = gatecast("data", "check", *typed)
    settings = settings_of(parsed(CheckOptions, *typed))
    try:
        retrain(settings)
        refused = False
    except InputError:
        refused = True
    assert checked.exit_code == (2 if refused else 0), checked.output
    wrong_rows = ("no number", "no order", "a total")  # from the others it would learn
    assert ("A retrain would have" in told(checked.output)) == (not refused or name in wrong_rows)


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


def test_the_target_of_a_check_is_a_column_as_in_a_retrain(tmp_path: Path) -> None:
    rows = pd.DataFrame({"day": pd.date_range("2020-01-01", periods=200), "sales": np.arange(200.0), "price": 2.5})
    rows.to_csv(tmp_path / "f.csv", index=False)
    unclear = gatecast("data", "check", str(tmp_path / "f.csv"))
    assert "say which is forecast: --target sales" in plain(unclear.output)
    done = gatecast("data", "check", str(tmp_path / "f.csv"), "--target", "sales")
    assert done.exit_code == 0, done.output
    assert plain(done.output).rstrip().splitlines()[-1].endswith("--target sales")
