"""Score a model and the baselines on the test rows, in the unit that people read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from gatecast.data.sequences.features import Target
from gatecast.data.sequences.sequences import Sequences, SequenceSettings, build_sequences
from gatecast.data.sequences.splits import TEST
from gatecast.flows.judging.targets import series_frame, target_of
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.lstm.forecasting import baselines, metrics
from gatecast.lstm.forecasting.forecaster import Forecaster

KEYS = ("unique_id", "cutoff", "ds", "step")
MODEL = "lstm"
NAIVE = "naive"
ALL_SERIES = "all"

LABELS: Mapping[str, str] = MappingProxyType(
    {MODEL: "LSTM", NAIVE: "naive", "har": "HAR(1,5,22)", "ewma": "exp. weighted mean"}
)


def sequence_settings(settings: RetrainSettings) -> SequenceSettings:
    """Return how resolved settings make sequences."""
    assert settings.split is not None, "resolved settings have a split"
    model = settings.model
    return SequenceSettings(lookback=model.lookback, horizon=model.horizon, scaling=model.scaling, split=settings.split)


def baseline_names(settings: RetrainSettings) -> tuple[str, ...]:
    """Return the forecasts that the model is compared with: the naive one, for a volatility also the usual ones."""
    return (NAIVE, "har", "ewma") if settings.target == "range" else (NAIVE,)


def predict_test(
    model: Forecaster, sequences: Sequences, frame: pd.DataFrame, settings: RetrainSettings
) -> pd.DataFrame:
    """Forecast every test row with the model and the baselines.

    Parameters
    ----------
    model : Forecaster
        Fitted.
    sequences : Sequences
        What it was fitted on.
    frame : DataFrame
        The bars or series frame behind them.
    settings : RetrainSettings
        Resolved.

    Returns
    -------
    DataFrame
        ``unique_id, cutoff, ds, step, y`` and one column per forecast, `MODEL` first, in the target's unit.
    """
    target = target_of(settings)
    raw = model.predict_windows(sequences, TEST)
    train_end = pd.Timestamp(sequences.boundaries["train_end"])
    series = series_frame(frame, settings.target, settings.features)
    predictions = in_unit(raw, frame, target).rename(columns={"y_hat": MODEL})
    for name in baseline_names(settings):
        y_hat = baselines.predict(name, series, raw[list(KEYS)], train_end, naive=target.naive)
        predictions[name] = in_unit(raw.assign(y_hat=y_hat.to_numpy()), frame, target)["y_hat"].to_numpy()
    return predictions


def in_unit(predictions: pd.DataFrame, frame: pd.DataFrame, target: Target) -> pd.DataFrame:
    """Return predictions with ``y`` and ``y_hat`` in the target's unit."""
    return target.invert(predictions, frame)


def predict_test_with(
    model: Forecaster, frame: pd.DataFrame, settings: RetrainSettings, own: RetrainSettings
) -> pd.DataFrame:
    """Forecast the present test rows, scaled with the model's own scalers, with a model that was trained earlier.

    Parameters
    ----------
    model : Forecaster
        Fitted earlier, possibly with another lookback or other features.
    frame : DataFrame
        The present bars or series frame.
    settings : RetrainSettings
        The present ones, resolved; they say what the test rows are.
    own : RetrainSettings
        Those of the model.

    Returns
    -------
    DataFrame
        ``unique_id, cutoff, ds, step, y, y_hat`` in the target's unit.
    """
    known = frame[frame["unique_id"].isin(model.scalers)]
    own_sequences = sequence_settings(own.model_copy(update={"split": settings.split}))
    sequences = build_sequences(series_frame(known, own.target, own.features), own_sequences, scalers=model.scalers)
    return in_unit(model.predict_windows(sequences, TEST), known, target_of(own))


def score(predictions: pd.DataFrame, settings: RetrainSettings) -> list[dict[str, Any]]:
    """Score each forecast for each series and, if there are several, for all of them together.

    Returns
    -------
    list of dict
        ``unique_id`` (`ALL_SERIES` for the total), ``forecast``, ``rows``, ``mse``, ``mae``, ``rmse``, ``r2``, for
        prices ``mape`` (in percent), and ``skill`` against the naive forecast. A score without a value, such as the R²
        of a constant series, is None.
    """
    names = (MODEL, *baseline_names(settings))
    groups = [(str(unique_id), rows) for unique_id, rows in predictions.groupby("unique_id", sort=True)]
    if len(groups) != 1:
        groups.append((ALL_SERIES, predictions))
    scores = []
    for unique_id, rows in groups:
        y = rows["y"].to_numpy()
        # A baseline has no forecast for a series with too few training rows.
        of_group = {name: metrics.regression(y, rows[name].to_numpy()) for name in names if rows[name].notna().all()}
        for name, values in of_group.items():
            if settings.target == "close":
                values["mape"] = metrics.mape(y, rows[name].to_numpy())
            values["skill"] = metrics.skill(values["rmse"], of_group[NAIVE]["rmse"])
            finite = {key: value if math.isfinite(value) else None for key, value in values.items()}
            scores.append({"unique_id": unique_id, "forecast": name, "rows": len(rows), **finite})
    return scores


def overall(scores: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the scores over all series, by forecast."""
    last = scores[-1]["unique_id"]
    return {row["forecast"]: row for row in scores if row["unique_id"] == last}


def verdict(scores: Sequence[Mapping[str, Any]]) -> str:
    """Say in plain words whether the model beats the baselines, by root mean squared error over all series."""
    total = overall(scores)
    rmse = total[MODEL]["rmse"]
    naive = total[NAIVE]["rmse"]
    how = "beats" if rmse < naive else "does not beat"
    skill = total[MODEL]["skill"]
    sentence = f"The model {how} the naive forecast: RMSE {rmse:#.4g} against {naive:#.4g}"
    sentence += "" if skill is None else f" (skill {skill:+.1%})"
    others = [name for name in total if name not in (MODEL, NAIVE)]
    for how, names in (
        ("beats", [name for name in others if rmse < total[name]["rmse"]]),
        ("does not beat", [name for name in others if rmse >= total[name]["rmse"]]),
    ):
        if names:
            sentence += f"; it {how} " + " and ".join(f"{LABELS[name]} ({total[name]['rmse']:#.4g})" for name in names)
    return sentence + "."
