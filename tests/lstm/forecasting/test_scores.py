from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from utilsforecast import losses

from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.metrics import owa, regression
from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.scores import Scales, score
from tests.lstm import measures
from tests.lstm.measures import GLUONTS_ACTUAL, GLUONTS_FORECAST, GLUONTS_SCORES, GLUONTS_TRAINING


def training_panel(series) -> Panel:
    frames = [
        pd.DataFrame({"unique_id": f"s{number}", "ds": range(len(y)), "y": np.asarray(y, float)})
        for number, y in enumerate(series)
    ]
    return Panel.of_frame(pd.concat(frames, ignore_index=True))


def predictions_of(actual, **forecasts) -> pd.DataFrame:
    """A frame of forecasts, each (n_series, n_origins, horizon) or (n_series, horizon)."""
    actual = np.asarray(actual, float)
    shape = actual.shape if actual.ndim == 3 else (len(actual), 1, actual.shape[1])
    series, origin, step = (index.ravel() for index in np.indices(shape))
    frame = pd.DataFrame(
        {"unique_id": [f"s{k}" for k in series], "cutoff": origin, "step": step + 1, "y": actual.ravel()}
    )
    return frame.assign(**{name: np.asarray(values, float).ravel() for name, values in forecasts.items()})


@pytest.fixture
def gluonts():
    predictions = predictions_of(GLUONTS_ACTUAL, model=GLUONTS_FORECAST)
    return score(predictions, ["model"], Scales.of_panel(training_panel(GLUONTS_TRAINING), season=4))


@pytest.mark.parametrize("measure", ["mse", "mae", "rmse", "mase", "smape"])
def test_measures_are_those_of_gluonts(gluonts, measure):
    np.testing.assert_allclose(gluonts.by_series[measure], GLUONTS_SCORES[measure], rtol=1e-9)


def test_measures_are_those_of_the_formulas(gluonts):
    for number, row in gluonts.by_series.iterrows():
        training, y, y_hat = GLUONTS_TRAINING[number], GLUONTS_ACTUAL[number], GLUONTS_FORECAST[number]
        assert row["mase"] == pytest.approx(measures.mase(training, y, y_hat, 4), rel=1e-12)
        assert row["rmsse"] == pytest.approx(measures.rmsse(training, y, y_hat, 4), rel=1e-12)
        assert row["smape"] == pytest.approx(measures.smape(y, y_hat), rel=1e-12)
        expected = regression(np.array(y), np.array(y_hat))
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_scaled_errors_are_those_of_the_library(gluonts):
    """Its own functions hold no series apart that has no full season, or no change, which is why ours divide."""
    parts = [
        pd.DataFrame({"unique_id": f"s{number}", "ds": range(30), "y": y}) for number, y in enumerate(GLUONTS_TRAINING)
    ]
    predictions = predictions_of(GLUONTS_ACTUAL, model=GLUONTS_FORECAST).drop(columns="cutoff")
    for name in ("mase", "rmsse"):
        expected = getattr(losses, name)(predictions, ["model"], 4, pd.concat(parts))
        np.testing.assert_allclose(gluonts.by_series[name], expected["model"], rtol=1e-12)


