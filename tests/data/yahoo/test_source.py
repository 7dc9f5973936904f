"""yfinance runs for real, against a server on this machine; nothing of it is replaced."""

from __future__ import annotations

import threading
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gatecast.data.bars.adjustment import adjusted_close
from gatecast.data.bars.store import BarStore
from gatecast.data.errors import InputError, SourceError
from gatecast.data.sources.selection import Selection
from gatecast.data.store import read_parquet
from tests.data.yahoo.server import Listing, Reply, Yahoo, listing, walk

# yfinance asks for the last 60 days of quarters of an hour, unless it is told a start.
MARCH = date(2024, 3, 1)
PRICES = ["open", "high", "low", "close"]


def rows_of(source, symbol: str, interval: str = "1d") -> pd.DataFrame:
    stored = source.store.read(symbol, interval)
    assert stored is not None
    return stored.rows


def test_bars_are_stored_as_they_were_traded_and_given_as_yahoo_adjusts_them(yahoo: Yahoo, source):
    traded = yahoo.listings["AAPL"] = listing(dividends={10: 0.5, 30: 0.25}, splits={20: 4.0})
    update = source().update("AAPL")
    assert (update.rows, update.new, update.refused, update.cause) == (40, 40, 0, None)
    rows = rows_of(source(), "AAPL")
    np.testing.assert_allclose(rows[[*PRICES, "volume"]], traded.bars, rtol=1e-12)
    assert rows["dividend"].to_numpy()[[10, 30]].tolist() == pytest.approx([0.5, 0.25])
    assert rows["split"].to_numpy()[20] == 4
    assert rows["ds"].tolist() == [day.tz_localize(None).normalize() for day in traded.days]
    # The server computes the adjusted close in its own way, row by row.
    answered = yahoo_adjusted(yahoo, "AAPL")
    bars = source().load(Selection(("AAPL",)))
    np.testing.assert_allclose(bars["close"], answered, rtol=1e-9)
    np.testing.assert_allclose(rows["adj_close"], answered, rtol=1e-9)


def yahoo_adjusted(yahoo: Yahoo, symbol: str) -> list[float]:
    from tests.data.yahoo.server import chart

    return chart(symbol, yahoo.listings[symbol], {})["chart"]["result"][0]["indicators"]["adjclose"][0]["adjclose"]


def test_the_file_says_where_it_comes_from(yahoo: Yahoo, source):
    yahoo.listings["MSFT"] = listing()
    update = source().update("MSFT")
    _, metadata = read_parquet(Path(update.path))
    expected = {
        "source": "yahoo", "symbol": "MSFT", "interval": "1d", "fetched_at": "2024-04-01T22:00:00+00:00", "rows": "40",
        "first": "2024-01-02", "last": "2024-02-28", "timezone": "America/New_York", "calendar": "XNYS",
        "currency": "USD", "schema_version": "2", "kind": "bars",
    }  # fmt: skip
    assert {name: metadata.get(name) for name in expected} == expected
    assert len(metadata["content_hash"]) == 64


def test_a_second_run_fetches_the_tail_and_an_overlap(yahoo: Yahoo, source):
    whole = listing(60)
    yahoo.listings["TAIL"] = Listing(whole.days[:50], whole.bars[:50])
    source().update("TAIL")
    yahoo.listings["TAIL"] = whole
    update = source().update("TAIL")
    assert (update.rows, update.new, update.revised) == (60, 10, 0)
    assert yahoo.ranges_of("TAIL")[1].date() == whole.days[40].date()
    np.testing.assert_allclose(rows_of(source(), "TAIL")[PRICES], whole.bars[:, :4], rtol=1e-12)


def test_nothing_new_leaves_the_rows_as_they_are(yahoo: Yahoo, source):
    yahoo.listings["SAME"] = listing(dividends={10: 0.5}, splits={20: 4.0})
    source().update("SAME")
    before = rows_of(source(), "SAME")
    update = source("2024-04-02 22:00Z").update("SAME")
    assert (update.new, update.revised) == (0, 0)
    pd.testing.assert_frame_equal(rows_of(source(), "SAME"), before)


