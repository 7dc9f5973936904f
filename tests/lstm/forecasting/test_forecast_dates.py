"""The dates of forecasts: those on which the series really goes on, for many series at once."""

from __future__ import annotations

import dateutil.tz
import numpy as np
import pandas as pd
import pytest

from gatecast.data.dates.periods import next_dates
from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.context import Context
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.models import load
from tests.lstm.frames import SPLIT, sequences_for, small_model

HORIZON = 6


def series(name: str, ds: pd.DatetimeIndex) -> pd.DataFrame:
    y = np.sin(np.arange(len(ds))) + np.random.default_rng(len(ds)).normal(size=len(ds))
    return pd.DataFrame({"unique_id": name, "ds": ds.as_unit("ns"), "y": y})


def sessions(weeks: int = 6, timezone: str | None = None) -> pd.DatetimeIndex:
    """Half hours of an exchange that is open on weekdays from 9:30 to 15:30."""
    ds = pd.date_range("2019-01-07", periods=weeks * 7 * 48, freq="30min", tz=timezone)
    ds = ds[ds.day_of_week < 5]
    return ds[ds.indexer_between_time("9:30", "15:30")]


def shop(weeks: int = 20) -> pd.DatetimeIndex:
    ds = pd.date_range("2019-01-07", periods=weeks * 7)
    return ds[ds.day_of_week < 6]


def fit(*frames: pd.DataFrame, **options: object) -> Forecaster:
    return small_model(horizon=HORIZON).fit(pd.concat(frames), SPLIT, **options)


def dates(forecast: pd.DataFrame, name: str) -> list[pd.Timestamp]:
    return forecast.loc[forecast["unique_id"] == name, "ds"].tolist()


def test_a_session_is_followed_by_the_next_one() -> None:
    model = fit(series("bars", sessions()))
    expected = pd.date_range("2019-02-18 09:30", periods=HORIZON, freq="30min").tolist()
    assert model.predict()["ds"].tolist() == expected
    assert model.dates_in_words == "half hours 9:30–15:30 on weekdays"


def test_each_series_goes_on_by_its_own_pattern(tmp_path) -> None:
    known = {
        "bars": sessions()[:200],
        "shop": shop()[:100],
        "hours": pd.date_range("2019-01-07", periods=150, freq="h"),
    }
    known |= {f"late {number}": shop()[: 80 + number] for number in range(5)}
    frames = [series(name, ds) for name, ds in known.items()]
    model = fit(*frames)
    again = load(model.save(tmp_path / "model"))
    for forecast in (model.predict(), again.predict(), again.predict(pd.concat(frames))):
        for name, ds in known.items():
            assert dates(forecast, name) == next_dates(ds.as_unit("ns"), HORIZON).tolist()
    assert dates(model.predict(), "late 0") == shop()[80 : 80 + HORIZON].tolist()


def test_the_pattern_is_that_of_training_where_few_rows_are_given() -> None:
    model = fit(series("shop", shop()), series("bars", sessions()))
    few = pd.concat([series("shop", shop()[-13:-1]), series("bars", sessions()[-13:])])
    assert dates(model.predict(few), "shop")[:2] == [pd.Timestamp("2019-05-25"), pd.Timestamp("2019-05-27")]
    assert dates(model.predict(few), "bars")[0] == pd.Timestamp("2019-02-18 09:30")


def test_another_pattern_than_that_of_training_is_found_in_the_rows() -> None:
    model = fit(series("shop", shop()))
    ds = pd.date_range("2020-01-06", periods=30, freq="h")
    assert model.predict(series("shop", ds))["ds"].tolist() == next_dates(ds.as_unit("ns"), HORIZON).tolist()


def test_a_frequency_and_closed_days_are_obeyed(tmp_path) -> None:
    frame = series("shop", shop())
    daily = fit(frame, freq="D")
    assert daily.predict()["ds"].tolist() == pd.date_range("2019-05-26", periods=HORIZON).tolist()
    closed = fit(frame, closed=("SUN", "MON"))
    again = load(closed.save(tmp_path / "model"))
    for forecast in (closed.predict(), again.predict(), again.predict(frame)):
        assert not set(forecast["ds"].dt.day_of_week) & {6, 0}
    with pytest.raises(InputError, match="no frequency"):
        fit(frame, freq="sometimes")
    with pytest.raises(InputError, match="not a day of the week"):
        fit(frame, closed=["Sunday"])


@pytest.mark.parametrize(
    "zone",
    [
        dateutil.tz.gettz("America/New_York"),
        dateutil.tz.tzoffset("IST", 19800),
        dateutil.tz.tzutc(),
        "+05:30",
        "Asia/Kolkata",
    ],
    ids=str,
)
def test_zones_without_a_name_are_kept(zone, tmp_path) -> None:
    ds = sessions(timezone=zone)
    frame = series("bars", ds[:-HORIZON])
    model = fit(frame)
    again = load(model.save(tmp_path / "model"))
    for forecast in (model.predict(), again.predict(), again.predict(frame)):
        assert forecast["ds"].tolist() == ds[-HORIZON:].tolist()
        assert forecast["ds"].iloc[0].utcoffset() == ds[-HORIZON].utcoffset()


def test_a_zone_that_cannot_be_kept_is_refused_before_training() -> None:
    with pytest.raises(InputError, match="has no name that a model could keep"):
        fit(series("bars", sessions(timezone="UTC").tz_convert(dateutil.tz.tzstr("EST5EDT"))))


def test_a_model_that_was_saved_without_schedules_finds_them_in_its_last_rows() -> None:
    context = Context.of_sequences(sequences_for(small_model(), series("shop", shop())), 64)
    arrays = {name: array for name, array in context.to_arrays().items() if name != "schedule"}
    scalers = dict(zip(context.unique_ids, context.scalers, strict=True))
    again = Context.from_arrays(arrays, scalers, context.unique_ids, None)
    assert again.schedules == context.schedules
    assert again.next_rows(3).equals(context.next_rows(3))


@pytest.mark.parametrize("number", [-1, 1])
def test_a_series_without_its_schedule_is_refused(number: int) -> None:
    context = Context.of_sequences(sequences_for(small_model(), series("shop", shop())), 64)
    arrays = context.to_arrays() | {"schedule": np.array([number])}
    scalers = dict(zip(context.unique_ids, context.scalers, strict=True))
    with pytest.raises(ValueError, match="has no schedule"):
        Context.from_arrays(arrays, scalers, **context.to_dict())
