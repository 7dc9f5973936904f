"""Score a model and the baselines on the test rows, in the unit that people read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from gatecast.data.dates.steps import day_in_words
from gatecast.data.sequences.features import Target
from gatecast.data.sequences.sequences import Sequences, SequenceSettings, build_sequences
from gatecast.data.sequences.splits import TEST
from gatecast.flows.judging.intervals import bounds_in_unit, score_intervals
from gatecast.flows.judging.targets import series_frame, target_of
from gatecast.flows.judging.yardsticks import Yardstick
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.metrics import skill
from gatecast.lstm.forecasting.recipe import recipe_of
from gatecast.lstm.forecasting.scores import Scores
from gatecast.lstm.forecasting.significance import fewest_origins
from gatecast.lstm.forecasting.uncertainty import DEFAULT_LEVELS
from gatecast.lstm.forecasting.verdict import Verdict, judge

KEYS = ("unique_id", "cutoff", "ds", "step")
MODEL = "lstm"
NAIVE = "naive"
ALL_SERIES = "all"

LABELS: Mapping[str, str] = MappingProxyType(
    {MODEL: "LSTM", NAIVE: "naive", "har": "HAR(1,5,22)", "ewma": "exp. weighted mean"}
)
"""What people call the forecasts of versions whose evaluation does not say it, since they are of 0.1.0"""
ONE_MODEL: Mapping[str, str] = MappingProxyType({MODEL: LABELS[MODEL]})


def choose_recipe(settings: RetrainSettings, frame: pd.DataFrame) -> tuple[RetrainSettings, str]:
    """Return resolved settings with nothing left to the data, and what was chosen in a sentence.

    Parameters
    ----------
    settings : RetrainSettings
        Resolved.
    frame : DataFrame
        Bars or series frame; its training rows decide.
    """
    if not settings.model.is_open:
        return settings, ""
    assert settings.split is not None, "resolved settings have a split"
    recipe = recipe_of(settings.model, series_frame(frame, settings.target, settings.features), settings.split)
    return settings.model_copy(update={"model": recipe.settings}), recipe.sentence


def sequence_settings(settings: RetrainSettings) -> SequenceSettings:
    """Return how resolved settings make sequences; the data have chosen what is left to them."""
    assert settings.split is not None, "resolved settings have a split"
    model = settings.model
    assert model.lookback != "auto", "choose_recipe has filled in the lookback"
    return SequenceSettings(
        lookback=model.lookback,
        horizon=model.horizon,
        scaling=model.scaler,
        transform=model.of_y,
        weight_column=model.weight_column,
        split=settings.split,
        # Bars come on the days on which they were traded.
        gaps="mask" if settings.target is None else "keep",
    )


class Tested(NamedTuple):
    """What a test of a model gave.

    Attributes
    ----------
    predictions : DataFrame
        See `predict_test`.
    evaluation : dict
        See `evaluate`.
    yardstick : Yardstick
        What the model was held against.
    """

    predictions: pd.DataFrame
    evaluation: dict[str, Any]
    yardstick: Yardstick


def run_test(model: Forecaster, sequences: Sequences, frame: pd.DataFrame, settings: RetrainSettings) -> Tested:
    """Forecast the test rows with the model and the baselines, and score the forecasts; see `predict_test`."""
    yardstick = Yardstick.of(frame, settings, model.ends("train_end", sequences.unique_ids))
    predictions, notes = predict_test(model, sequences, frame, settings, yardstick)
    intervals = None
    if model.calibration is not None:
        intervals = score_intervals(predictions, MODEL, int(model.calibration.counts.min()))
    told = [] if intervals is None else [intervals["sentence"]]
    evaluation = evaluate(predictions, yardstick, settings, [*sequences.notes.sentences(), *notes, *told])
    evaluation["intervals"] = intervals
    untested = sorted(set(model.scalers) - set(predictions["unique_id"]))
    if untested:
        more = f" and {len(untested) - 5} more" if len(untested) > 5 else ""
        evaluation["verdict"] += f" No test rows: {', '.join(untested[:5])}{more}."
    return Tested(predictions, evaluation, yardstick)


def predict_test(
    model: Forecaster, sequences: Sequences, frame: pd.DataFrame, settings: RetrainSettings, yardstick: Yardstick
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Forecast every test row that has a value with the model and the baselines.

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
    yardstick : Yardstick
        The baselines.

    Returns
    -------
    predictions : DataFrame
        ``unique_id, cutoff, ds, step, y`` and one column per forecast, `MODEL` first, in the unit that people read;
        before the baselines' the bounds of the model's intervals, such as ``y_hat-lo-80``.
    notes : tuple of str
        Where a baseline lacked rows, and how many rows have no value: one sentence each.
    """
    target = target_of(settings)
    raw = model.predict_windows(sequences, TEST, level=() if model.calibration is None else DEFAULT_LEVELS)
    forecast = in_unit(raw[[*KEYS, "y", "y_hat"]], frame, target).rename(columns={"y_hat": MODEL})
    whole = forecast.assign(**bounds_in_unit(raw, frame, target))
    predictions = known_rows(whole)
    forecasts = yardstick.forecast(predictions)
    lacking = len(whole) - len(predictions)
    notes = (f"{lacking:,} of {len(whole):,} test forecasts are not scored, since their rows have no value.",)
    return predictions.join(forecasts.values), (*forecasts.notes, *(notes if lacking else ()))