def test_a_revised_bar_is_noticed_and_replaced(yahoo: Yahoo, source):
    yahoo.listings["REV"] = listing()
    source().update("REV")
    yahoo.listings["REV"].bars[38, 3] *= 1.001
    update = source().update("REV")
    assert update.revised == 1
    assert any("revised 1 bar that" in notice for notice in update.notices)
    assert rows_of(source(), "REV")["close"].iloc[38] == pytest.approx(yahoo.listings["REV"].bars[38, 3])


def test_a_revised_history_is_fetched_whole(yahoo: Yahoo, source):
    yahoo.listings["HIST"] = listing()
    source().update("HIST")
    yahoo.listings["HIST"].bars[:, :4] *= 1.01
    update = source().update("HIST")
    assert update.revised == 40
    np.testing.assert_allclose(rows_of(source(), "HIST")[PRICES], yahoo.listings["HIST"].bars[:, :4])


def test_a_split_and_a_dividend_after_the_first_fetch_rewrite_the_adjusted_history_alone(yahoo: Yahoo, source):
    whole = listing(60, dividends={5: 0.3, 55: 0.4}, splits={52: 2.0})
    yahoo.listings["ACT"] = Listing(whole.days[:50], whole.bars[:50], dividends={5: 0.3})
    source().update("ACT")
    traded_before = rows_of(source(), "ACT")[PRICES]
    yahoo.listings["ACT"] = whole
    update = source().update("ACT")
    assert (update.new, update.revised) == (10, 0)
    assert [notice.split(": ")[1] for notice in update.notices] == [
        f"a split of 2 for 1 on {whole.days[52].date()}.",
        f"a dividend of 0.4 on {whole.days[55].date()}.",
    ]
    np.testing.assert_allclose(rows_of(source(), "ACT")[PRICES].iloc[:50], traded_before, rtol=1e-12)
    np.testing.assert_allclose(source().load(Selection(("ACT",)))["close"], yahoo_adjusted(yahoo, "ACT"), rtol=1e-9)
    assert len(yahoo.ranges_of("ACT")) == 2  # the tail was enough


def test_an_adjusted_close_that_does_not_follow_from_the_actions_is_told(yahoo: Yahoo, source):
    yahoo.listings["ADJ"] = listing(broken_adjusted_close=0.9)
    update = source().update("ADJ")
    assert any("differs from Yahoo's own by up to 11.1%" in notice for notice in update.notices)


@pytest.mark.parametrize(
    ("now", "rows"),
    [
        ("2024-02-28 15:00Z", 39),  # 10:00 in New York
        ("2024-02-28 20:59Z", 39),
        ("2024-02-28 21:00Z", 40),  # the close
    ],
)
def test_an_unfinished_session_is_left_out(yahoo: Yahoo, source, now: str, rows: int):
    yahoo.listings["OPEN"] = listing()
    assert source(now).update("OPEN").rows == rows


def test_a_split_on_an_open_day_does_not_reach_the_store_by_half(yahoo: Yahoo, source):
    yahoo.listings["HALF"] = listing(splits={39: 3.0})
    update = source("2024-02-28 15:00Z").update("HALF")
    assert (update.rows, update.notices) == (39, ())
    np.testing.assert_allclose(rows_of(source(), "HALF")[PRICES], yahoo.listings["HALF"].bars[:39, :4])
    source("2024-02-29 00:00Z").update("HALF")
    np.testing.assert_allclose(source().load(Selection(("HALF",)))["close"], yahoo_adjusted(yahoo, "HALF"))


def test_an_early_close_is_known(yahoo: Yahoo, source):
    days = listing(250).days
    christmas_eve = int(np.flatnonzero(days.date == date(2024, 12, 24))[0])
    yahoo.listings["EVE"] = Listing(days[: christmas_eve + 1], walk(christmas_eve + 1))
    assert source("2024-12-24 18:01Z").update("EVE").last == "2024-12-24"  # closed at 13:00


def intraday(interval: str = "15min", **options) -> Listing:
    """Two sessions around the change to summer time, 10 March 2024."""
    days = [
        pd.date_range(f"2024-03-{day} 09:30", periods=26, freq=interval, tz="America/New_York") for day in ("08", "11")
    ]
    return Listing(days[0].append(days[1]), walk(52), **options)


