"""Numbers in place of dates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.dates.steps import MOST_STEPS, are_steps, dates_of_steps, steps_of_dates, with_steps
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