def known_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose actual value is known."""
    known = predictions["y"].notna()
    return predictions if known.all() else predictions[known].reset_index(drop=True)


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
    weights = settings.model.weight_column
    if weights not in (None, own.model.weight_column, *model.columns):
        known = known.drop(columns=weights, errors="ignore")  # no covariate, and unknown to the model
    own_sequences = sequence_settings(own.model_copy(update={"split": settings.split}))
    sequences = build_sequences(series_frame(known, own.target, own.features), own_sequences, scalers=model.scalers)
    return known_rows(in_unit(model.predict_windows(sequences, TEST), known, target_of(own)))


def evaluate(
    predictions: pd.DataFrame,
    yardstick: Yardstick,
    settings: RetrainSettings,
    notes: Iterable[str] = (),
    step_size: int = 1,
    models: Mapping[str, str] = ONE_MODEL,
) -> dict[str, Any]:
    """Score the forecasts of a model and of the baselines, and say whether the model is worth more than the best.

    Parameters
    ----------
    predictions : DataFrame
        As `predict_test` returns them.
    yardstick : Yardstick
        Made the baselines' forecasts.
    settings : RetrainSettings
        Resolved.
    notes : iterable of str
        What is to be told besides.
    step_size : int
        Rows from one origin to the next.
    models : mapping of str to str
        Columns of the models, and what people call them.

    Returns
    -------
    dict
        What ``evaluation.json`` holds: ``unit``; ``first`` and ``last`` day; the ``verdict`` in a sentence, and its
        figures in ``judged``, of the best model where there are several; the same against the naive forecast alone in
        ``judged_against_naive``; the ``season``; ``notes``; ``labels`` of the
        forecasts; ``scores``, see `score_rows`; and ``steps``, the error at each step ahead.
    """
    scores = yardstick.score(predictions, [*models, *yardstick.labels])
    verdicts = {name: judge(scores, name, yardstick.labels, step_size) for name in models}
    best = min(models, key=lambda name: verdicts[name].score)
    verdict = verdicts[best]
    naive = {NAIVE: yardstick.labels[NAIVE]}
    sentences = [verdicts[name].sentence.replace("The model", label, 1) for name, label in models.items()]
    ends = (predictions["ds"].min(), predictions["ds"].max())
    first, last = (day_in_words(moment, settings.data.is_numbered) for moment in ends)
    return {
        "unit": target_of(settings).unit,
        "first": first,
        "last": last,
        "verdict": " ".join(sentences) if len(models) > 1 else verdict.sentence,
        "judged": {"model": best, **_judged(verdict, yardstick, step_size)},
        "judged_against_naive": {"model": best, **_judged(judge(scores, best, naive, step_size), yardstick, step_size)},
        "season": {"periods": list(yardstick.seasons.periods), "sentence": yardstick.seasons.sentence},
        "notes": [*notes, *scores.notes],
        "labels": {**models, **yardstick.labels},
        "scores": score_rows(scores),
        "steps": step_rows(scores, best, verdict),
    }


def _judged(verdict: Verdict, yardstick: Yardstick, step_size: int) -> dict[str, Any]:
    """Return the figures of a verdict as JSON values."""
    overlap = -(-len(verdict.by_step) // step_size)
    return {
        "outcome": verdict.outcome,
        "best": verdict.best,
        "best_label": yardstick.labels[verdict.best],
        "measure": verdict.measure,
        "score": _finite(verdict.score),
        "best_score": _finite(verdict.best_score),
        "series": verdict.series,
        "share_better": verdict.share_better,
        "origins": verdict.origins,
        "needed": fewest_origins(overlap),
        "p_value": verdict.p_value,
    }


def score_rows(scores: Scores) -> list[dict[str, Any]]:
    """Return the scores of each series and, if there are several, of all together.

    Returns
    -------
    list of dict
        ``unique_id`` (`ALL_SERIES` for the total), ``forecast``, ``rows``, ``mae``, ``mse``, ``rmse``, ``r2``,
        ``smape`` (in percent), ``mase``, ``rmsse``, and ``skill`` against the naive forecast. A score without a value,
        such as the R² of a constant series, is None.
    """
    tables = [scores.by_series.sort_values("unique_id", kind="stable")]
    if len(tables[0]["unique_id"].unique()) != 1:
        tables.append(scores.overall.assign(unique_id=ALL_SERIES))
    found = []
    for table in tables:
        naive = table[table["forecast"] == NAIVE].set_index("unique_id")["rmse"]
        for row in table.assign(naive=table["unique_id"].map(naive)).to_dict("records"):
            figures = {name: row[name] for name in ("mae", "mse", "rmse", "r2", "smape", "mase", "rmsse")}
            figures["skill"] = skill(row["rmse"], row["naive"])
            finite = {name: _finite(value) for name, value in figures.items()}
            keys = {"unique_id": str(row["unique_id"]), "forecast": row["forecast"], "rows": int(row["rows"])}
            found.append({**keys, **finite})
    return found


def step_rows(scores: Scores, model: str, verdict: Verdict) -> list[dict[str, Any]]:
    """Return the error at each step ahead: a dict of ``step``, ``forecast``, ``mae`` and ``score``, the measure.

    Rows of the model have the ``p_value`` that it is no better than the best baseline.
    """
    p_values = verdict.by_step.set_index("step")["p_value"]
    return [
        {
            "step": int(row["step"]),
            "forecast": row["forecast"],
            "mae": _finite(row["mae"]),
            "score": _finite(row["score"]),
            **({"p_value": _finite(p_values[row["step"]])} if row["forecast"] == model else {}),
        }
        for row in scores.by_step.to_dict("records")
    ]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def overall(scores: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the scores over all series, by forecast."""
    last = scores[-1]["unique_id"]
    return {row["forecast"]: row for row in scores if row["unique_id"] == last}
