"""Two versions of a model on the same fresh rows, beside the naive forecast."""

from __future__ import annotations

from typing import Any

import pandas as pd

from data.errors import InputError
from flows.evaluation import KEYS, NAIVE, in_unit, predict_test_with
from flows.promotion import compare
from flows.registry import Registry
from flows.settings import RetrainSettings
from flows.targets import series_frame, target_of
from lstm import baselines, load
from lstm.metrics import regression, skill


def compare_versions(registry: Registry, first: str, second: str, frame: pd.DataFrame) -> dict[str, Any]:
    """Let two versions forecast the test rows that neither was trained on or stopped by.

    Parameters
    ----------
    registry : Registry
        Where both live.
    first, second : str
        Names of the versions; the split of the second says what the test rows are.
    frame : DataFrame
        Bars or series frame.

    Returns
    -------
    dict
        ``scores``: one dict with ``forecast`` (the version, or ``naive``), ``rmse``, ``mae`` and ``skill`` for each
        forecast; ``first_day``, ``last_day`` and ``rows`` of the comparison; ``figures``: what `promotion.compare` says
        of the second beside the first.

    Raises
    ------
    InputError
        One of them cannot be read, they answer different questions, or there is no row that both have not seen.
    """
    own = {version: registry.settings(version) for version in (first, second)}
    _require_one_question(own)
    parts, seen_until = [], []
    for version, settings in own.items():
        model = load(registry.path(version))
        seen_until.append(pd.Timestamp(model.boundaries["validation_end"]))
        rows = predict_test_with(model, frame, own[second], settings)
        parts.append(rows.rename(columns={"y_hat": version}).set_index(list(KEYS)))
    # Both are asked for in one unit, so either's y serves.
    both = parts[0].join(parts[1][[second]], how="inner").reset_index()
    both = both[pd.DatetimeIndex(both["ds"]) > max(seen_until)].reset_index(drop=True)
    if both.empty:
        raise InputError(
            f"{first} and {second} have seen all of the test rows between them; give later data with --path."
        )
    both[NAIVE] = naive_forecast(both, frame, own[second])
    y = both["y"].to_numpy()
    measures = {name: regression(y, both[name].to_numpy()) for name in (first, second, NAIVE)}
    scores = [
        {"forecast": name, **values, "skill": skill(values["rmse"], measures[NAIVE]["rmse"])}
        for name, values in measures.items()
    ]
    figures = compare(both["y"], both[second], both[first], both["cutoff"], own[second].model.horizon)
    return {
        "scores": scores,
        "figures": figures,
        "rows": len(both),
        "first_day": f"{both['ds'].min():%Y-%m-%d}",
        "last_day": f"{both['ds'].max():%Y-%m-%d}",
        "unit": target_of(own[second]).unit,
    }


def naive_forecast(keys: pd.DataFrame, frame: pd.DataFrame, settings: RetrainSettings) -> pd.Series:
    """Return the naive forecast of rows, in the target's unit and indexed as `keys`.

    Parameters
    ----------
    keys : DataFrame
        ``unique_id, cutoff, ds, step``.
    frame : DataFrame
        Bars or series frame with every cutoff in it.
    settings : RetrainSettings
        Resolved.
    """
    target = target_of(settings)
    series = series_frame(frame, settings.target, settings.features)
    y_hat = baselines.predict(NAIVE, series, keys, pd.Timestamp(keys["cutoff"].min()), naive=target.naive)
    inverted = in_unit(keys[list(KEYS)].assign(y_hat=y_hat), frame, target)["y_hat"]
    return pd.Series(inverted.to_numpy(), index=keys.index)


def _require_one_question(own: dict[str, RetrainSettings]) -> None:
    (first, one), (second, other) = own.items()
    for name, values in {
        "target": (one.target or "y", other.target or "y"),
        "horizon": (one.model.horizon, other.model.horizon),
    }.items():
        if values[0] != values[1]:
            raise InputError(
                f"{first} has {name} {values[0]} and {second} has {name} {values[1]}; such versions cannot be compared."
            )
