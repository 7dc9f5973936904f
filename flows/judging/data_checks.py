"""What the monitor judges of the data: their age, a stuck meter, and drift by the season."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.errors import InputError
from gatecast.data.sequences.latest import frame_of_columns, scale_frame
from gatecast.flows.judging.checks import Check, Reference, constant_runs, drift, rows_by_series
from gatecast.flows.judging.targets import series_frame
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.lstm.forecasting.drift import Compared, Rows, Shift, level_shift, same_season

CHANCE = 0.001
"""p-value of a change of level, over all series; small, since many columns are looked at, day by day"""
LONGER = 1.5
"""A value is stuck if it comes this many times as often as ever before, and three times more"""
MORE = 3
SHARE = 0.9
"""Share of the series that must not be stuck; all of up to ten"""
_NO_ROWS = Rows(np.empty(0, np.int64), np.empty(0))


def check_data(
    reference: Reference, frame: pd.DataFrame, age: Mapping[str, Any], settings: MonitorSettings
) -> Iterator[Check]:
    """Judge the present data.

    Parameters
    ----------
    reference : Reference
        Of the champion.
    frame : DataFrame
        The present bars or series frame.
    age : mapping
        How old it is, see `data.dates.ages.Age`.
    settings : MonitorSettings
        The limits.

    Raises
    ------
    InputError
        The model was trained on none of the series.
    """
    known = frame[frame["unique_id"].isin(reference.model.scalers)]
    if known.empty:
        others = ", ".join(map(repr, frame["unique_id"].unique()[:5]))
        raise InputError(
            f"The model was not trained on {others}, which is what the data holds; give data of"
            f" {', '.join(map(repr, list(reference.model.scalers)[:5]))}."
        )
    yield check_age(age)
    yield check_stuck(reference, known)
    yield from check_features(reference, known, settings)


def check_age(age: Mapping[str, Any]) -> Check:
    """Tell whether the source has stopped bringing rows; see `data.dates.ages.Age`."""
    name = "age of data"
    if age["overdue"] is None:
        return Check(name, None, None, False, "not expected to go on", retrain=False)
    value = float(age["overdue"])
    limit = float(age["limit"])
    return Check(name, value, limit, age["is_stale"], age["sentence"] or "rows overdue", retrain=False)


def check_stuck(reference: Reference, frame: pd.DataFrame) -> Check:
    """Tell whether a meter is stuck: the last value of a series has come for much longer than any did in training."""
    name = "stuck values"
    if reference.lost:
        return Check(name, None, None, False, reference.lost, retrain=False)
    found = [
        (length / limit, length, limit, unique_id)
        for unique_id, (length, _) in constant_runs(frame).items()
        for limit in [math.floor(LONGER * reference.constant.get(unique_id, 0) + MORE)]
    ]
    found.sort()
    _, length, limit, unique_id = found[math.ceil(SHARE * (len(found) - 1))]
    stuck = [each[-1] for each in found if each[0] > 1]
    note = f"rows of {unique_id} with the same value"
    if len(found) > 1 and stuck:
        note += f"; {len(stuck):,} of {len(found):,} series are stuck"
    return Check(name, float(length), float(limit), length > limit, note, retrain=False)


def check_features(reference: Reference, frame: pd.DataFrame, settings: MonitorSettings) -> Iterator[Check]:
    """Tell for each column whether its latest rows are like its training rows, in the same season if there is one."""
    model = reference.model
    own = reference.settings
    series = series_frame(frame, own.target, own.features)
    latest = frame_of_columns(series.groupby("unique_id").tail(settings.window), model.columns)
    if reference.lost:
        for column in model.columns:
            yield Check(f"drift of {column}", None, None, False, reference.lost)
            yield Check(f"level of {column}", None, None, False, reference.lost)
        return
    present = rows_by_series(scale_frame(latest, model.columns, model.scalers), model.columns)
    for column in model.columns:
        old = reference.features[column]
        compared = same_season(
            list(old.values()), [present[column].get(name, _NO_ROWS) for name in old], settings.window
        )
        values = np.concatenate(compared.latest)
        what = f"rows of its training{compared.words}"
        yield drift(f"drift of {column}", compared.reference, values, settings.window, settings, what)
        yield _level(f"level of {column}", list(old), compared, settings)


def _level(name: str, series: list[str], compared: Compared, settings: MonitorSettings) -> Check:
    """Tell whether the level of a series has shifted; the one that has shifted most decides."""
    chance = CHANCE / max(1, sum(map(len, compared.latest)) // settings.window)
    found: list[tuple[Shift, str]] = []
    for unique_id, old, new in zip(series, compared.reference, compared.latest, strict=True):
        shift = level_shift(old, new, chance)
        if shift is not None:
            found.append((shift, unique_id))
    if not found:
        return Check(name, None, None, False, f"less than four stretches of {settings.window} rows are known")
    shift, unique_id = max(found, key=lambda each: each[0].value / each[0].limit)
    of_series = f" of {unique_id}" if len(found) > 1 else ""
    note = f"mean of the last {settings.window:,}{of_series} in usual differences between stretches{compared.words}"
    return Check(name, shift.value, shift.limit, shift.value > shift.limit, note)
