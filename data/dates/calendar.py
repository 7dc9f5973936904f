"""Exchanges: the days on which they trade, when a day's bar is final, and which one a series of days follows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gatecast.data.dates.timestamps import DAY
from gatecast.data.errors import InputError

if TYPE_CHECKING:
    from exchange_calendars import ExchangeCalendar

# What Yahoo calls an exchange, and the calendar of exchange_calendars that it keeps.
YAHOO_EXCHANGES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("NMS", "NYQ", "NGM", "NCM", "NAS", "NIM", "ASE", "PCX", "BTS", "SNP", "DJI", "CXI"), "XNYS"),
        **dict.fromkeys(("CME", "CBT", "NYM", "CMX"), "CMES"),
        **{"CCC": "24/7", "LSE": "XLON", "FGI": "XLON", "IOB": "XLON", "JPX": "XTKS", "OSA": "XTKS"},
        **{"GER": "XETR", "FRA": "XFRA", "STU": "XSTU", "HAM": "XHAM", "DUS": "XDUS", "PAR": "XPAR", "AMS": "XAMS"},
        **{"BRU": "XBRU", "LIS": "XLIS", "MIL": "XMIL", "MCE": "XMAD", "EBS": "XSWX", "VIE": "XWBO", "ISE": "XDUB"},
        **{"STO": "XSTO", "CPH": "XCSE", "HEL": "XHEL", "OSL": "XOSL", "WSE": "XWAR", "PRA": "XPRA", "BUD": "XBUD"},
        **{"ATH": "ASEX", "IST": "XIST", "TLV": "XTAE", "SAU": "XSAU", "JNB": "XJSE", "TOR": "XTSE", "MEX": "XMEX"},
        **{"SAO": "BVMF", "BUE": "XBUE", "SGO": "XSGO", "ASX": "XASX", "NZE": "XNZE", "HKG": "XHKG", "SHH": "XSHG"},
        **{"SHZ": "XSHG", "TAI": "XTAI", "TWO": "XTAI", "KSC": "XKRX", "KOE": "XKRX", "NSI": "XBOM", "BSE": "XBOM"},
        **{"SES": "XSES", "JKT": "XIDX", "KLS": "XKLS", "SET": "XBKK"},
    }
)

# Calendars that `infer_calendar` tries, those with the most data about first.
_CANDIDATES = ("XNYS", "XLON", "XETR", "XPAR", "XTKS", "XHKG", "XTSE", "XASX", "XSWX", "XBOM", "XSHG", "BVMF")
_DAYS_TO_INFER_FROM = 64


def require_calendar(name: str) -> str:
    """Return the name of a calendar.

    Raises
    ------
    InputError
        No calendar has that name.
    """
    import exchange_calendars

    known = exchange_calendars.get_calendar_names(include_aliases=True)
    if name not in known:
        raise InputError(
            f"There is no calendar {name!r}; name one of exchange_calendars, such as XNYS, XLON, XTKS or 24/7."
        )
    return name


def sessions(name: str, first: pd.Timestamp, last: pd.Timestamp) -> pd.DatetimeIndex:
    """Return the days from `first` to `last`, both included, on which an exchange trades, as midnights without a zone.

    Days before or after those that the calendar knows are left out.
    """
    earliest, latest = _bounds(name)
    first, last = max(_day(first), earliest), min(_day(last), latest)
    if first > last:
        return pd.DatetimeIndex([])
    found = _calendar(name, first.year, last.year).sessions
    return found[(found >= first) & (found <= last)]


def session_days(name: str, first: int, last: int) -> np.ndarray:
    """Return the same for days that are counted from 1 January 1970, int64."""
    found = sessions(name, pd.Timestamp(first, unit="D"), pd.Timestamp(last, unit="D"))
    return found.to_numpy("datetime64[D]").astype(np.int64)


def final_at(name: str | None, day: pd.Timestamp, timezone: str) -> pd.Timestamp:
    """Return when a day's bar is final: at the close of the exchange, or at the end of the day if that is unknown.

    Parameters
    ----------
    name : str or None
        Calendar of the exchange, if it is known.
    day : Timestamp
        The day in the exchange's time.
    timezone : str
        The exchange's time zone.

    Returns
    -------
    Timestamp in UTC
    """
    day = _day(day)
    if name is not None and len(sessions(name, day, day)):
        return _calendar(name, day.year, day.year).session_close(day)
    return (day + DAY).tz_localize(timezone, ambiguous=True, nonexistent="shift_forward").tz_convert("UTC")


def infer_calendar(ds: pd.DatetimeIndex) -> str | None:
    """Return the calendar that daily data follow, or None if they follow no known calendar.

    The last 64 days have to be exactly the sessions of the exchange, and at least one weekday among them a holiday:
    days that skip only weekends do not identify an exchange.
    """
    days = ds[-_DAYS_TO_INFER_FROM:].tz_localize(None)
    if len(days) < 2 or (days != days.normalize()).any() or (days.day_of_week >= 5).any():
        return None
    return _infer(tuple(days.as_unit("ns").asi8))


# Series that end together have the same last days; one look serves all of them.
@lru_cache(maxsize=256)
def _infer(days: tuple[int, ...]) -> str | None:
    ds = pd.DatetimeIndex(days)
    if len(pd.bdate_range(ds[0], ds[-1])) == len(ds):
        return None
    return next((name for name in _CANDIDATES if sessions(name, ds[0], ds[-1]).equals(ds)), None)


def _day(moment: pd.Timestamp) -> pd.Timestamp:
    return moment.tz_localize(None).normalize().as_unit("ns")


@cache
def _bounds(name: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    import exchange_calendars

    calendar = exchange_calendars.get_calendar(name)
    # Holidays are announced only some years ahead; a calendar without an end is trusted for the years to come.
    return calendar.bound_min() or pd.Timestamp("1900-01-01"), calendar.bound_max() or pd.Timestamp("2100-12-31")


@lru_cache(maxsize=64)
def _calendar(name: str, first_year: int, last_year: int) -> ExchangeCalendar:
    import exchange_calendars

    earliest, latest = _bounds(name)
    start = max(pd.Timestamp(first_year, 1, 1), earliest)
    end = min(pd.Timestamp(last_year, 12, 31), latest)
    return exchange_calendars.get_calendar(name, start=start, end=end)
