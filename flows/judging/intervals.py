"""Whether the intervals of a model hold what they promise on its test rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.sequences.features import Target
from gatecast.lstm.forecasting.probability import coverage, interval_score, weighted_quantile_loss
from gatecast.lstm.forecasting.uncertainty import interval_names, probabilities_of, quantile_name

FORECAST = "y_hat"
_TOLERANCE = 0.02
"""By which coverage may differ from its level, beyond chance"""


def bounds_in_unit(raw: pd.DataFrame, frame: pd.DataFrame, target: Target) -> dict[str, np.ndarray]:
    """Return the bounds of forecasts in the target's unit, by the names of their columns.

    There are no bounds of prices several steps ahead: prices are sums of returns, and bounds do not add up.

    Parameters
    ----------
    raw : DataFrame
        As `Forecaster.predict_windows` returns it.
    frame : DataFrame
        The bars or series frame behind it.
    target : Target
    """
    names = [name for name in map(str, raw) if name.startswith(f"{FORECAST}-")]
    if target.adds_up and raw["step"].max() > 1:
        return {}
    keys = raw.drop(columns=[*names, FORECAST])
    return {name: target.invert(keys.assign(y_hat=raw[name]), frame)[FORECAST].to_numpy() for name in names}


def levels_of(predictions: pd.DataFrame) -> list[float]:
    """Return the levels, in percent, of the intervals that forecasts come with."""
    begin = f"{FORECAST}-lo-"
    found = (str(name).removeprefix(begin) for name in predictions if str(name).startswith(begin))
    return [float(level) for level in found]


def score_intervals(predictions: pd.DataFrame, model: str, calibrated_on: int) -> dict[str, Any] | None:
    """Return what ``evaluation.json`` holds of the intervals; None where the forecasts have none.

    Parameters
    ----------
    predictions : DataFrame
        ``unique_id``, ``step``, ``y``, the forecasts of the model, and bounds such as ``y_hat-lo-80``.
    model : str
        Column of the forecasts, which count as the median.
    calibrated_on : int
        Validation windows behind the intervals; the fewer there are, the more is chance.

    Returns
    -------
    dict
        ``levels``: of each, ``level`` in percent, ``coverage`` as a share, mean ``width`` and ``interval_score`` in y's
        unit, whether it ``holds``, and ``steps``, the first three at each step ahead; the ``weighted_quantile_loss`` of
        the bounds and the median, and its ``quantiles``; and a ``sentence``.
    """
    levels = levels_of(predictions)
    if not levels or predictions.empty:
        return None
    horizon = int(predictions["step"].max())
    # Windows overlap, so that as many rows as there are steps ahead count once.
    independent = 1 / (len(predictions) / horizon) + 1 / max(1.0, calibrated_on / horizon)
    scored = [_of_level(predictions, level, independent) for level in levels]
    quantiles = {0.5: model, **dict(_quantiles_of(levels))}
    renamed = pd.DataFrame({quantile_name(FORECAST, share): predictions[name] for share, name in quantiles.items()})
    loss = weighted_quantile_loss(predictions[["unique_id", "y"]].join(renamed), FORECAST, sorted(quantiles))
    return {
        "levels": scored,
        "weighted_quantile_loss": loss if math.isfinite(loss) else None,
        "quantiles": sorted(quantiles),
        "sentence": _sentence(scored),
    }


def _quantiles_of(levels: Sequence[float]) -> list[tuple[float, str]]:
    names = [name for level in levels for name in interval_names(FORECAST, level)]
    return [(round(share, 9), name) for share, name in zip(probabilities_of(names), names, strict=True)]


def _of_level(predictions: pd.DataFrame, level: float, variance: float) -> dict[str, Any]:
    """Return the scores of one interval; `variance` is that of its coverage, in units of a single row's."""
    rows = predictions.groupby("unique_id").size()
    low, high = (predictions[name] for name in interval_names(FORECAST, level))
    inside = (predictions["y"] >= low) & (predictions["y"] <= high)
    by_step = pd.DataFrame({"coverage": inside, "width": high - low}).groupby(predictions["step"]).mean()
    covered = float(np.average(coverage(predictions, FORECAST, level), weights=rows))
    share = level / 100
    chance = 2 * math.sqrt(share * (1 - share) * variance)
    return {
        "level": level,
        "coverage": covered,
        "width": float((high - low).mean()),
        "interval_score": float(np.average(interval_score(predictions, FORECAST, level), weights=rows)),
        "holds": abs(covered - share) <= max(_TOLERANCE, chance),
        "steps": [
            {"step": int(row["step"]), "coverage": float(row["coverage"]), "width": float(row["width"])}
            for row in by_step.reset_index().to_dict("records")
        ],
    }


def _sentence(scored: Sequence[Mapping[str, Any]]) -> str:
    """Say whether the intervals hold."""
    parts = []
    for each in scored:
        side = "is too narrow" if 100 * each["coverage"] < each["level"] else "is too wide"
        held = "holds" if each["holds"] else side
        parts.append(f"the interval of {each['level']:g} % {held} (it covers {100 * each['coverage']:.1f} %)")
    return f"On the test rows, {' and '.join(parts)}."
