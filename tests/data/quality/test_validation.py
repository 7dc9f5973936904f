"""The check that finds everything; what a single finding reads like is tested with bars and series."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatecast.data.bars.prices import check_bars
from gatecast.data.errors import InputError
from gatecast.data.quality.series import check_series
from gatecast.data.quality.validation import PROBLEM_COLUMNS
from tests.data.frames import REPRODUCIBLE, make_bars, make_series


def test_every_wrong_row_is_found_at_once_and_the_others_are_kept():
    bars = make_bars(("B", "A"), rows=10).astype({"close": object, "ds": object})
    bars.loc[1, "high"] = bars.loc[1, "low"]
    bars.loc[3, "close"] = "n/a"
    bars.loc[5, "volume"] = -1
    bars.loc[7, "ds"] = "soon"
    bars.loc[12, "ds"] = bars.loc[11, "ds"]
    bars.loc[14, "unique_id"] = " "
    checked = check_bars(bars, "f")
    assert checked.problems[["row", "rule"]].to_numpy().tolist() == [
        [2, "high"], [4, "number"], [6, "volume"], [8, "date"], [13, "twice"], [15, "name"],
    ]  # fmt: skip
    assert list(checked.problems.columns) == list(PROBLEM_COLUMNS)
    assert len(checked.rows) == 14
    assert len(checked.refused) == 6
    assert checked.refused["problem"].str.len().min() > 10
    assert checked.refused["close"].iloc[1] == "n/a"


def test_a_row_with_several_faults_is_refused_once():
    bars = make_bars(rows=5)
    bars.loc[2, ["high", "volume"]] = [bars.loc[2, "low"], -1.0]
    checked = check_bars(bars, "f")
    assert len(checked.refused) == 1
    assert checked.problems["rule"].tolist() == ["volume", "high"]


def test_rows_in_any_order_are_sorted_where_order_does_not_matter():
    bars = make_bars(("A", "B"), rows=10)
    shuffled = bars.sample(frac=1, random_state=0)
    checked = check_bars(shuffled, "f", in_order=False)
    pd.testing.assert_frame_equal(checked.rows, check_bars(bars, "f").rows)


def test_a_row_is_counted_where_it_came_from():
    bars = make_bars(rows=10)[::-1].reset_index(drop=True)
    bars.loc[2, "volume"] = -1
    assert check_bars(bars, "f", in_order=False).problems["row"].tolist() == [3]


def test_a_series_that_begins_with_its_newest_row_is_sorted_with_a_word(caplog):
    series = make_series({"a": 5, "b": 4})
    newest_first = pd.concat([series[:5][::-1], series[5:][::-1]], ignore_index=True)
    checked = check_series(newest_first, "f")
    pd.testing.assert_frame_equal(checked.rows, check_series(series, "f").rows)
    assert checked.problems[["severity", "rule", "row"]].to_numpy().tolist() == [["warning", "newest first", 0]]
    pd.testing.assert_frame_equal(checked.require("f"), checked.rows)
    assert caplog.messages == [
        "f: a: ds is 2020-01-05, the newest date, in the first row, as in 1 more series; the rows were sorted by date."
    ]


def test_series_by_date_with_the_newest_first_are_sorted():
    series = make_series({"a": 5, "b": 5})
    checked = check_series(series.sort_values(["ds", "unique_id"], ascending=[False, True]), "f")
    pd.testing.assert_frame_equal(checked.rows, check_series(series, "f").rows)


def test_rows_in_no_order_stay_an_error_and_only_the_others_are_sorted():
    series = make_series({"a": 5, "b": 5})
    mixed = series.take([4, 3, 2, 1, 0, 9, 7, 8, 6, 5])
    problems = check_series(mixed, "f").problems
    assert set(problems["rule"]) == {"order", "newest first"}
    assert set(problems[problems["rule"] == "order"]["unique_id"]) == {"b"}
    assert check_series(series.take([1, 0]), "f").problems["rule"].tolist() == ["order"]  # two rows may be swapped


def test_a_wrong_row_of_a_series_that_is_turned_keeps_its_number():
    series = make_series({"a": 6})[::-1].reset_index(drop=True).astype({"ds": object})
    series.loc[1, "y"] = np.inf
    series.loc[3, "ds"] = "soon"
    problems = check_series(series, "f").problems
    assert problems[["row", "rule"]].to_numpy().tolist() == [[4, "date"], [2, "number"], [0, "newest first"]]


def test_what_is_kept_is_in_order_whatever_is_refused(rng):
    series = make_series({"a": 50, "b": 50})
    series["ds"] = rng.permutation(series["ds"].to_numpy())
    series.loc[[7, 60], "ds"] = pd.NaT
    rows = check_series(series, "f").rows
    assert all(dates.is_monotonic_increasing and dates.is_unique for _, dates in rows.groupby("unique_id")["ds"])


def test_a_column_of_text_is_one_problem_that_names_the_column():
    series = make_series({"a": 200}, covariates=2).assign(x0="rain")
    checked = check_series(series, "f")
    assert checked.problems[["rule", "column", "row"]].to_numpy().tolist() == [["covariate", "x0", 1]]
    assert len(checked.refused) == 200
    with pytest.raises(
        InputError, match=r"x0 is 'rain', which is not a finite number, like every other value of the co"
    ):
        checked.require("f")
    assert check_series(series.assign(x0=0.0, y=None), "f").problems["rule"].tolist() == ["values"]


def test_times_with_a_zone_and_rows_without_one_are_sorted():
    bars = make_bars(rows=6)[::-1].assign(ds=lambda rows: rows["ds"].dt.tz_localize("Europe/Berlin"))
    bars.loc[2, "ds"] = pd.NaT
    checked = check_bars(bars, "f", in_order=False)
    assert checked.rows["ds"].is_monotonic_increasing
    assert len(checked.refused) == 1


def test_columns_of_arrow_are_checked_like_others():
    types = {"unique_id": "string[pyarrow]", "ds": "timestamp[ns][pyarrow]", "y": "double[pyarrow]"}
    series = make_series({"a": 5, "b": 4}, covariates=0).astype(types)
    assert len(check_series(series, "f").rows) == 9
    series.loc[1, "ds"] = None
    series.loc[7, "ds"] = series.loc[5, "ds"]
    assert check_series(series, "f").problems[["row", "rule"]].to_numpy().tolist() == [
        [2, "date"], [8, "twice"], [8, "order"],
    ]  # fmt: skip


@settings(REPRODUCIBLE, max_examples=30)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30))
def test_no_row_is_lost_and_no_kept_number_is_infinite(values):
    frame = make_series({"a": len(values)}, covariates=0).assign(y=values)
    checked = check_series(frame, "f")
    assert len(checked.rows) + len(checked.refused) == len(frame)
    assert not np.isinf(checked.rows["y"]).any()
    # A column without any number is refused as a whole.
    has_numbers = np.isfinite(values).any() or len(values) == 1
    assert len(checked.rows) == (~np.isinf(values)).sum() * has_numbers


@settings(REPRODUCIBLE, max_examples=30)
@given(st.lists(st.tuples(*[st.floats(0.5, 2.0)] * 4), min_size=1, max_size=20))
def test_kept_bars_have_a_high_and_a_low_that_hold_the_others(prices):
    bars = make_bars(rows=len(prices))
    bars[["open", "high", "low", "close"]] = prices
    rows = check_bars(bars, "f").rows
    assert (rows["high"] >= rows[["open", "low", "close"]].max(axis=1) * 0.9998).all()
    assert (rows["low"] <= rows[["open", "high", "close"]].min(axis=1) * 1.0002).all()
