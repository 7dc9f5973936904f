"""Whether a new version becomes the champion.

The two meet on the rows that neither was trained on or stopped by. Where they cannot meet, because the champion answers
another question, it stays: a model for another question is another model, and wants another name. A champion that
cannot be read any more is represented by the newest version that can.
"""

from __future__ import annotations

import pandas as pd

from data.errors import InputError
from flows.evaluation import KEYS, MODEL, predict_test_with
from flows.registry import Decision, Registry
from flows.settings import RetrainSettings
from lstm import load
from lstm.forecaster import Forecaster
from lstm.metrics import regression

# Refitted with other code or on another processor, the same model differs in the last digits.
TOLERANCE = 1e-6


class IncomparableError(Exception):
    """The champion answers another question than the challenger; the message says which."""


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
        return Decision(version, None, True, f"{version} is the first version of {registry.name}.", version)
    if champion == version:
        return Decision(version, champion, False, f"{version} is the champion already.", version)
    opponent, damage = champion, ""
    loaded = _load(registry, champion)
    if isinstance(loaded, InputError):
        damage = f" ({champion} cannot be read: {loaded})"
        others = [other for other in reversed(registry.versions()) if other not in (champion, version)]
        readable = ((other, _load(registry, other)) for other in others)
        found = next(((other, pair) for other, pair in readable if not isinstance(pair, InputError)), None)
        if found is None:
            return Decision(version, champion, True, f"{version} replaces the champion{damage}.", version)
        opponent, loaded = found
    try:
        rows = _rows_of_both(*loaded, predictions, frame, settings)
    except IncomparableError as error:
        reason = f"{opponent} stays, since it cannot be compared with {version}: {error}{damage}"
        return Decision(version, champion, False, reason, opponent)
    y = rows["y"].to_numpy()
    challenger_rmse, champion_rmse = (regression(y, rows[name].to_numpy())["rmse"] for name in (MODEL, "y_hat"))
    promoted = challenger_rmse <= champion_rmse * (1 + TOLERANCE)
    outcome = f"is not worse than {opponent} and replaces it" if promoted else f"is worse than {opponent}, which stays"
    figures = f"RMSE {challenger_rmse:.5g} against {champion_rmse:.5g} on {len(rows):,} test rows"
    reason = f"{version} {outcome}: {figures}{damage}."
    return Decision(version, champion, promoted, reason, version if promoted else opponent)


def _load(registry: Registry, version: str) -> tuple[Forecaster, RetrainSettings] | InputError:
    try:
        return load(registry.path(version)), registry.settings(version)
    except InputError as error:
        return error


def _rows_of_both(
    model: Forecaster, own: RetrainSettings, predictions: pd.DataFrame, frame: pd.DataFrame, settings: RetrainSettings
) -> pd.DataFrame:
    """Return the test rows with both forecasts, ``lstm`` of the challenger and ``y_hat`` of the champion."""
    if own.target != settings.target:
        raise IncomparableError(
            f"its target is {own.target or 'y'}, not {settings.target or 'y'}; give the new model another --name."
        )
    if own.model.horizon != settings.model.horizon:
        raise IncomparableError(
            f"its horizon is {own.model.horizon}, not {settings.model.horizon}; give the new model another --name."
        )
    missing = sorted(set(model.scalers) - set(predictions["unique_id"]))
    if missing:
        raise IncomparableError(
            f"it forecasts {', '.join(missing[:5])}, for which the new model has no test rows; give the new model"
            " another --name."
        )
    try:
        theirs = predict_test_with(model, frame, settings, own)
    except InputError as error:
        raise IncomparableError(f"{str(error).rstrip('.')}; give the new model another --name.") from error
    both = predictions.merge(theirs[[*KEYS, "y_hat"]], on=list(KEYS))
    # What the champion has seen in training or was stopped by is no test of it.
    both = both[pd.DatetimeIndex(both["ds"]) > pd.Timestamp(model.boundaries["validation_end"])]
    if both.empty:
        raise IncomparableError("it was trained on all of the present test rows; test on later ones.")
    return both
