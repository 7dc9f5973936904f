from __future__ import annotations

import dataclasses

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
    other = Context.of_frame(frame, COLUMNS, scalers, 80)
    assert np.array_equal(other.values, whole.values)
    assert np.array_equal(other.offsets, whole.offsets)
    assert np.array_equal(other.ds, whole.ds)
    assert (other.unique_ids, other.timezone) == (whole.unique_ids, whole.timezone)


@pytest.mark.parametrize("timezone", [None, "America/New_York", "UTC", "+05:30"])
def test_arrays_give_back_the_context_and_its_time_zone(frame, scalers, timezone):
    frame["ds"] = frame["ds"].dt.tz_localize(timezone)
    context = Context.of_frame(frame, COLUMNS, scalers, 70)
    again = Context.from_arrays(context.to_arrays(), scalers, list(context.unique_ids), context.timezone)
    assert np.array_equal(again.values, context.values)
    assert again.unique_ids == context.unique_ids
    after = again.next_dates(1, 3)
    assert after.equals(context.next_dates(1, 3))
    assert after[0] == frame["ds"].iloc[-1] + pd.offsets.BDay()


def test_business_days_go_on_over_the_weekend(frame, scalers):
    friday = frame[frame["ds"] <= "2020-03-06"]
    context = Context.of_frame(friday, COLUMNS, scalers, 8)
    assert context.next_dates(0, 2).strftime("%a %d").tolist() == ["Mon 09", "Tue 10"]


@pytest.mark.parametrize("column", ["unique_id", "ds", "y", "wave"])
def test_a_missing_column_is_named(frame, scalers, column):
    with pytest.raises(InputError, match=f"no column '{column}'"):
        Context.of_frame(frame.drop(columns=column), COLUMNS, scalers, 8)


def test_a_series_that_was_not_trained_on_is_scaled_by_its_own_rows(frame, scalers):
    known = Context.of_frame(frame, COLUMNS, scalers, 8)
    del scalers["beta"]
    context = Context.of_frame(frame, COLUMNS, scalers, 8, kind="standard")
    assert np.array_equal(context.rows_of(0), known.rows_of(0))
    beta = frame[frame["unique_id"] == "beta"]
    assert context.scalers[1].center[0] == beta["y"].mean()
    np.testing.assert_allclose(context.scalers[1].inverse(context.rows_of(1)), beta[list(COLUMNS)].tail(64), rtol=1e-5)


def test_short_series_and_missing_values_are_kept(frame, scalers):
    frame.loc[99, "y"] = np.nan
    short = pd.concat([frame[frame["unique_id"] == "alpha"], frame[frame["unique_id"] == "beta"].head(7)])
    context = Context.of_frame(short, COLUMNS, scalers, 8)
    assert np.diff(context.offsets).tolist() == [64, 7]
    assert np.argwhere(np.isnan(context.values)).tolist() == [[63, 0]]


def test_series_of_which_too_little_is_known_are_left_out_with_one_warning(frame, scalers, caplog):
    empty = [frame[frame["unique_id"] == "alpha"].assign(unique_id=f"s{number}", y=np.nan) for number in range(7)]
    context = Context.of_frame(pd.concat([frame, *empty]), COLUMNS, scalers, 8)
    assert context.unique_ids == ("alpha", "beta")
    assert [record.getMessage() for record in caplog.records] == [
        "7 of 9 series are not forecast, since fewer than 2 of their values are known: s0, s1, s2, s3, s4 and 2 more."
    ]
    with pytest.raises(InputError, match="Fewer than 2 values of s0 are known, so there is nothing to forecast from"):
        Context.of_frame(empty[0].head(1), COLUMNS, scalers, 8)


def test_rows_that_are_missing_are_put_in_if_the_model_was_trained_so(frame, sequences, scalers):
    former = dataclasses.replace(Context.of_sequences(sequences, 80), gaps="keep")
    holed = frame.drop(index=[97, 150, 151])
    assert np.diff(Context.of_frame(holed, COLUMNS, scalers, 100, former).offsets).tolist() == [99, 98]
    masking = dataclasses.replace(former, gaps="mask")
    context = Context.of_frame(holed, COLUMNS, scalers, 100, masking)
    assert np.flatnonzero(np.isnan(context.values[:, 0])).tolist() == [97, 150, 151]
    again = Context.from_arrays(context.to_arrays(), scalers, **context.to_dict())
    assert again.gaps == "mask"
    assert np.array_equal(again.values, context.values, equal_nan=True)


@pytest.mark.parametrize("value", [np.inf, 1e300])
def test_a_value_that_cannot_be_scaled_is_refused(frame, scalers, value):
    frame.loc[150, "wave"] = value
    with pytest.raises(InputError, match="wave"):
        Context.of_frame(frame, COLUMNS, scalers, 8)
