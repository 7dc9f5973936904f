"""Whether a new version becomes the champion.

The two meet on the rows that neither was trained on or stopped by. Where they cannot meet, because the champion answers
another question, it stays: a model for another question is another model, and wants another name. A champion that
cannot be read any more is represented by the newest version that can.

`decide` is the gate of a retrain; `promote` and `roll_back` are what a person, a failed run and the monitor use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from data.errors import DamagedFileError, InputError
from flows.evaluation import KEYS, MODEL, predict_test_with
from flows.registry import Decision, Registry
from flows.settings import GateSettings, RetrainSettings
from lstm import load
from lstm.forecaster import Forecaster
from lstm.metrics import regression
from lstm.significance import TESTS

# Refitted with other code or on another processor, the same model differs in the last digits.
TOLERANCE = 1e-6
DEFAULT_GATE = GateSettings()


class IncomparableError(Exception):
    """The champion answers another question than the challenger; the message says which."""


def decide(
    registry: Registry,
    version: str,
    predictions: pd.DataFrame,
    frame: pd.DataFrame,
    settings: RetrainSettings,
    gate: GateSettings = DEFAULT_GATE,
) -> Decision:
    """Let the champion forecast the challenger's test rows, and the gate say who wins the place.

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
    gate : GateSettings
        What the challenger has to show.
    """
    settled = registry.without_comparison(version)
    if settled is not None:
        return settled
    champion = str(registry.champion())
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
    figures = compare(rows["y"], rows[MODEL], rows["y_hat"], rows["cutoff"], settings.model.horizon, gate)
    shortfall = _shortfall(figures, gate)
    outcome = "is worse than" if figures["rmse"] > figures["opponent_rmse"] * (1 + TOLERANCE) else "is not worse than"
    words = f"{version} {outcome} {opponent}" + (
        f", which stays{shortfall}" if shortfall is not None else " and replaces it"
    )
    reason = (
        f"{words}: RMSE {figures['rmse']:.5g} against {figures['opponent_rmse']:.5g} on {figures['rows']:,} test rows,"
        f" p = {figures['p_value']:.2g}{damage}."
    )
    promoted = shortfall is None
    winner = version if promoted else opponent
    return Decision(version, champion, promoted, reason, winner, comparison=figures)


def compare(
    y: pd.Series,
    y_hat: pd.Series,
    opponent: pd.Series,
    cutoff: pd.Series,
    horizon: int,
    gate: GateSettings = DEFAULT_GATE,
) -> dict[str, Any]:
    """Compare two forecasts of the same rows by their squared errors.

    Parameters
    ----------
    y, y_hat, opponent : Series of float
        Actual values, and the two forecasts of them.
    cutoff : Series of datetime64
        Where each forecast was made. Series and steps of one cutoff err together, so they count as one observation of
        the test.
    horizon : int
        Steps ahead.
    gate : GateSettings
        Says which test; Diebold and Mariano's where it asks for none.

    Returns
    -------
    dict
        ``rows``, ``rmse`` and ``opponent_rmse``, ``gain`` (the share of the opponent's RMSE that is gone), ``test`` and
        ``p_value`` (one-sided; small: the gain is more than luck).
    """
    name = "diebold-mariano" if gate.test == "none" else gate.test
    rmse, opponent_rmse = (regression(y.to_numpy(), other.to_numpy())["rmse"] for other in (y_hat, opponent))
    difference = ((opponent - y) ** 2 - (y_hat - y) ** 2).groupby(cutoff.to_numpy()).mean().sort_index()
    return {
        "rows": len(y),
        "rmse": rmse,
        "opponent_rmse": opponent_rmse,
        "gain": 1 - rmse / opponent_rmse if opponent_rmse > 0 else 0.0,
        "test": name,
        "p_value": TESTS[name](difference.to_numpy(np.float64), horizon),
    }


def _shortfall(figures: dict[str, Any], gate: GateSettings) -> str | None:
    """Return what the challenger lacks, in words that follow "which stays"; None where it passes."""
    if figures["rmse"] > figures["opponent_rmse"] * (1 + TOLERANCE):
        return ""
    if figures["rmse"] > figures["opponent_rmse"] * (1 - gate.minimum_gain) * (1 + TOLERANCE):
        return f" since a gain of {gate.minimum_gain:.2%} is asked for and this is {figures['gain']:.2%}"
    if gate.test != "none" and figures["p_value"] >= gate.significance:
        return f" since the gain may be luck ({gate.test} asks for p < {gate.significance:g})"
    return None


def promote(registry: Registry, version: str, reason: str = "chosen by hand") -> Decision:
    """Make a version the champion whatever the gate says, if it can be read.

    Where nobody can tell any more who is the champion, this says so.

    Raises
    ------
    InputError
        It is damaged; the champion stays.
    """
    with registry.locked():
        try:
            champion = registry.champion()
        except DamagedFileError:
            champion = None
        if champion == version:
            return Decision(version, champion, False, f"{version} is the champion already.", version, "manual")
        _require_whole(registry, version)
        instead = f"replaces {champion}" if champion else "is the champion from now on"
        decision = Decision(version, champion, True, f"{version} {instead}: {reason}.", version, "manual")
        registry.record(decision)
    return decision


def roll_back(registry: Registry, reason: str = "asked for by hand", expected: str | None = None) -> Decision:
    """Make the former champion the champion again.

    Parameters
    ----------
    registry : Registry
    reason : str
        Goes on record.
    expected : str, optional
        The champion that is to go; where another has taken its place since, nothing is done.

    Raises
    ------
    InputError
        There is no former champion that can be read.
    """
    with registry.locked():
        champion = registry.champion()
        if expected is not None and champion != expected:
            return Decision(expected, champion, False, f"{champion} has replaced {expected}.", champion, "rollback")
        for former in registry.former_champions():
            if not isinstance(_load(registry, former), InputError):
                reason = f"{former} is the champion again instead of {champion}: {reason}."
                decision = Decision(former, champion, True, reason, former, "rollback")
                registry.record(decision)
                return decision
    raise InputError(
        f"{registry.name} has no former champion to go back to; choose a version with"
        f" 'gatecast models promote {registry.name} VERSION', or retrain."
    )


def undo(registry: Registry, version: str, former: str | None, reason: str) -> None:
    """Take back the promotion of `version`, unless another has replaced it since; `former` None leaves no champion."""
    with registry.locked():
        if registry.champion() == version != former:
            registry.record(Decision(version, version, False, f"{reason}.", former, "rollback"))


def _require_whole(registry: Registry, version: str) -> None:
    loaded = _load(registry, version)
    if isinstance(loaded, InputError):
        raise loaded


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
