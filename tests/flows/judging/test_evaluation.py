from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError, SettingsError
from gatecast.data.sequences.sequences import build_sequences
from gatecast.data.sequences.splits import SplitSettings
from gatecast.flows.judging.evaluation import (
    ALL_SERIES,
    MODEL,
    choose_recipe,
    evaluate,
    overall,
    predict_test_with,
    sequence_settings,
)
from gatecast.flows.judging.tables import score_table
from gatecast.flows.judging.yardsticks import Yardstick, require_baselines
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.lstm.forecasting.forecaster import Forecaster

TRAINED, ROWS = 160, 220


def settings(**changes: Any) -> RetrainSettings:
    return RetrainSettings(**{"name": "planted", "model": {"lookback": 8}, **changes}).resolved("series")


def frame_of(*series: np.ndarray) -> pd.DataFrame:
    days = pd.date_range("2021-01-04", periods=max(map(len, series)))
    parts = [pd.DataFrame({"unique_id": f"s{k}", "ds": days[-len(y) :], "y": y}) for k, y in enumerate(series)]
    return pd.concat(parts, ignore_index=True)


def keys_of(frame: pd.DataFrame, horizon: int = 1) -> pd.DataFrame:
    """Every origin from the end of the training on."""
    days = np.sort(frame["ds"].unique())
    parts = []
    for unique_id, rows in frame.groupby("unique_id", sort=False):
        ds, y = rows["ds"].to_numpy(), rows["y"].to_numpy()
        origins = np.flatnonzero(ds >= days[TRAINED - 1])[:-horizon]
        steps = np.tile(np.arange(1, horizon + 1), len(origins))
        rows_of = np.repeat(origins, horizon)
        parts.append(
            pd.DataFrame(
                {"unique_id": unique_id, "cutoff": ds[rows_of], "ds": ds[rows_of + steps], "step": steps,
                 "y": y[rows_of + steps]}
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def evaluated(
    frame: pd.DataFrame, y_hat: Any, horizon: int = 1, of: RetrainSettings | None = None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Evaluate given forecasts; `y_hat` is a function of the predictions with the baselines."""
    chosen = of or settings()
    yardstick = Yardstick.of(frame, chosen, pd.Timestamp(np.sort(frame["ds"].unique())[TRAINED - 1]))
    keys = keys_of(frame, horizon)
    forecasts = yardstick.forecast(keys)
    predictions = keys.join(forecasts.values)
    predictions[MODEL] = y_hat(predictions)
    return evaluate(predictions, yardstick, chosen, forecasts.notes), predictions


def weekly(rng: np.random.Generator, rows: int = ROWS) -> np.ndarray:
    """A week whose days move on their own: the best forecast of a day is that of the week before."""
    steps = np.zeros((-(-rows // 7), 7))
    steps[0] = 10 * rng.normal(size=7)
    steps[1:] = rng.normal(size=(len(steps) - 1, 7))
    return steps.cumsum(axis=0).ravel()[:rows]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_model_and_baselines_stand_in_one_sorted_table(rng: np.random.Generator) -> None:
    frame = frame_of(weekly(rng), weekly(rng))
    evaluation, rows = evaluated(frame, lambda rows: (rows["naive"] + rows["seasonal_naive_7"]) / 2)
    assert evaluation["season"]["periods"] == [7]
    assert list(evaluation["labels"].values()) == [
        "LSTM", "last value", "seasonal naive 7", "window mean", "drift", "ridge regression",
    ]  # fmt: skip
    total = overall(evaluation["scores"])
    error = rows[MODEL] - rows["y"]
    assert total[MODEL]["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert total[MODEL]["mae"] == pytest.approx(np.abs(error).mean())
    assert total[MODEL]["skill"] == pytest.approx(1 - total[MODEL]["rmse"] / total["naive"]["rmse"])
    assert list(dict.fromkeys(row["unique_id"] for row in evaluation["scores"])) == ["s0", "s1", ALL_SERIES]
    table = score_table(evaluation)
    assert list(table[0]) == ["series", "forecast", "MASE", "RMSSE", "RMSE", "MAE", "sMAPE %", "R²"]
    assert {row["forecast"] for row in table} == set(evaluation["labels"].values())
    for series in ("s0", "s1", "all series"):
        figures = [float(row["MASE"]) for row in table if row["series"] == series]
        assert figures == sorted(figures)
        assert len(figures) == 6
    json.dumps(evaluation, allow_nan=False)


def test_the_verdict_names_the_best_baseline_and_the_figure_is_the_same(rng: np.random.Generator) -> None:
    frame = frame_of(weekly(rng), weekly(rng))
    evaluation, _ = evaluated(frame, lambda rows: (rows["naive"] + rows["seasonal_naive_7"]) / 2, 7)
    judged = evaluation["judged"]
    assert evaluation["verdict"].startswith("The model loses to seasonal naive 7 (MASE ")
    assert "better on 0 % of 2 series" in evaluation["verdict"]
    assert (judged["outcome"], judged["best"], judged["best_label"]) == (
        "worse",
        "seasonal_naive_7",
        "seasonal naive 7",
    )
    figure = FORECASTER.figure(evaluation)
    assert (figure.value, figure.baseline) == (judged["score"], judged["best_score"])
    assert figure.gain.startswith("-")
    assert [row["step"] for row in evaluation["steps"] if row["forecast"] == MODEL] == list(range(1, 8))


def test_nothing_beats_the_last_value_of_a_random_walk(rng: np.random.Generator) -> None:
    frame = frame_of(rng.normal(size=ROWS).cumsum())
    evaluation, _ = evaluated(frame, lambda rows: rows["mean"])
    assert evaluation["judged"]["outcome"] == "worse"
    assert evaluation["season"] == {"periods": [], "sentence": "No season was found among periods of 7 rows."}


def test_a_pure_season_is_a_tie_for_a_model_that_knows_it(rng: np.random.Generator) -> None:
    frame = frame_of(np.tile(rng.normal(size=7), ROWS)[:ROWS])
    evaluation, _ = evaluated(frame, lambda rows: rows["y"])
    assert evaluation["judged"]["measure"] == "MAE"  # the seasonal naive forecast has no error to scale by
    assert evaluation["judged"]["outcome"] == "level"
    lost, _ = evaluated(frame, lambda rows: rows["naive"])
    assert "loses to seasonal naive 7 (MAE 0 against " in lost["verdict"]


def test_a_trend_is_won_by_what_goes_on(rng: np.random.Generator) -> None:
    frame = frame_of(np.arange(ROWS) + 0.3 * rng.normal(size=ROWS))
    evaluation, _ = evaluated(frame, lambda rows: rows["naive"], 3)
    assert evaluation["judged"]["outcome"] == "worse"
    assert evaluation["judged"]["best"] in ("drift", "ridge")


def test_zeros_are_counted_as_errors(rng: np.random.Generator) -> None:
    y = np.where(rng.random(ROWS) < 0.2, rng.integers(1, 9, ROWS), 0).astype(float)
    evaluation, rows = evaluated(frame_of(y), lambda rows: rows["y"] + 1.0)
    assert evaluation["judged"]["measure"] == "RMSSE"
    total = overall(evaluation["scores"])[MODEL]
    assert total["rows"] == len(rows)
    assert total["mae"] == 1.0
    assert total["smape"] == pytest.approx(np.mean(200 / (2 * rows["y"] + 1)))


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_a_series_that_never_changes(level: float) -> None:
    evaluation, _ = evaluated(frame_of(np.full(ROWS, level)), lambda rows: rows["y"] + 0.5)
    assert evaluation["judged"]["measure"] == "MAE"
    assert "No series changes over its training rows, so errors are not scaled." in evaluation["notes"]
    assert overall(evaluation["scores"])[MODEL]["mae"] == 0.5
    assert overall(evaluation["scores"])[MODEL]["r2"] is None
    assert "loses to" in evaluation["verdict"]
    assert score_table(evaluation)[0]["R²"] == "–"


def test_a_season_longer_than_the_series_is_told(rng: np.random.Generator) -> None:
    frame = frame_of(rng.normal(size=ROWS))
    evaluation, _ = evaluated(frame, lambda rows: rows["mean"], of=settings(seasonality=(500,)))
    assert evaluation["season"] == {
        "periods": [],
        "sentence": "Season of 500 rows, as set. No series has a full season of 500 training rows, so it is of no use.",
    }


def test_a_series_without_a_full_season_is_told(rng: np.random.Generator) -> None:
    frame = frame_of(rng.normal(size=ROWS), rng.normal(size=ROWS - TRAINED + 20))
    evaluation, rows = evaluated(frame, lambda rows: rows["mean"], of=settings(seasonality=(7, 30)))
    assert evaluation["season"]["periods"] == [7, 30]
    assert evaluation["season"]["sentence"].endswith("no full season of 30 training rows in 1 of 2 series.")
    young = rows["unique_id"] == "s1"
    lacking = young & (rows["cutoff"] < frame["ds"].iloc[ROWS] + pd.Timedelta(days=29))
    assert (rows.loc[lacking, "seasonal_naive_30"] == rows.loc[lacking, "naive"]).all()
    assert any("in 1 of 2 series" in note and "seasonal naive 30" in note for note in evaluation["notes"])


@pytest.mark.parametrize(
    ("seasonality", "expected"),
    [
        ((1,), "seasonality 1 is not allowed: it should be greater than or equal to 2"),
        ((24, 24), r"seasonality \(24, 24\) is not allowed: it should be a list without repetitions"),
        (("day",), "seasonality 'day' is not allowed"),
    ],
)
def test_a_wrong_season_is_refused_before_anything_runs(seasonality: Any, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected) as caught:
        RetrainSettings(seasonality=seasonality)
    assert "\n" not in str(caught.value)


def test_baselines_that_are_not_installed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    require_baselines(settings())
    with pytest.raises(InputError, match=r"pip install 'gatecast\[baselines\]'"):
        require_baselines(settings(baselines=("AutoETS",)))


def test_prices_are_held_against_prices(rng: np.random.Generator) -> None:
    close = pd.DataFrame({"close": 100 * np.exp(0.01 * rng.normal(size=ROWS).cumsum())})
    bars = close.assign(unique_id="a", ds=pd.date_range("2021-01-04", periods=ROWS), open=close["close"])
    bars = bars.assign(high=1.01 * bars["close"], low=0.99 * bars["close"], volume=1000.0)
    wanted = RetrainSettings(target="close", features="none").resolved("bars")
    yardstick = Yardstick.of(bars, wanted, bars["ds"].iloc[TRAINED])
    assert yardstick.series["y"].tolist() == bars["close"].tolist()[1:]
    keys = pd.DataFrame({"unique_id": "a", "cutoff": bars["ds"].iloc[180:185], "step": 1})
    assert yardstick.forecast(keys).values["naive"].tolist() == bars["close"].iloc[180:185].tolist()
    of_returns = Yardstick.of(bars, RetrainSettings(target="return").resolved("bars"), bars["ds"].iloc[TRAINED])
    keys = keys.assign(cutoff=bars["ds"].iloc[190:195].to_numpy())
    assert yardstick.labels["naive"] == "last value"
    assert of_returns.labels["naive"] == "no change"


@pytest.mark.parametrize("weighs", ["the champion", "the new model", "both"])
def test_a_model_is_tested_on_data_that_have_gained_or_lost_the_column_of_the_weights(
    rng: np.random.Generator, weighs: str
) -> None:
    frame = frame_of(weekly(rng), weekly(rng))
    weighted = frame.assign(w=1.0)
    small = {"lookback": 8, "hidden_size": 2, "max_epochs": 1}
    without, with_weights = (
        settings(split=SplitSettings(), model={**small, "weight_column": name}) for name in (None, "w")
    )
    own, data = (without, frame) if weighs == "the new model" else (with_weights, weighted)
    own, _ = choose_recipe(own, data)
    model = Forecaster.from_settings(own.model).fit_sequences(build_sequences(data, sequence_settings(own)))
    now, data = (without, frame) if weighs == "the champion" else (with_weights, weighted)
    forecasts = predict_test_with(model, data, now, own)
    assert forecasts["unique_id"].nunique() == 2
    assert np.isfinite(forecasts["y_hat"]).all()
