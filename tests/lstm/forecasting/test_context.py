from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.context import Context
from tests.lstm.frames import sequences_for, sine_frame, small_model

COLUMNS = ("y", "wave")


@pytest.fixture
def frame():
    return sine_frame(rows=100, names=("alpha", "beta"))


@pytest.fixture
def sequences(frame):
    return sequences_for(small_model(), frame)


@pytest.fixture
def scalers(sequences):
    return dict(zip(sequences.unique_ids, sequences.scalers, strict=True))


def test_the_last_rows_of_every_series_are_kept(sequences):
    context = Context.of_sequences(sequences, 70)
    assert context.unique_ids == ("alpha", "beta")
    assert np.array_equal(context.rows_of(0), sequences.values[30:100])
    assert np.array_equal(context.rows_of(1), sequences.values[130:200])


def test_a_series_shorter_than_that_is_kept_whole(sequences):
    context = Context.of_sequences(sequences, 1000)
    assert np.array_equal(context.values, sequences.values)


def test_a_frame_gives_the_same_rows_as_sequences_of_it(frame, sequences, scalers):
    whole = Context.of_sequences(sequences, 80)
    other = Context.of_frame(frame, COLUMNS, scalers, 8, 80)
    assert np.array_equal(other.values, whole.values)
    assert np.array_equal(other.offsets, whole.offsets)
    assert np.array_equal(other.ds, whole.ds)
    assert (other.unique_ids, other.timezone) == (whole.unique_ids, whole.timezone)


@pytest.mark.parametrize("timezone", [None, "America/New_York", "UTC", "+05:30"])
def test_arrays_give_back_the_context_and_its_time_zone(frame, scalers, timezone):
    frame["ds"] = frame["ds"].dt.tz_localize(timezone)
    context = Context.of_frame(frame, COLUMNS, scalers, 8, 70)
    again = Context.from_arrays(context.to_arrays(), list(context.unique_ids), context.timezone)
    assert np.array_equal(again.values, context.values)
    assert again.unique_ids == context.unique_ids
    after = again.next_dates(1, 3)
    assert after.equals(context.next_dates(1, 3))
    assert after[0] == frame["ds"].iloc[-1] + pd.offsets.BDay()


def test_business_days_go_on_over_the_weekend(frame, scalers):
    friday = frame[frame["ds"] <= "2020-03-06"]
    context = Context.of_frame(friday, COLUMNS, scalers, 8, 8)
    assert context.next_dates(0, 2).strftime("%a %d").tolist() == ["Mon 09", "Tue 10"]


@pytest.mark.parametrize("column", ["unique_id", "ds", "y", "wave"])
def test_a_missing_column_is_named(frame, scalers, column):
    with pytest.raises(InputError, match=f"no column '{column}'"):
        Context.of_frame(frame.drop(columns=column), COLUMNS, scalers, 8, 8)


def test_an_unknown_series_is_named(frame, scalers):
    del scalers["beta"]
    with pytest.raises(InputError, match="not trained on 'beta'"):
        Context.of_frame(frame, COLUMNS, scalers, 8, 8)


def test_too_few_rows_are_named_with_their_number(frame, scalers):
    short = pd.concat([frame[frame["unique_id"] == "alpha"], frame[frame["unique_id"] == "beta"].head(7)])
    with pytest.raises(InputError, match="beta has 7 rows, fewer than lookback 8"):
        Context.of_frame(short, COLUMNS, scalers, 8, 8)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_value_that_cannot_be_scaled_is_refused(frame, scalers, value):
    frame.loc[150, "wave"] = value
    with pytest.raises(InputError, match="wave"):
        Context.of_frame(frame, COLUMNS, scalers, 8, 8)