def test_overall_scores_are_over_rows_or_over_series(gluonts):
    overall = gluonts.overall.set_index("forecast").loc["model"]
    error = np.array(GLUONTS_FORECAST) - np.array(GLUONTS_ACTUAL)
    assert overall["rows"] == 15
    assert overall["mae"] == pytest.approx(np.abs(error).mean())
    assert overall["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert overall["mase"] == pytest.approx(np.mean(GLUONTS_SCORES["mase"]))
    assert overall["smape"] == pytest.approx(np.mean(GLUONTS_SCORES["smape"]))


def test_overall_weighted_average_of_the_m4_competition():
    # Seasonal naive on the hourly series: sMAPE 13.912, MASE 1.193, Naive2 18.383 and 2.395.
    assert owa(13.912, 1.193, 18.383, 2.395) == pytest.approx(0.627, abs=5e-4)
    assert owa(18.383, 2.395, 18.383, 2.395) == 1.0


def test_a_zero_target_is_an_error_that_counts():
    scores = score(
        predictions_of([[0.0, 2.0]], model=[[1.0, 2.0]], zero=[[0.0, 2.0]]),
        ["model", "zero"],
        Scales.of_panel(training_panel([[1.0, 2.0, 4.0]])),
    )
    assert scores.by_series["smape"].tolist() == [100.0, 0.0]
    assert scores.by_series["mae"].tolist() == [0.5, 0.0]


def test_losses_are_means_over_the_series_of_scaled_errors(rng):
    actual, y_hat = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4, 2))
    training = rng.normal(size=(3, 40)) * [[1.0], [50.0], [1e4]]
    scores = score(predictions_of(actual, model=y_hat), ["model"], Scales.of_panel(training_panel(training), 7))
    scale = [measures.seasonal_error(y, 7) for y in training]
    expected = (np.abs(y_hat - actual) / np.array(scale)[:, None, None]).mean(axis=0)
    np.testing.assert_allclose(scores.losses["model"].to_numpy().reshape(4, 2), expected, rtol=1e-12)
    assert scores.losses.index.to_list() == [(origin, step) for origin in range(4) for step in (1, 2)]
    np.testing.assert_allclose(scores.by_step["score"], expected.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(scores.by_step["mae"], np.abs(y_hat - actual).mean(axis=(0, 1)), rtol=1e-12)
    assert scores.means["model"] == pytest.approx(expected.mean())
    assert scores.origins == 4


def test_origins_are_those_of_the_series_that_has_most(rng):
    """Series that end at different times have as many cutoffs as there are ends, but one origin each."""
    predictions = predictions_of(rng.normal(size=(5, 1, 3)), model=rng.normal(size=(5, 1, 3)))
    predictions["cutoff"] = predictions["unique_id"].str[1:].astype(int) * 100
    scores = score(predictions, ["model"], Scales.of_panel(training_panel(rng.normal(size=(5, 20)))))
    assert scores.origins == 1
    assert len(scores.losses) == 5 * 3


def test_most_values_zero_are_measured_by_squared_errors(rng):
    training = (rng.random((4, 100)) < 0.2) * rng.poisson(5, (4, 100))
    scales = Scales.of_panel(training_panel(training))
    assert scales.measure == "RMSSE"
    actual, y_hat = training[:, :6].reshape(4, 2, 3), np.full((4, 2, 3), 1.2)
    scores = score(predictions_of(actual, model=y_hat), ["model"], scales)
    squared = [measures.seasonal_error(y, 1, 2) for y in training]
    expected = ((y_hat - actual) ** 2 / np.array(squared)[:, None, None]).mean(axis=0)
    np.testing.assert_allclose(scores.losses["model"].to_numpy().reshape(2, 3), expected, rtol=1e-12)
    np.testing.assert_allclose(scores.by_step["score"], np.sqrt(expected.mean(axis=0)), rtol=1e-12)
    assert scores.means["model"] == pytest.approx(scores.by_series["rmsse"].mean())


def test_a_series_without_a_full_season_is_scaled_by_its_last_value(rng):
    training = [rng.normal(size=60), rng.normal(size=24)]
    scales = Scales.of_panel(training_panel(training), season=24)
    expected = [measures.seasonal_error(training[0], 24), measures.seasonal_error(training[1], 1)]
    np.testing.assert_allclose(scales.absolute, expected, rtol=1e-12)
    assert scales.notes == (
        "Series of no more than 24 training rows are scaled by the errors of their last value: 1 of 2.",
    )


def test_a_constant_series_has_no_scale_and_is_told(rng):
    scales = Scales.of_panel(training_panel([rng.normal(size=20), np.full(20, 4.0)]))
    scores = score(predictions_of([[1.0], [4.0]], model=[[2.0], [5.0]]), ["model"], scales)
    assert scores.measure == "MASE"
    assert scores.by_series["mase"].isna().tolist() == [False, True]
    assert scores.by_series["r2"].isna().all()
    assert scores.means["model"] == pytest.approx(scores.by_series["mase"][0])
    assert scores.comparable["model"].tolist() == pytest.approx([scores.by_series["mase"][0], 1.0])
    assert scores.notes == (
        "Series that do not change over their training rows have no scale, and count in the share of series alone: 1 of"
        " 2.",
    )


def test_where_no_series_has_a_scale_errors_are_not_scaled():
    scales = Scales.of_panel(training_panel([np.zeros(20), np.full(20, 4.0)]))
    scores = score(predictions_of([[0.0], [4.0]], model=[[0.5], [4.0]]), ["model"], scales)
    assert scores.measure == "MAE"
    assert scores.means["model"] == 0.25
    assert scores.losses["model"].tolist() == [0.25]


def test_missing_training_values_are_left_out_of_the_scale():
    y = [1.0, np.nan, 4.0, 6.0, np.nan, 7.0, 3.0]
    scales = Scales.of_panel(training_panel([y]))
    assert scales.absolute.tolist() == [(2 + 4) / 2]


def test_rows_without_an_actual_value_are_not_scored_and_counted():
    predictions = predictions_of([[1.0, np.nan, 3.0]], model=[[1.0, 2.0, 4.0]])
    scores = score(predictions, ["model"], Scales.of_panel(training_panel([[1.0, 2.0]])))
    assert scores.by_series["mae"].tolist() == [0.5]
    assert scores.notes == ("Forecasts of a missing value are not scored: 1 of 3.",)


def test_nothing_to_score_is_told():
    """As when the horizon is longer than the test period."""
    predictions = predictions_of([[1.0, 2.0]], model=[[1.0, 2.0]])
    scales = Scales.of_panel(training_panel([[1.0, 2.0]]))
    for empty in (predictions.head(0), predictions.assign(y=np.nan)):
        with pytest.raises(InputError, match="at least as long as the horizon"):
            score(empty, ["model"], scales)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_forecast_that_is_missing_is_refused(bad):
    predictions = predictions_of([[1.0, 2.0]], model=[[1.0, bad]])
    with pytest.raises(ValueError, match="forecasts of model are missing or infinite: 1 of 2"):
        score(predictions, ["model"], Scales.of_panel(training_panel([[1.0, 2.0]])))
