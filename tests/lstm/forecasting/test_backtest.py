from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sequences.splits import TEST, SplitSettings
from gatecast.lstm.forecasting.backtest import cross_validation
from gatecast.lstm.forecasting.forecaster import Forecaster
from tests.lstm.frames import SPLIT, sequences_for, sine_frame, small_model

COLUMNS = ["unique_id", "ds", "cutoff", "y", "y_hat"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return sine_frame(names=("alpha", "beta"))


@pytest.fixture(scope="module", params=[{}, {"horizon": 3}, {"stateful": True}], ids=["plain", "horizon 3", "stateful"])
def fitted(request: pytest.FixtureRequest, frame: pd.DataFrame) -> Forecaster:
    return small_model(**request.param).fit(frame, SPLIT)


def test_a_fitted_model_forecasts_as_it_does_for_the_test_rows(fitted: Forecaster, frame: pd.DataFrame) -> None:
    # predict_windows takes another road: from scaled sequences, all windows at once.
    horizon = fitted.settings.horizon
    result = fitted.cross_validation(frame, n_windows=6, step_size=1, refit=False)
    expected = fitted.predict_windows(sequences_for(fitted, frame), TEST)
    last = sorted(expected["cutoff"].unique())[-6:]
    expected = expected[expected["cutoff"].isin(last)].sort_values(["cutoff", "unique_id", "step"])
    assert result.columns.tolist()[:5] == COLUMNS
    assert result.columns.tolist()[5:] == ["y_hat-lo-80", "y_hat-hi-80", "y_hat-lo-95", "y_hat-hi-95"]
    assert len(result) == 6 * 2 * horizon
    for column in ("unique_id", "ds", "cutoff"):
        assert result[column].tolist() == expected[column].tolist()
    assert np.allclose(result["y"], expected["y"], atol=1e-5)
    # The stateful model reads a few lookbacks here, and everything there.
    assert np.allclose(result["y_hat"], expected["y_hat"], atol=1e-4 if fitted.settings.stateful else 1e-5)


@pytest.mark.parametrize(("refit", "fits"), [(True, [0, 1, 2, 3]), (2, [0, 0, 2, 2]), (False, [0, 0, 0, 0])])
def test_refitting_is_fitting_on_what_was_known(frame: pd.DataFrame, refit: bool | int, fits: list[int]) -> None:
    model = small_model(horizon=2)
    result = model.cross_validation(frame, n_windows=4, step_size=5, refit=refit)
    assert model.columns == (), "the model itself stays as it is"
    days = frame["ds"].unique()
    origins = [days[len(days) - 2 - 1 - 5 * back] for back in (3, 2, 1, 0)]
    assert result["cutoff"].unique().tolist() == origins
    for origin, fit in zip(origins, fits, strict=True):
        known = small_model(horizon=2).fit(frame[frame["ds"] <= origins[fit]])
        expected = known.predict(frame[frame["ds"] <= origin])
        assert result[result["cutoff"] == origin]["y_hat"].tolist() == expected["y_hat"].tolist()


def test_what_comes_later_does_not_matter(frame: pd.DataFrame) -> None:
    origin = frame["ds"].unique()[-10]
    later = frame.assign(
        y=frame["y"].where(frame["ds"] <= origin, frame["y"] * 100), wave=frame["wave"].where(frame["ds"] <= origin, 7)
    )
    two = [small_model().cross_validation(df, n_windows=2, step_size=8, refit=True) for df in (frame, later)]
    first = [result[result["cutoff"] == origin] for result in two]
    assert len(first[0]) == 2
    assert first[0]["y_hat"].tolist() == first[1]["y_hat"].tolist()
    assert (first[0]["y"] * 100).tolist() == pytest.approx(first[1]["y"].tolist())


def test_the_dates_are_those_that_came(frame: pd.DataFrame) -> None:
    holidays = frame["ds"].unique()[[100, 110]]
    result = small_model(horizon=4).cross_validation(frame[~frame["ds"].isin(holidays)], n_windows=15)
    assert not set(result["ds"]) & set(holidays)
    truth = frame.set_index(["unique_id", "ds"])["y"]
    assert result["y"].tolist() == truth.loc[list(zip(result["unique_id"], result["ds"], strict=True))].tolist()
    assert (result["cutoff"] < result["ds"]).all()


def test_a_series_is_left_out_where_it_has_too_few_rows(frame: pd.DataFrame) -> None:
    days = frame["ds"].unique()
    late = sine_frame(names=("late",)).query("ds > @days[107]")
    ended = sine_frame(names=("ended",)).query("ds < @days[108]")
    result = small_model().cross_validation(pd.concat([frame, late, ended]), n_windows=14, refit=True)
    cutoffs = {name: set(rows["cutoff"]) for name, rows in result.groupby("unique_id")}
    assert cutoffs["alpha"] == set(days[-15:-1])
    assert cutoffs["ended"] == set(days[93:107])  # its own last windows
    assert "late" not in cutoffs  # its first row comes after every training's end


def staggered(frame: pd.DataFrame) -> pd.DataFrame:
    """Hours of alpha and half past of beta, which ends 20 hours later."""
    hours = pd.Series(pd.date_range("2024-01-01", periods=120, freq="h"))
    late = hours + pd.Timedelta(hours=20, minutes=30)
    return frame.assign(ds=pd.concat([hours, late]).to_numpy())


@pytest.mark.parametrize("refit", [False, True, 2])
def test_each_series_has_its_own_last_windows(frame: pd.DataFrame, refit: bool | int) -> None:
    df = staggered(frame)
    result = small_model(horizon=3).cross_validation(df, n_windows=4, step_size=3, refit=refit)
    assert len(result) == 4 * 2 * 3
    for name, rows in df.groupby("unique_id"):
        ours = result[result["unique_id"] == name]
        assert ours["ds"].tolist() == rows["ds"].iloc[-12:].tolist()
        assert ours["y"].tolist() == rows["y"].iloc[-12:].tolist()
        assert ours["cutoff"].unique().tolist() == rows["ds"].iloc[[-13, -10, -7, -4]].tolist()


def test_what_another_series_does_later_does_not_matter(frame: pd.DataFrame) -> None:
    df = staggered(frame)
    alone = df[df["unique_id"] == "alpha"]["ds"].iloc[-4]
    later = df.assign(y=df["y"].where(df["ds"] <= alone, df["y"] + 100))
    two = [small_model(horizon=3).cross_validation(each, n_windows=1, refit=True) for each in (df, later)]
    alpha = [result[result["unique_id"] == "alpha"] for result in two]
    assert alpha[0]["y_hat"].tolist() == alpha[1]["y_hat"].tolist()
    assert (alpha[0]["y"] + 100).tolist() == pytest.approx(alpha[1]["y"].tolist())


def test_series_that_ended_long_before_are_told(frame: pd.DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    days = frame["ds"].unique()
    df = frame[(frame["unique_id"] == "alpha") | (frame["ds"] < days[60])]
    with caplog.at_level(logging.WARNING):
        result = small_model().cross_validation(df, n_windows=3)
    assert len(result) == 6
    assert "1 of 2 series, such as beta, end long before the windows of others begin" in caplog.messages[0]


def test_each_window_is_told_and_the_share_that_stops_a_training_is_set(frame: pd.DataFrame) -> None:
    done: list[int] = []
    half = SplitSettings(validation_fraction=0.5)
    result = cross_validation(small_model(), frame, 3, 2, split=half, on_window=done.append)
    assert done == [1, 2, 3]
    assert result["y_hat"].tolist() != small_model().cross_validation(frame, 3, 2)["y_hat"].tolist()


def test_forecasting_rows_that_were_trained_on_is_told(frame: pd.DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    model = small_model().fit(frame, SPLIT)
    with caplog.at_level(logging.WARNING):
        model.cross_validation(frame, n_windows=3)
        assert not caplog.messages
        model.cross_validation(frame, n_windows=60)
    assert "is no test of it" in caplog.messages[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"n_windows": 0}, "n_windows is 0"),
        ({"step_size": -1}, "step_size is -1"),
        ({"n_windows": 200}, "too few for 200 windows 1 apart"),
        ({"n_windows": 112}, "No series has enough rows"),
    ],
)
def test_wrong_windows_are_named(frame: pd.DataFrame, options: dict[str, int], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        small_model().cross_validation(frame, **options)


def test_a_frame_of_unknown_series_is_named(frame: pd.DataFrame) -> None:
    model = small_model().fit(frame, SPLIT)
    with pytest.raises(InputError, match="No series that the model knows"):
        model.cross_validation(sine_frame(names=("other",)), n_windows=2)


def test_gaps_are_masked_and_rows_without_a_value_are_not_scored(frame: pd.DataFrame) -> None:
    holed = frame.copy()
    gone = holed.index[holed["unique_id"] == "alpha"][[70, 114]]
    holed = holed.drop(index=gone[:1])
    holed.loc[gone[1], "y"] = np.nan
    short = frame[frame["unique_id"] == "alpha"].tail(30).assign(unique_id="short")
    result = small_model(horizon=2, lookback=40).cross_validation(pd.concat([holed, short]), n_windows=4)
    assert result["unique_id"].value_counts().to_dict()["short"] == 8
    assert np.isfinite(result[["y", "y_hat"]]).all(axis=None)
    assert holed["ds"][gone[1]] not in set(result.query("unique_id == 'alpha'")["ds"])


def test_a_lookback_may_be_left_to_the_data(frame: pd.DataFrame) -> None:
    result = small_model(lookback="auto").cross_validation(frame, n_windows=2)
    assert np.isfinite(result["y_hat"]).all()