def test_intraday_times_keep_their_zone_over_a_change_to_summer_time(yahoo: Yahoo, source):
    yahoo.listings["INTRA"] = intraday()
    source("2024-03-12 12:00Z").update("INTRA", "15m", MARCH)
    ds = source().load(Selection(("INTRA",), interval="15m"))["ds"]
    assert str(ds.dt.tz) == "America/New_York"
    assert set(ds.dt.strftime("%H:%M").iloc[[0, 26]]) == {"09:30"}
    assert ds.iloc[26] - ds.iloc[0] == pd.Timedelta(hours=71)


def test_an_intraday_bar_that_is_not_over_is_left_out(yahoo: Yahoo, source):
    yahoo.listings["NOW"] = intraday()
    update = source("2024-03-11 15:10Z").update("NOW", "15m", MARCH)  # 11:10 in New York
    assert update.last == "2024-03-11 10:45:00-04:00"


def test_days_and_hours_of_one_symbol_are_two_files(yahoo: Yahoo, source):
    yahoo.listings["BOTH"] = intraday()
    one = source().update("BOTH", "15m", MARCH)
    other = source().update("BOTH", "1h", MARCH)
    assert one.path != other.path


def test_zones_of_several_exchanges_meet_in_utc(yahoo: Yahoo, source):
    yahoo.listings["NYC"] = intraday()
    days = pd.date_range("2024-03-08 10:00", periods=20, freq="15min", tz="Europe/London")
    yahoo.listings["LON"] = Listing(days, walk(20), timezone="Europe/London", exchange="LSE")
    bars = source("2024-03-12 12:00Z").read(Selection(("NYC", "LON"), MARCH, interval="15m"))
    assert str(bars["ds"].dt.tz) == "UTC"
    assert bars.groupby("unique_id")["ds"].min()["LON"] == pd.Timestamp("2024-03-08 10:00Z")


def test_a_change_of_the_time_zone_fetches_the_whole(yahoo: Yahoo, source):
    yahoo.listings["MOVE"] = listing()
    source().update("MOVE")
    yahoo.listings["MOVE"].timezone = "America/Chicago"
    update = source().update("MOVE")
    assert update.rows == 40
    assert len(yahoo.ranges_of("MOVE")) == 3
    assert source().store.read("MOVE", "1d").metadata["timezone"] == "America/Chicago"


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("reply", "cause", "words"),
    [
        (Reply(429, "Too Many Requests"), "rate-limited", "limits the rate of requests"),
        (Reply(500, "oops"), "unreachable", "out of order (status 500)"),
        (Reply(503, {"chart": {"result": None, "error": {"code": "x", "description": "y"}}}), "unreachable", "503"),
        (Reply(200, "<html>Will be right back</html>"), "unreachable", "down for maintenance"),
        (Reply(200, '{"chart": {"result": [{"me'), "unreadable", "is not JSON"),
        (Reply(200, {"chart": {"result": [{"meta": {}}], "error": None}}), "unreadable", "another form"),
        (Reply(401, {"finance": {"error": {"code": "Unauthorized", "description": "Invalid Crumb"}}}), "refused",
         "refuses the request (status 401) and says: Invalid Crumb"),
        (Reply(422, {"chart": {"result": None, "error": {"code": "Unprocessable Entity", "description":
         "1m data not available. The range must be within the last 8 days."}}}), "refused", "the last 8 days"),
        (Reply(400, {"chart": {"result": None, "error": {"code": "Bad Request", "description":
         "Data doesn't exist for startDate = 1, endDate = 2"}}}), "empty", "none in the period"),
    ],
    ids=["429", "500", "503", "busy", "malformed", "form", "401", "422", "empty"],
)  # fmt: skip
def test_the_cause_of_a_failure_is_yahoo_s_own(yahoo: Yahoo, source, reply: Reply, cause: str, words: str):
    yahoo.always["FAIL"] = reply
    update = source(policy={"attempts": 2}).update("FAIL")
    assert update.cause == cause
    assert words in update.reason
    assert update.rows == 0
    assert source().store.read("FAIL", "1d") is None


