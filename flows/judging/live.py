"""Stored forecasts compared with the actual values: the live record of a model."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from gatecast.data.dates.steps import with_dates
from gatecast.data.errors import DamagedFileError
from gatecast.data.store import read_parquet, set_aside
from gatecast.flows.judging.evaluation import KEYS, MODEL, in_unit
from gatecast.flows.judging.targets import series_frame, target_of
from gatecast.flows.judging.yardsticks import Yardstick
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.lstm.forecasting.backtest import cross_validation

_LOGGER = logging.getLogger(__name__)


def read_file(path: Path) -> tuple[pd.DataFrame, dict[str, str]] | None:
    """Return the rows, with dates where the file has steps, and the metadata of a file of forecasts.

    A damaged file is set aside with a warning, and None is returned: only the forecasts in it are lost.
    """
    try:
        rows, metadata = read_parquet(path)
        if not {"unique_id", "cutoff", "ds", "y_hat", "value", "unit"} <= set(rows):
            raise DamagedFileError(f"{path} does not hold forecasts.")
        if not {"version", "target"} <= set(metadata):
            raise DamagedFileError(f"{path} does not say what made the forecasts.")
    except DamagedFileError as error:
        _LOGGER.warning("%s It was set aside as %s.", error, set_aside(path).name)
        return None
    return with_dates(rows, str(path)), metadata


def read_forecasts(directory: Path, target: str) -> pd.DataFrame:
    """Return the stored forecasts of a target, of all versions.

    Parameters
    ----------
    directory : Path
        Folder of the model's forecasts.
    target : str
        Files of another target are left out.

    Returns
    -------
    DataFrame
        ``unique_id, cutoff, step, y_hat``, any ``y_hat-lo-90`` and ``y_hat-hi-90``, and the ``version`` that made them.
    """
    parts = []
    for path in sorted(directory.glob("*.parquet")):
        rows, metadata = read_file(path) or (None, {})
        if rows is not None and metadata["target"] == target:
            steps = rows.groupby(["unique_id", "cutoff"]).cumcount() + 1
            parts.append(rows.assign(step=steps, version=metadata["version"]).drop(columns=["ds", "value", "unit"]))
    if not parts:
        return pd.DataFrame(columns=["unique_id", "cutoff", "step", "y_hat", "version"])
    return pd.concat(parts, ignore_index=True)


def score_forecasts(
    forecasts: pd.DataFrame, frame: pd.DataFrame, settings: RetrainSettings, yardstick: Yardstick
) -> pd.DataFrame:
    """Add the actual values and the baselines' forecasts to the forecasts whose actuals have arrived.

    Parameters
    ----------
    forecasts : DataFrame
        As `read_forecasts` returns them.
    frame : DataFrame
        The present bars or series frame.
    settings : RetrainSettings
        Those of the model, resolved.
    yardstick : Yardstick
        The baselines.

    Returns
    -------
    DataFrame
        ``unique_id, cutoff, ds, step, y, lstm`` and a column of each baseline, in the unit that people read;
        ``version``, and for each interval of the forecasts ``covered-90`` or the like: whether it contained the actual
        value.
    """
    series = series_frame(frame, settings.target, settings.features)
    by_series = dict(tuple(series.groupby("unique_id", sort=False)))
    parts = []
    for unique_id, rows in forecasts.groupby("unique_id", sort=False):
        if unique_id not in by_series:
            continue
        actual = by_series[unique_id]
        cutoff = pd.DatetimeIndex(rows["cutoff"])
        # The k-th step is the k-th row that arrived, whatever day the calendar had predicted.
        origin = pd.DatetimeIndex(actual["ds"]).get_indexer(cutoff)
        position = origin + rows["step"].to_numpy()
        known = np.flatnonzero(actual["y"].notna())
        arrived = (origin >= 0) & np.isin(position, known)
        came = actual.iloc[position[arrived]]
        parts.append(rows[arrived].assign(ds=came["ds"].to_numpy(), y=came["y"].to_numpy()))
    if not parts or not sum(map(len, parts)):
        return pd.DataFrame(columns=[*KEYS, "y", MODEL, *yardstick.labels, "version"])
    scored = pd.concat(parts, ignore_index=True)
    scored["ds"] = scored["ds"].astype(series["ds"].dtype)
    covered = {f"covered-{level}": _is_covered(scored, level) for level in interval_levels(scored)}
    result = in_unit(scored[[*KEYS, "y", "y_hat", "version"]], frame, target_of(settings))
    result = result.assign(**covered).rename(columns={"y_hat": MODEL})
    result = result.join(yardstick.forecast(result).values)
    return result.sort_values(["cutoff", "unique_id", "step"], ignore_index=True)


def _is_covered(scored: pd.DataFrame, level: str) -> pd.Series:
    """Tell which actual values lie within the interval of their forecast; unknown for a forecast without one."""
    low, high = (scored[f"y_hat-{side}-{level}"] for side in ("lo", "hi"))
    inside = (scored["y"] >= low) & (scored["y"] <= high)
    return inside if low.notna().all() else inside.astype("boolean").mask(low.isna())


def rows_between_origins(live: pd.DataFrame, series: pd.DataFrame) -> int:
    """Return how many rows usually lie between one origin of scored forecasts and the next; 1 where none follows.

    Parameters
    ----------
    live : DataFrame
        As `score_forecasts` returns them.
    series : DataFrame
        ``unique_id`` and ``ds`` of all rows.
    """
    places = series.groupby("unique_id").cumcount().to_numpy()
    place_of = pd.Series(places, pd.MultiIndex.from_frame(series[["unique_id", "ds"]]))
    origins = live[["unique_id", "cutoff"]].drop_duplicates().sort_values(["unique_id", "cutoff"])
    found = place_of.reindex(pd.MultiIndex.from_frame(origins)).groupby(level=0).diff().median()
    return max(1, int(found)) if pd.notna(found) else 1


def interval_levels(forecasts: pd.DataFrame) -> list[str]:
    """Return the levels, in percent, of the intervals that forecasts come with."""
    names = (name.removeprefix("y_hat-lo-") for name in map(str, forecasts) if name.startswith("y_hat-lo-"))
    return [level for level in names if f"y_hat-hi-{level}" in forecasts]


def hindcast(registry: Registry, version: str, frame: pd.DataFrame, keys: pd.DataFrame) -> pd.Series:
    """Return what a version would have forecast for the rows of `keys`, in the target's unit and indexed as `keys`.

    NaN where it could not have made a forecast.

    Raises
    ------
    InputError
        The version cannot be read, or cannot forecast from this data.
    """
    model = registry.model(version, FORECASTER)
    own = registry.settings(version, FORECASTER)
    known = frame[frame["unique_id"].isin(model.scalers)]
    series = series_frame(known, own.target, own.features)
    since = series[series["ds"] >= keys["cutoff"].min()]
    rows = int(since.groupby("unique_id").size().max())
    raw = cross_validation(model, series, max(1, rows - own.model.horizon), 1, False, gaps="keep", asked={"level": ()})
    raw["step"] = raw.groupby(["unique_id", "cutoff"]).cumcount() + 1
    theirs = in_unit(raw, known, target_of(own)).set_index(list(KEYS))["y_hat"]
    wanted = pd.MultiIndex.from_frame(keys[list(KEYS)])
    return pd.Series(theirs.reindex(wanted).to_numpy(np.float64), index=keys.index)
