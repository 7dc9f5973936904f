"""Numbers in place of dates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.dates.steps import (
    MOST_STEPS,
    are_steps,
    dates_of_steps,
    day_in_words,
    in_steps,
    steps_of_dates,
    with_dates,
    with_steps,
)
from gatecast.data.errors import InputError


def test_steps_come_back() -> None:
    steps = pd.Series([-MOST_STEPS, -1, 0, 5, MOST_STEPS])
    dates = dates_of_steps(steps, "f.csv")
    assert dates[3] == pd.Timestamp("2000-01-06")
    assert steps_of_dates(dates).tolist() == steps.tolist()
    frame = pd.DataFrame({"ds": dates, "cutoff": dates, "y_hat": 1.0})
    assert with_steps(frame).to_dict("list") == {"ds": steps.tolist(), "cutoff": steps.tolist(), "y_hat": [1.0] * 5}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series([0, 5, 10]), True),
        (pd.Series([0, 5, 10], dtype="Int64"), True),
        (pd.Series([0, None, 10], dtype="Int64"), False),
        (pd.Series([0.0, 5.0]), False),
        (pd.Series(["0", "5"]), False),
        (pd.Series([20200131, 20200201]), False),
        (pd.Series([True, False]), False),
    ],
)
def test_whole_numbers_that_are_not_too_large_are_steps(column: pd.Series, expected: bool) -> None:
    assert are_steps(column) is expected


def test_what_is_no_number_has_no_date_and_what_is_too_large_is_named() -> None:
    assert dates_of_steps(pd.Series(["1", "x", np.nan]), "f.csv").isna().tolist() == [False, True, True]
    with pytest.raises(InputError, match=r"f\.csv: the step 95001 is beyond 95,000; count the steps from 0"):
        dates_of_steps(pd.Series(["1", "95001"]), "f.csv")


def test_frames_have_steps_outside_and_dates_inside() -> None:
    days = pd.date_range("2000-01-01", periods=3)
    frame = pd.DataFrame({"unique_id": "a", "cutoff": days[0], "ds": days, "y_hat": [0, 1, 2]})
    outside = with_steps(frame)
    assert outside["ds"].tolist() == [0, 1, 2]
    inside = with_dates(outside, "forecasts")
    assert inside["ds"].tolist() == days.tolist()
    assert inside["cutoff"].tolist() == [days[0]] * 3
    assert inside["y_hat"].tolist() == [0, 1, 2]
    assert with_dates(frame, "forecasts").equals(frame)


def test_days_are_told_as_steps_where_rows_are_numbered() -> None:
    day = pd.Timestamp("2000-01-06")
    assert [day_in_words(day), day_in_words(day, is_numbered=True), day_in_words(5)] == ["2000-01-06", "5", "5"]
    assert in_steps("ends on 2000-01-06, of 12 rows, until 1999-12-31.") == "ends on 5, of 12 rows, until -1."