def test_an_unknown_symbol_is_told_from_a_delisted_one(yahoo: Yahoo, source):
    assert source().update("GHOST").cause == "unknown symbol"
    yahoo.listings["GONE"] = listing()
    source().update("GONE")
    del yahoo.listings["GONE"]
    update = source().update("GONE")
    assert (update.cause, update.rows) == ("delisted", 40)


def test_a_symbol_without_trade_for_long_is_delisted_and_without_rows_empty(yahoo: Yahoo, source):
    yahoo.listings["OLD"] = listing(last_trade=pd.Timestamp("2023-06-01", tz="UTC"))
    yahoo.listings["QUIET"] = listing(last_trade=pd.Timestamp("2024-03-28", tz="UTC"))
    assert source().update("OLD", start=date(2024, 6, 1)).cause == "delisted"
    assert source().update("QUIET", start=date(2024, 6, 1)).cause == "empty"


def test_no_answer_in_time_is_told(yahoo: Yahoo, source):
    yahoo.listings["SLOW"] = listing()
    yahoo.always["SLOW"] = Reply(seconds=1.5)
    update = source(policy={"attempts": 1, "time_limit": 0.3}).update("SLOW")
    assert (update.cause, "time limit" in update.reason) == ("unreachable", True)


def test_nobody_at_the_address_is_told(source):
    update = source(address="http://127.0.0.1:9", policy={"attempts": 1}).update("NOBODY")
    assert (update.cause, "cannot be reached" in update.reason) == ("unreachable", True)


@pytest.mark.parametrize("address", ["http://me:hunter2@{host}/mirror?token=hunter3", "http://me:hunter2@127.0.0.1:9"])
def test_a_mirror_may_ask_for_a_secret_which_no_message_tells(yahoo: Yahoo, source, address: str, tmp_path: Path):
    host = yahoo.address.removeprefix("http://")
    update = source(address=address.format(host=host), policy={"attempts": 1}).update("SECRET")
    assert update.cause is not None
    assert "hunter" not in str(update.to_dict())
    chart = [query for path, query, _ in yahoo.asked if path == "/mirror/v8/finance/chart/SECRET"]
    assert [query["token"] for query in chart] == ["hunter3"] * len(chart)
    assert bool(chart) == ("mirror" in address)


def test_a_rate_limit_is_waited_out(yahoo: Yahoo, source):
    yahoo.listings["BUSY"] = listing()
    limited = Reply(429, "Too Many Requests")
    yahoo.replies["BUSY"] = [limited] * 4
    update = source().update("BUSY")
    assert (update.rows, update.cause) == (40, None)
    assert yahoo.replies["BUSY"] == []


def test_yahoo_s_own_word_on_when_to_come_back_is_kept(yahoo: Yahoo, source):
    yahoo.listings["LATER"] = listing()
    yahoo.replies["LATER"] = [Reply(429, "Too Many Requests", {"Retry-After": "0.3"})] * 2
    source(policy={"longest_delay": 5.0}).update("LATER")
    times = [when for path, _, when in yahoo.asked if path.endswith("/LATER")]
    assert max(np.diff(times)) >= 0.3


@pytest.mark.parametrize("reply", [Reply(404, ""), Reply(200, "{"), Reply(401, "")])
def test_what_asking_again_cannot_mend_is_not_asked_again(yahoo: Yahoo, source, reply: Reply):
    yahoo.always["NEVER"] = reply
    source(policy={"attempts": 1}).update("NEVER")
    once = len(yahoo.requests_of("NEVER"))
    source(policy={"attempts": 4}).update("NEVER")
    assert len(yahoo.requests_of("NEVER")) == 2 * once


def test_the_last_good_rows_are_used_with_their_age(yahoo: Yahoo, source):
    yahoo.listings["AGE"] = listing()
    source("2024-03-01 22:00Z").update("AGE")
    before = source().store.path("AGE", "1d").read_bytes()
    yahoo.always["AGE"] = Reply(500, "")
    late = source("2024-03-07 23:00Z", policy={"attempts": 1})
    update = late.update("AGE")
    assert (update.rows, update.cause) == (40, "unreachable")
    assert "The last good rows are used, fetched 6d ago, up to 2024-02-28." in update.notices[-1]
    late.require([update])
    assert source().store.path("AGE", "1d").read_bytes() == before
    strict = source("2024-03-07 23:00Z", policy={"attempts": 1}, max_stale=pd.Timedelta(days=5))
    with pytest.raises(SourceError, match=r"the last good rows are 6d old, more than --max-stale 5d allows\.$"):
        strict.require([update])
    with pytest.raises(SourceError, match="6d old"):
        strict.read(Selection(("AGE",)))


