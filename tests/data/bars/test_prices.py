from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.bars.prices import BAR_COLUMNS, resample_bars, validate_bars
from gatecast.data.errors import InputError
from tests.data.frames import make_bars


def test_valid_bars_keep_their_values():
    bars = make_bars(("A", "B"))
    valid = validate_bars(bars, "f")
    pd.testing.assert_frame_equal(valid, bars, check_dtype=False)
    assert (valid[list(BAR_COLUMNS)].dtypes == np.float64).all()


def test_other_columns_are_left_out_but_adj_close_stays():
    bars = make_bars().assign(adj_close=1.0, dividends=0.0)
    assert list(validate_bars(bars, "f").columns) == [*make_bars().columns, "adj_close"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("close", np.nan, "close is nan, which is not a finite number"),
        ("open", np.inf, "open is inf, which is not a finite number"),
        ("high", "12,5", "high is '12,5', which is not a finite number"),
        ("low", 0.0, "low is 0.0, but a price is above 0"),
        ("close", -1.0, "close is -1.0, but a price is above 0"),
        ("volume", -5.0, "volume is -5.0, but a volume is 0 or more"),
        ("high", 1.0, "high is 1.0, below another price of its bar"),
        ("low", 1e6, "high is .*, below another price of its bar"),
        ("adj_close", np.nan, "adj_close is nan"),
    ],
)
def test_a_bad_cell_is_named_with_its_row(column, value, message):
    bars = make_bars().assign(adj_close=1.0).astype({column: object})
    bars.loc[4, column] = value
    with pytest.raises(InputError, match=rf"^prices.csv: row 5 \(A, 2020-01-07\): {message}"):
        validate_bars(bars, "prices.csv")


def test_a_low_above_the_close_is_named():
    bars = make_bars()
    bars.loc[4, "low"] = bars.loc[4, ["open", "close"]].max()
    with pytest.raises(InputError, match=r"row 5 .*: low is .*, above another price"):
        validate_bars(bars, "f")


def test_prices_may_miss_each_other_by_rounding():
    bars = make_bars()
    bars["high"] = bars[["open", "close"]].max(axis=1) * (1 - 1e-6)
    assert len(validate_bars(bars, "f")) == len(bars)


@pytest.mark.parametrize(
    ("rows", "message"), [([0, 1, 1], "row 3 .*an earlier row as well"), ([1, 0], "row 2 .*sort the rows")]
)
def test_dates_that_are_repeated_or_unsorted_are_refused(rows, message):
    with pytest.raises(InputError, match=message):
        validate_bars(make_bars().iloc[rows], "f")


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="f has no column 'close'"):
        validate_bars(make_bars().drop(columns="close"), "f")


def test_a_week_is_merged_by_hand():
    bars = make_bars(rows=5, start="2024-01-01")
    week = resample_bars(bars, "1wk")
    expected = {
        "unique_id": "A",
        "ds": pd.Timestamp("2024-01-07"),
        "open": bars["open"][0],
        "high": bars["high"].max(),
        "low": bars["low"].min(),
        "close": bars["close"][4],
        "volume": bars["volume"].sum(),
    }
    assert week.to_dict("records") == [expected]


def test_an_unfinished_period_is_left_out_per_symbol():
    bars = pd.concat([make_bars(("A",), 23, "2024-01-01"), make_bars(("B",), 22, "2024-01-01")])
    months = resample_bars(bars, "1mo")
    assert months["unique_id"].tolist() == ["A"]
    assert months["ds"].tolist() == [pd.Timestamp("2024-01-31")]


def test_a_month_that_ends_on_a_weekend_is_complete_on_friday():
    bars = make_bars(rows=22, start="2024-03-01").query("ds <= '2024-03-29'")
    assert resample_bars(bars, "1mo")["ds"].tolist() == [pd.Timestamp("2024-03-31")]


def test_daily_bars_stay_as_they_are():
    bars = make_bars(("A", "B"))
    pd.testing.assert_frame_equal(resample_bars(bars, "1d"), bars)


def test_intraday_bars_belong_to_the_day_of_their_time_zone():
    bars = make_bars(rows=4, start="2024-01-01 22:00", freq="h")
    bars["ds"] = bars["ds"].dt.tz_localize("America/New_York")
    days = resample_bars(bars, "1d")
    assert days["ds"].tolist() == [pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")]
    assert days["volume"].tolist() == [bars["volume"][:2].sum(), bars["volume"][2:].sum()]


@pytest.mark.parametrize(("interval", "message"), [("1d", "finer than the bars of B"), ("5m", "Unknown interval '5m'")])
def test_an_interval_that_does_not_fit_is_refused(interval, message):
    bars = pd.concat([make_bars(("A",)), make_bars(("B",), freq="W-SUN")])
    with pytest.raises(InputError, match=message):
        resample_bars(bars, interval)


def test_bars_that_fill_no_interval_are_refused():
    with pytest.raises(InputError, match="do not fill one interval"):
        resample_bars(make_bars(rows=3, start="2024-01-01"), "1mo")
