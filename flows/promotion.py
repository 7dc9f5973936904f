"""Whether a new version becomes the champion."""

from __future__ import annotations

import pandas as pd

from data.errors import InputError
from flows.evaluation import KEYS, MODEL, predict_test_with
from flows.registry import Decision, Registry
from flows.settings import RetrainSettings
from lstm import load
from lstm.metrics import regression

TOLERANCE = 1e-6
"""Relative; two ways of rounding the same sums must not decide."""


class IncomparableError(Exception):
    """The champion cannot forecast the present test rows; the message says why."""


def decide(
    registry: Registry, version: str, predictions: pd.DataFrame, frame: pd.DataFrame, settings: RetrainSettings
) -> Decision:
    """Let the champion forecast the challenger's test rows; who is not worse wins the place.

    Parameters
    ----------
    registry : Registry
        Where both live.
    version : str
        The challenger.
    predictions : DataFrame
        Its test forecasts, see `flows.evaluation.predict_test`.
    frame : DataFrame
        The present bars or series frame.
    settings : RetrainSettings
        The present ones, resolved.
    """
    champion = registry.champion()
    if champion is None:
        return Decision(version, None, True, f"{version} is the first version of {registry.name}.")
    if champion == version:
        return Decision(version, champion, False, f"{version} is the champion already.")
    try:
        rows = _rows_of_both(registry, champion, predictions, frame, settings)
    except IncomparableError as error:
        return Decision(version, champion, True, f"{version} replaces {champion}, which cannot be compared: {error}")
    y = rows["y"].to_numpy()
    challenger_rmse, champion_rmse = (regression(y, rows[name].to_numpy())["rmse"] for name in (MODEL, "y_hat"))
    promoted = challenger_rmse <= champion_rmse * (1 + TOLERANCE)
    outcome = f"is not worse than {champion} and replaces it" if promoted else f"is worse than {champion}, which stays"
    figures = f"RMSE {challenger_rmse:.5g} against {champion_rmse:.5g} on {len(rows):,} test rows"
    return Decision(version, champion, promoted, f"{version} {outcome}: {figures}.")


def _rows_of_both(
    registry: Registry, champion: str, predictions: pd.DataFrame, frame: pd.DataFrame, settings: RetrainSettings
) -> pd.DataFrame:
    """Return the test rows with both forecasts, ``lstm`` of the challenger and ``y_hat`` of the champion."""
    try:
        model, own = load(registry.path(champion)), registry.settings(champion)
        if own.target != settings.target:
            raise IncomparableError(f"its target is {own.target or 'y'}, not {settings.target or 'y'}.")
        if own.model.horizon != settings.model.horizon:
            raise IncomparableError(f"its horizon is {own.model.horizon}, not {settings.model.horizon}.")
        if not frame["unique_id"].isin(model.scalers).any():
            raise IncomparableError("it knows none of the series.")
        theirs = predict_test_with(model, frame, settings, own)
    except InputError as error:
        raise IncomparableError(str(error)) from error
    both = predictions.merge(theirs[[*KEYS, "y_hat"]], on=list(KEYS))
    if both.empty:
        raise IncomparableError("it forecasts none of the test rows.")
    return both