def test_a_failure_with_nothing_stored_is_an_error_of_its_kind(yahoo: Yahoo, source):
    yahoo.always["DOWN"] = Reply(500, "")
    with pytest.raises(SourceError, match=r"no bars of DOWN: it is out of order \(status 500\)"):
        source(policy={"attempts": 1}).read(Selection(("DOWN",)))
    yahoo.listings["GOOD"] = listing()
    with pytest.raises(InputError, match=r"no bars of NOSUCH: it does not know the symbol; check the spelling"):
        source().read(Selection(("GOOD", "NOSUCH")))
    assert len(rows_of(source(), "GOOD")) == 40  # what was fetched stays


# ---------------------------------------------------------------- bad rows, symbols, processes


def test_bad_bars_go_to_quarantine_and_the_rest_is_used(yahoo: Yahoo, source):
    bad = yahoo.listings["BAD"] = listing(dividends={12: 0.5})
    bad.bars[12, 1] = bad.bars[12, 2] / 2  # a high below the low, on the day of a dividend
    bad.bars[20, 3] = np.nan
    update = source().update("BAD")
    assert (update.rows, update.refused) == (38, 2)
    refused, _ = read_parquet(Path(update.quarantine))
    assert refused["ds"].str[:10].tolist() == [str(bad.days[row].date()) for row in (12, 20)]
    assert "high is" in refused["problem"].iloc[0]
    assert "close is nan, which is not a finite number" in refused["problem"].iloc[1]
    # The dividend counts all the same, from the next day on.
    assert rows_of(source(), "BAD").loc[12, "dividend"] == pytest.approx(0.5)
    source().update("BAD")
    assert len(read_parquet(Path(update.quarantine))[0]) == 2  # each once


def test_a_symbol_of_wrong_bars_alone_is_a_failure_that_names_their_file(yahoo: Yahoo, source):
    yahoo.listings["WRONG"] = listing()
    yahoo.listings["WRONG"].bars[:, 0] = -1.0
    update = source().update("WRONG")
    assert (update.rows, update.cause) == (0, "failed")
    assert str(source().store.quarantine / "1d" / "WRONG.parquet") in update.reason
    with pytest.raises(SourceError, match="only wrong bars of WRONG"):
        source().require([update])


def test_a_bar_that_the_source_withdraws_is_kept_in_quarantine(yahoo: Yahoo, source):
    whole = listing()
    yahoo.listings["WITH"] = whole
    source().update("WITH")
    kept = [row for row in range(40) if row != 36]
    yahoo.listings["WITH"] = Listing(whole.days[kept], whole.bars[kept])
    update = source().update("WITH")
    assert update.rows == 39
    refused, _ = read_parquet(Path(update.quarantine))
    assert refused["problem"].tolist() == ["the source gave it once, and no longer does"]


def test_history_that_the_source_no_longer_reaches_back_to_stays(yahoo: Yahoo, source):
    whole = intraday()
    yahoo.listings["SHORT"] = whole
    source("2024-03-12 12:00Z").update("SHORT", "15m", MARCH)
    yahoo.listings["SHORT"] = Listing(whole.days[26:], whole.bars[26:])
    assert source("2024-03-12 12:00Z").update("SHORT", "15m", MARCH).rows == 52


def test_an_earlier_start_fetches_what_lies_before(yahoo: Yahoo, source):
    yahoo.listings["START"] = listing()
    assert source().update("START", start=date(2024, 2, 1)).first == "2024-02-01"
    assert source().update("START", start=date(2024, 2, 10)).rows == 19
    assert source().update("START", start=date(2024, 1, 15)).first == "2024-01-16"
    assert source().update("START").rows == 40


