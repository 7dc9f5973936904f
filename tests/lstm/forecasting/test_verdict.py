"""The verdict on planted cases, whose best forecast is known, and its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.baselines import Baseline, BaselineForecasts, forecast
from gatecast.lstm.forecasting.panel import Panel
from gatecast.lstm.forecasting.scores import Scales, score
from gatecast.lstm.forecasting.seasons import Seasons, find_seasons, given_seasons
from gatecast.lstm.forecasting.verdict import Verdict, judge
from gatecast.lstm.forecasting.yardstick import labels, usual_baselines

HORIZON, ROWS, TRAINED = 7, 600, 450


def frame_of(*series: np.ndarray) -> pd.DataFrame:
    days = pd.date_range("2020-01-01", periods=max(map(len, series)))
    frames = [
        pd.DataFrame({"unique_id": f"s{number}", "ds": days[: len(y)], "y": y}) for number, y in enumerate(series)
    ]
    return pd.concat(frames, ignore_index=True)


def keys_of(frame: pd.DataFrame, trained: int, horizon: int, step_size: int) -> pd.DataFrame:
    """Every origin from the end of the training on."""
    parts = []
    for unique_id, rows in frame.groupby("unique_id", sort=False):
        origins = np.arange(trained - 1, len(rows) - horizon, step_size)
        targets = origins[:, None] + np.arange(1, horizon + 1)
        cutoff = np.repeat(rows["ds"].to_numpy()[origins], horizon)
        step, y = np.tile(np.arange(1, horizon + 1), len(origins)), rows["y"].to_numpy()[targets].ravel()
        parts.append(pd.DataFrame({"unique_id": unique_id, "cutoff": cutoff, "step": step, "y": y}))
    return pd.concat(parts, ignore_index=True)


class Trial:
    """The whole path that a caller goes, up to the verdict on a column of the forecasts."""

    def __init__(self, *series, trained=TRAINED, horizon=HORIZON, step_size=1, seasonality=None, window=60):
        self.frame, self.step_size = frame_of(*series), step_size
        train_end = self.frame["ds"].iloc[trained - 1]
        self.panel = Panel.of_frame(self.frame, train_end)
        self.seasons: Seasons = (
            find_seasons(self.panel) if seasonality is None else given_seasons(seasonality, self.panel)
        )
        self.baselines: tuple[Baseline, ...] = usual_baselines(self.seasons, window)
        keys = keys_of(self.frame, trained, horizon, step_size)
        self.forecasts: BaselineForecasts = forecast(self.baselines, self.frame, keys, train_end)
        self.rows = keys.join(self.forecasts.values)

    def judge(self, y_hat) -> Verdict:
        predictions = self.rows.assign(model=y_hat)
        scales = Scales.of_panel(self.panel, self.seasons.main)
        scores = score(predictions, ["model", *self.forecasts.values], scales)
        return judge(scores, "model", labels(self.baselines), self.step_size)


def weekly(rng, rows: int = ROWS, noise: float = 0.3) -> np.ndarray:
    return 5 * rng.normal(size=7)[np.arange(rows) % 7] + noise * rng.normal(size=rows)


def test_nothing_beats_the_last_value_of_a_random_walk(rng):
    """The window mean never; drift and ridge no more often than luck, for which a test at 5 % leaves some room."""
    lucky = 0
    for _ in range(8):
        trial = Trial(*(rng.normal(size=ROWS).cumsum() for _ in range(3)))
        assert trial.seasons.periods == ()
        scores = score(trial.rows, list(trial.forecasts.values), Scales.of_panel(trial.panel))
        assert judge(scores, "mean", {"naive": "last value"}).outcome == "worse"
        lucky += sum(judge(scores, name, {"naive": "last value"}).outcome == "better" for name in ("drift", "ridge"))
    assert lucky <= 3, "of 16"
    # A forecast that is the last value, but for a little noise, gets no praise.
    assert trial.judge(trial.rows["naive"] + 0.05 * rng.normal(size=len(trial.rows))).outcome != "better"


def test_a_model_that_misses_a_season_loses_to_the_seasonal_naive_forecast(rng):
    """A week that the last value misses: better than that, and far from good."""
    trial = Trial(weekly(rng), weekly(rng), window=7)
    assert trial.seasons.periods == (7,)
    halfway = (trial.rows["naive"] + trial.rows["seasonal_naive_7"]) / 2
    verdict = trial.judge(halfway)
    assert verdict.outcome == "worse"
    assert verdict.p_value < 0.001
    assert verdict.share_better == 0
    assert verdict.best in ("seasonal_naive_7", "ridge")
    against_seasonal = score(
        trial.rows.assign(model=halfway), ["model", "naive", "seasonal_naive_7"], Scales.of_panel(trial.panel, 7)
    )
    assert (
        "loses to seasonal naive 7 (MASE 1."
        in judge(against_seasonal, "model", {"naive": "last value", "seasonal_naive_7": "seasonal naive 7"}).sentence
    )


def test_a_model_that_knows_the_season_wins(rng):
    y = [weekly(rng), weekly(rng)]
    trial = Trial(*y)
    mean_of_week = trial.rows["y"].groupby([trial.rows["unique_id"], trial.rows["cutoff"]]).transform("mean")
    assert trial.judge(mean_of_week).outcome == "worse"
    verdict = trial.judge(trial.rows["y"] + 0.1 * rng.normal(size=len(trial.rows)))
    assert (verdict.outcome, verdict.share_better) == ("better", 1.0)
    assert verdict.sentence.startswith("The model beats ")
    assert (
        ", better on 100 % of 2 series and at 7 of 7 steps; the difference is more than luck (p = " in verdict.sentence
    )


def test_a_trend_is_won_by_what_continues_it(rng):
    trial = Trial(0.3 * np.arange(ROWS) + rng.normal(size=ROWS))
    verdict = trial.judge(trial.rows["naive"])
    assert verdict.outcome == "worse"
    assert verdict.best == "ridge"


def test_there_is_no_praise_for_noise(rng):
    """What a network learns of white noise is about its mean."""
    trial = Trial(10 + rng.normal(size=ROWS))
    learnt = trial.rows["mean"] + 0.02 * rng.normal(size=len(trial.rows))
    verdict = trial.judge(learnt)
    assert verdict.outcome == "level"
    assert "is no better than" in verdict.sentence
    assert "may be luck" in verdict.sentence


def test_equally_good_forecasts_of_noise_are_seldom_told_apart():
    rng, praised = np.random.default_rng(1), 0
    for _ in range(40):
        trial = Trial(rng.normal(size=ROWS), horizon=1)
        praised += trial.judge(0.1 * rng.normal(size=len(trial.rows))).outcome == "better"
    assert praised <= 3


def test_an_intermittent_series_is_not_won_by_a_forecast_of_nothing(rng):
    series = [(rng.random(ROWS) < 0.15) * rng.poisson(4, ROWS).astype(float) for _ in range(5)]
    trial = Trial(*series)
    verdict = trial.judge(np.zeros(len(trial.rows)))
    assert verdict.measure == "RMSSE"
    assert (verdict.outcome, verdict.best in ("mean", "ridge")) == ("worse", True)


@pytest.mark.parametrize("level", [0.0, 3.1])
def test_a_constant_series_is_not_beaten(level):
    trial = Trial(np.full(ROWS, level))
    assert trial.judge(trial.rows["naive"]).sentence == (
        "The model is no better than last value (MAE 0 against 0), better at 0 of 7 steps; the difference may be luck"
        " (p = 1)."
    )
    assert trial.judge(trial.rows["naive"] + 0.01).outcome == "worse"


def test_one_big_series_does_not_decide_for_nine_small_ones(rng):
    """Worse on nine of ten, and better on one that is a million times as large."""
    small = [10 + rng.normal(size=ROWS) for _ in range(9)]
    trial = Trial(*small, 1e6 * (10 + rng.normal(size=ROWS)), horizon=1)
    is_big = trial.rows["unique_id"] == "s9"
    y_hat = trial.rows["mean"].where(~is_big, trial.rows["y"] * 0.999)
    y_hat += np.where(is_big, 0, 1.0) * rng.normal(size=len(y_hat))
    pooled = [np.sqrt(((trial.rows["y"] - forecast) ** 2).mean()) for forecast in (y_hat, trial.rows["mean"])]
    assert pooled[0] < 0.1 * pooled[1]
    verdict = trial.judge(y_hat)
    assert verdict.outcome == "worse"
    assert verdict.share_better == pytest.approx(0.1)
    assert "better on 10 % of 10 series" in verdict.sentence


def test_too_few_origins_are_told(rng):
    trial = Trial(weekly(rng), weekly(rng), trained=ROWS - HORIZON)
    verdict = trial.judge(trial.rows["naive"])
    assert (verdict.origins, verdict.p_value, verdict.outcome) == (1, None, "worse")
    assert verdict.by_step["p_value"].isna().all()
    assert verdict.sentence.endswith("; too few origins to tell this from luck (1, where 28 are needed).")


def test_origins_that_are_far_apart_do_not_overlap(rng):
    trial = Trial(*(weekly(rng) for _ in range(3)), step_size=7)
    verdict = trial.judge(trial.rows["naive"])
    assert verdict.origins == 21
    assert verdict.p_value < 0.05


def test_each_step_has_a_verdict_of_its_own(rng):
    """Better at the first three steps, worse at the others."""
    trial = Trial(*(rng.normal(size=ROWS).cumsum() for _ in range(2)))
    near = trial.rows["step"] <= 3
    y_hat = trial.rows["naive"].where(~near, trial.rows["y"]).where(near, trial.rows["naive"] + 1)
    by_step = trial.judge(y_hat).by_step
    assert by_step["step"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert (by_step["model"] < by_step["best"]).tolist() == [True] * 3 + [False] * 4
    assert (by_step["p_value"] < 0.01).tolist() == [True] * 3 + [False] * 4
    assert "better on 50 % of 2 series" in trial.judge(trial.rows["naive"]).sentence


def test_figures_that_look_alike_are_told_apart(rng):
    trial = Trial(rng.normal(size=ROWS).cumsum(), horizon=1)
    closer = trial.rows["naive"] + 1e-4 * np.sign(trial.rows["y"] - trial.rows["naive"])
    verdict = trial.judge(closer)
    best, model = verdict.sentence.split("MASE ")[1].split(")")[0].split(" against ")
    assert float(model) < float(best)
    assert verdict.outcome == "better"


def test_a_season_longer_than_the_series_is_no_season(rng):
    trial = Trial(weekly(rng, 120), trained=100, seasonality=(500,))
    assert "so it is of no use" in trial.seasons.sentence
    assert [baseline.name for baseline in trial.baselines] == ["naive", "mean", "drift", "ridge"]
    assert trial.judge(trial.rows["naive"]).measure == "MASE"


def test_a_series_without_a_full_season_is_judged_with_the_others(rng):
    long, young = weekly(rng), weekly(rng)
    frame = frame_of(long, young)
    days = frame["ds"].iloc[:ROWS]
    # The second series begins a few days before the training ends.
    frame = frame[(frame["unique_id"] == "s0") | (frame["ds"] >= days.iloc[TRAINED - 4])]
    panel = Panel.of_frame(frame, days.iloc[TRAINED - 1])
    seasons = find_seasons(panel)
    keys = pd.concat(
        [
            keys_of(frame[frame["unique_id"] == "s0"], TRAINED, 7, 1),
            keys_of(frame[frame["unique_id"] == "s1"], 4, 7, 1),
        ],
        ignore_index=True,
    )
    chosen = usual_baselines(seasons, 60)
    forecasts = forecast(chosen, frame, keys, days.iloc[TRAINED - 1])
    assert any("seasonal naive 7 in 1 of 2 series" in note for note in forecasts.notes)
    predictions = keys.join(forecasts.values).assign(model=lambda rows: rows["naive"])
    scores = score(predictions, ["model", *forecasts.values], Scales.of_panel(panel, seasons.main))
    assert any("scaled by the errors of their last value: 1 of 2" in note for note in scores.notes)
    assert judge(scores, "model", labels(chosen)).outcome == "worse"


def test_a_horizon_longer_than_the_test_period_leaves_nothing_to_judge(rng):
    with pytest.raises(InputError, match="at least as long as the horizon"):
        score(
            pd.DataFrame(columns=["unique_id", "cutoff", "step", "y", "model"]),
            ["model"],
            Scales.of_panel(Panel.of_frame(frame_of(weekly(rng)))),
        )


def test_what_an_evaluation_holds_a_model_against(rng):
    panel = Panel.of_frame(frame_of(weekly(rng)))
    seasons = given_seasons((7, 28), panel)
    names = [baseline.name for baseline in usual_baselines(seasons, 30)]
    assert names == ["naive", "seasonal_naive_7", "seasonal_naive_28", "mean", "drift", "ridge"]
    of_volatility = usual_baselines(seasons, 30, is_volatility=True, models=["AutoETS"])
    assert [baseline.name for baseline in of_volatility] == [*names, "har", "ewma", "auto_ets"]
    assert of_volatility[-1].season == 7
    of_change = usual_baselines(find_seasons(Panel.of_frame(frame_of(rng.normal(size=90)))), 30, naive="zero")
    assert labels(of_change) == {
        "naive": "no change", "mean": "window mean", "drift": "drift", "ridge": "ridge regression",
    }  # fmt: skip
