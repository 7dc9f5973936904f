"""Timestamps: reading and writing them, and the bounds of a day."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pandas as pd

from gatecast.data.errors import InputError
from gatecast.data.frames import as_text

DAY = pd.Timedelta(days=1)
MONTH = pd.Timedelta(days=30.4375)
OFFSET = r"(?:Z|[+-]\d\d:?\d\d)$"


def parse_dates(column: pd.Series) -> pd.Series:
    """Read timestamps, to the nanosecond; what cannot be read becomes NaT.

    Text has to be ISO 8601 (``2020-01-31``, ``2020-01-31 15:30``, ``2020-01-31T15:30:00-05:00``): 01/02/2020 is a
    different day on either side of the Atlantic. Midnights written with an offset, as Yahoo's daily bars are, are taken
    as plain dates; other times with an offset become UTC.

    Parameters
    ----------
    column : Series
        Timestamps, dates or text. Numbers are not dates.

    Returns
    -------
    Series of datetime64[ns], with the time zone, if there is one; see `named_zone`
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        parsed = column if column.dt.tz is None else column.dt.tz_convert(named_zone(column.dt.tz))
    elif pd.api.types.is_numeric_dtype(column):
        parsed = pd.Series(pd.NaT, index=column.index, dtype="datetime64[ns]")
    else:
        parsed = _parse_text(as_text(column))
    representable = parsed.dt.year.between(1678, 2261)
    return parsed.where(representable).dt.as_unit("ns")


def named_zone(zone: tzinfo) -> tzinfo:
    """Return the same time zone with a name that gives it back, since models and files keep the name.

    Raises
    ------
    InputError
        It has none, as a zone of the machine's own settings.
    """
    if isinstance(zone, ZoneInfo) or hasattr(zone, "zone"):  # of pytz
        return zone
    offset = zone.utcoffset(None)
    if offset is not None and not offset % timedelta(minutes=1):
        return UTC if not offset else timezone(offset)
    # A file of dateutil is known by its path only.
    match = re.search(r"^tzfile\('(?:.*zoneinfo/)?([^']+)'\)$", repr(zone))
    with suppress(ValueError, LookupError, OSError):
        if match is not None:
            return ZoneInfo(match[1])
    raise InputError(
        f"The time zone {zone!r} of the dates has no name that a model could keep; convert them first, as with"
        ' df["ds"].dt.tz_convert("Europe/Berlin").'
    )


def _parse_text(text: pd.Series) -> pd.Series:
    has_offset = text.str.contains(":.*" + OFFSET)
    if not has_offset.any():
        return pd.to_datetime(text, format="ISO8601", errors="coerce")
    local = pd.to_datetime(text.str.replace(OFFSET, "", regex=True), format="ISO8601", errors="coerce")
    local = local.where(has_offset)
    if (local == local.dt.normalize()).all():
        return local
    return pd.to_datetime(text.where(has_offset), format="ISO8601", errors="coerce", utc=True)


def format_date(timestamp: pd.Timestamp) -> str:
    """Write a timestamp in ISO 8601, a midnight without its time."""
    if timestamp == timestamp.normalize() and timestamp.tz is None:
        return timestamp.date().isoformat()
    return timestamp.isoformat(sep=" ")


def start_of_day(day: date, timezone: tzinfo | str | None) -> pd.Timestamp:
    """Return the first instant of a day in a time zone (None: without one)."""
    return pd.Timestamp(day).tz_localize(timezone, ambiguous=True, nonexistent="shift_forward")


def end_of_day(day: date, timezone: tzinfo | str | None) -> pd.Timestamp:
    """Return the first instant after a day in a time zone, 23 to 25 hours after its start if clocks change."""
    return start_of_day(day + timedelta(days=1), timezone)