def test_a_damaged_file_is_fetched_again_and_said_so(yahoo: Yahoo, source):
    yahoo.listings["HURT"] = listing()
    path = source().store.path("HURT", "1d")
    source().update("HURT")
    path.write_bytes(path.read_bytes()[:500])
    update = source().update("HURT")
    assert (update.rows, update.cause) == (40, None)
    assert "cannot be read as Parquet" in update.notices[0]


@pytest.mark.parametrize("symbol", ["BRK-B", "^GSPC", "EURUSD=X", "7203.T", "M&M.NS"])
def test_odd_but_legal_symbols_work(yahoo: Yahoo, source, symbol: str):
    yahoo.listings[symbol] = listing()
    bars = source().read(Selection((symbol,)))
    assert set(bars["unique_id"]) == {symbol}


@pytest.mark.parametrize("symbol", ["../X", "A/B", "A" * 200, "🚀", "A B", "A?X=1", "A#", "A%2F", "..", "US0378331005"])
def test_what_is_no_symbol_is_refused_before_anything_is_asked(yahoo: Yahoo, source, symbol: str):
    with pytest.raises(InputError, match="is not a symbol of Yahoo's"):
        source().read(Selection((symbol,)))
    assert yahoo.asked == []
    assert not source().store.root.exists()


def test_capitals_do_not_matter_and_reserved_names_are_safe(yahoo: Yahoo, source):
    yahoo.listings["AUX"] = yahoo.listings["CON"] = listing()
    bars = source().read(Selection(("aux", "AUX", "con")))
    assert sorted(bars["unique_id"].unique()) == ["AUX", "CON"]
    names = sorted(path.name for path in source().store.root.rglob("*.parquet"))
    assert names == ["%41UX.parquet", "%43ON.parquet"]


def test_no_symbols_are_asked_for_in_words(source):
    with pytest.raises(InputError, match="needs symbols; name them with --symbols"):
        source().read(Selection())


def test_requests_keep_the_pace(yahoo: Yahoo, source):
    for symbol in ("P1", "P2", "P3"):
        yahoo.listings[symbol] = listing(5)
    source(policy={"requests_per_second": 20.0}).read(Selection(("P1", "P2", "P3")))
    times = np.sort([when for _, _, when in yahoo.asked])
    # Some requests may be late, but none before its turn.
    assert times[-1] - times[0] >= (len(times) - 1) / 20 - 0.05


def test_two_runs_at_once_leave_a_whole_file(yahoo: Yahoo, source):
    whole = listing()
    yahoo.listings["TWO"] = whole
    updates = []
    runs = [threading.Thread(target=lambda: updates.append(source().update("TWO"))) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sorted(update.new for update in updates) == [0, 0, 0, 40]
    assert len(rows_of(source(), "TWO")) == 40


def test_weeks_are_made_of_days(yahoo: Yahoo, source):
    yahoo.listings["WEEK"] = listing()
    weeks = source().read(Selection(("WEEK",), interval="1wk"))
    days = source().load(Selection(("WEEK",)))
    first_week = days[days["ds"] <= "2024-01-07"]
    assert weeks["ds"].iloc[0] == pd.Timestamp("2024-01-07")
    assert weeks["high"].iloc[0] == first_week["high"].max()


def test_adjustment_can_be_left_out(yahoo: Yahoo, source):
    yahoo.listings["RAW"] = listing(dividends={10: 0.5}, splits={20: 4.0})
    source().update("RAW")
    raw = source(adjustment="none").load(Selection(("RAW",)))
    np.testing.assert_allclose(raw["close"], yahoo.listings["RAW"].bars[:, 3])
    splits = source(adjustment="splits").load(Selection(("RAW",)))
    np.testing.assert_allclose(splits["close"][:20], yahoo.listings["RAW"].bars[:20, 3] / 4)


def test_the_store_is_what_adjusted_close_is_computed_from(yahoo: Yahoo, source):
    yahoo.listings["COL"] = listing(dividends={10: 0.5}, splits={20: 4.0})
    source().update("COL")
    rows = rows_of(source(), "COL")
    np.testing.assert_allclose(rows["adj_close"], adjusted_close(rows), rtol=1e-15)
    assert isinstance(source().store, BarStore)
