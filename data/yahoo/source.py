"""Bars from Yahoo, kept in a store that grows from fetch to fetch.

`YahooSource.update` brings the store up to date with one symbol: it fetches the rows after the last one and an overlap
before it, compares, checks and merges; `YahooSource.load` gives what the store has. `read` does both for all symbols.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, ClassVar

import pandas as pd

from gatecast.data.bars.adjustment import Adjustment, adjust
from gatecast.data.bars.prices import INTRADAY, check_bars
from gatecast.data.bars.revisions import (
    SAME_ADJUSTED_CLOSE,
    Merged,
    carry_actions,
    history_has_changed,
    merge,
    overlap_start,
)
from gatecast.data.bars.store import BarStore, NewerFileError, Stored
from gatecast.data.dates.timestamps import DAY, format_date
from gatecast.data.errors import InputError, SourceError
from gatecast.data.sources.selection import Selection, select
from gatecast.data.yahoo.client import Fetched, YahooClient

_MADE_OF_DAYS = ("1wk", "1mo")

_SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9.^=&_-]{0,31}")
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")


@dataclass(frozen=True)
class Update:
    """The result of the update of one symbol; JSON values only.

    Attributes
    ----------
    symbol, interval : str
    rows, new, revised, refused : int
        Rows in the store; those that were added, that the source has changed, and that are in quarantine now.
    first, last : str or None
        Dates of the first and the last row.
    fetched_at : str or None
        When the source last gave an answer, ISO 8601.
    path, quarantine : str or None
        Files.
    calendar : str or None
        The exchange's, if it is known.
    cause, reason : str or None
        Why the source gave nothing, in a word and in a sentence; None if it gave bars.
    notices : tuple of str
        What people should know.
    """

    symbol: str
    interval: str
    rows: int = 0
    new: int = 0
    revised: int = 0
    refused: int = 0
    first: str | None = None
    last: str | None = None
    fetched_at: str | None = None
    path: str | None = None
    quarantine: str | None = None
    calendar: str | None = None
    cause: str | None = None
    reason: str | None = None
    notices: tuple[str, ...] = ()

    def age(self, now: pd.Timestamp) -> pd.Timedelta | None:
        """Return how long ago the source last gave an answer."""
        return None if self.fetched_at is None else now - pd.Timestamp(self.fetched_at)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {**asdict(self), "notices": list(self.notices)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Update:
        """Undo `to_dict`."""
        return cls(**{**fields, "notices": tuple(fields["notices"])})


@dataclass(frozen=True)
class YahooSource:
    """Bars from Yahoo Finance.

    Attributes
    ----------
    store : BarStore
        Where bars are kept, as they were traded, from fetch to fetch.
    client : YahooClient
        Whom to ask.
    adjustment : {"all", "splits", "none"}
        What `load` adjusts prices for.
    max_stale : Timedelta, optional
        How old the last good rows may be when the source fails; they may be of any age by default.
    """

    store: BarStore
    client: YahooClient
    adjustment: Adjustment = "all"
    max_stale: pd.Timedelta | None = None
    name: ClassVar[str] = "yahoo"

    def read(self, selection: Selection) -> pd.DataFrame:
        """Bring the selected symbols up to date and return their bars.

        Raises
        ------
        InputError
            The selection names no symbol, or one that Yahoo does not know.
        SourceError
            Yahoo failed, and nothing good enough is stored.
        """
        symbols = self.symbols(selection)
        with ThreadPoolExecutor(self.client.policy.in_flight) as threads:
            futures = [threads.submit(self.update, symbol, selection.interval, selection.start) for symbol in symbols]
            updates = [future.result() for future in futures]
        self.require(updates)
        return self.load(selection)

    def symbols(self, selection: Selection) -> tuple[str, ...]:
        """Return the selected symbols, each once and in the spelling that Yahoo uses, which knows no small letters.

        Raises
        ------
        InputError
            No symbol is selected, or one that cannot be a symbol.
        """
        if selection.symbols is None:
            raise InputError("The source 'yahoo' needs symbols; name them with --symbols, as AAPL,^GSPC,EURUSD=X.")
        symbols = tuple(dict.fromkeys(symbol.strip().upper() for symbol in selection.symbols))
        for symbol in symbols:
            if not _SYMBOL.fullmatch(symbol) or ".." in symbol or _ISIN.fullmatch(symbol):
                raise InputError(
                    f"{_shortened(symbol)} is not a symbol of Yahoo's, which look like AAPL, BRK-B, ^GSPC, EURUSD=X or "
                    "7203.T; look it up on finance.yahoo.com."
                )
        return symbols

    def update(self, symbol: str, interval: str | None = None, start: date | None = None) -> Update:
        """Bring the store up to date with one symbol; a failing source changes nothing in it.

        Parameters
        ----------
        symbol : str
            As `symbols` returns it.
        interval : str, optional
            One of `INTERVALS`, or one made of days; days by default.
        start : date, optional
            First day that is wanted; all there is by default.
        """
        interval = stored_interval(interval)
        with self.store.locked(symbol, interval):
            stored, notices = self._stored(symbol, interval)
            try:
                fetched, earliest = self._fetch(symbol, interval, start, stored)
                return self._merged(interval, stored, fetched, earliest, notices)
            except SourceError as error:
                return self._failed(symbol, interval, stored, notices, error)

    def require(self, updates: Sequence[Update]) -> None:
        """Raise what makes the updates not good enough; the store keeps what succeeded.

        Raises
        ------
        InputError
            Yahoo does not know a symbol, or refuses what is asked for.
        SourceError
            Yahoo failed, and the store has nothing, or nothing fresh enough.
        """
        lacking = [update for update in updates if update.cause and not update.rows]
        if lacking:
            more = f" (and {len(lacking) - 1} more symbols)" if len(lacking) > 1 else ""
            kind = InputError if lacking[0].cause in ("unknown symbol", "refused", "empty", "delisted") else SourceError
            raise kind(f"{str(lacking[0].reason).rstrip('.')}{more}.")
        for update in updates:
            age = update.age(self.client.now())
            if update.cause and self.max_stale is not None and age is not None and age > self.max_stale:
                raise SourceError(
                    f"{str(update.reason).rstrip('.')}; the last good rows are {format_age(age)} old, more than "
                    f"--max-stale {format_age(self.max_stale)} allows."
                )

    def load(self, selection: Selection) -> pd.DataFrame:
        """Return the selected bars from the store, adjusted; nothing is fetched.

        Raises
        ------
        InputError
            The store lacks a symbol.
        """
        interval = stored_interval(selection.interval)
        symbols = self.symbols(selection)
        parts = []
        for symbol in symbols:
            stored = self.store.read(symbol, interval)
            if stored is None:
                raise InputError(f"{symbol} has not been fetched yet; fetch it first.")
            parts.append(adjust(stored.rows, self.adjustment).drop(columns="adj_close"))
        zones = {str(part["ds"].dt.tz) for part in parts}
        if len(zones) > 1:
            parts = [part.assign(ds=part["ds"].dt.tz_convert("UTC")) for part in parts]
        bars = pd.concat(parts, ignore_index=True).sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
        wanted = replace(selection, symbols=None, interval=selection.interval if interval == "1d" else None)
        return select(bars, wanted, "Yahoo")

    # ---------------------------------------------------------------- the store

    def _stored(self, symbol: str, interval: str) -> tuple[Stored | None, tuple[str, ...]]:
        try:
            return self.store.read(symbol, interval), ()
        except NewerFileError:
            raise
        except InputError as error:
            return None, (f"{error} All of it is fetched again.",)

    def _failed(
        self, symbol: str, interval: str, stored: Stored | None, notices: tuple[str, ...], error: SourceError
    ) -> Update:
        update = Update(symbol, interval, cause=str(getattr(error, "cause", "failed")), reason=str(error))
        if stored is None:
            return replace(update, notices=notices)
        age = format_age(self.client.now() - stored.fetched_at)
        used = f"{error}. The last good rows are used, fetched {age} ago, up to {stored.metadata['last']}."
        return replace(
            update,
            rows=len(stored.rows),
            first=stored.metadata["first"],
            last=stored.metadata["last"],
            fetched_at=stored.metadata["fetched_at"],
            path=str(self.store.path(symbol, interval)),
            calendar=stored.metadata.get("calendar") or None,
            notices=(*notices, used),
        )

    def _merged(
        self, interval: str, stored: Stored | None, fetched: Fetched, earliest: date | None, notices: tuple[str, ...]
    ) -> Update:
        symbol = str(fetched.bars["unique_id"].iloc[0])
        checked = check_bars(fetched.bars, f"Yahoo's bars of {symbol}", in_order=False)
        rows = carry_actions(fetched.bars, checked.rows)
        if rows.empty:
            quarantine = self.store.refuse(symbol, interval, checked.refused.assign(source=self.name))
            raise SourceError(f"Yahoo gave only wrong bars of {symbol}, which are in {quarantine}; look at them")
        merged = merge(None if stored is None else stored.rows, rows)
        withdrawn = merged.withdrawn.assign(problem="the source gave it once, and no longer does")
        refused = pd.concat([checked.refused, withdrawn], ignore_index=True).assign(source=self.name)
        quarantine = self.store.refuse(symbol, interval, refused)
        metadata = {
            "source": self.name,
            "origin": "finance.yahoo.com",
            "fetched_at": self.client.now().isoformat(timespec="seconds"),
            "timezone": fetched.timezone,
            "calendar": fetched.calendar,
            "currency": fetched.currency,
            "start": "" if earliest is None else earliest.isoformat(),
        }
        path = self.store.write(merged.rows, interval, metadata)
        notices += _notices(symbol, checked.refused, merged, fetched.adjustment_error, is_first=stored is None)
        return Update(
            symbol=symbol,
            interval=interval,
            rows=len(merged.rows),
            new=len(merged.new),
            revised=merged.revised,
            refused=len(refused),
            first=format_date(merged.rows["ds"].iloc[0]),
            last=format_date(merged.rows["ds"].iloc[-1]),
            fetched_at=metadata["fetched_at"],
            path=str(path),
            quarantine=str(quarantine) if quarantine else None,
            calendar=fetched.calendar or None,
            notices=notices,
        )

    def _fetch(
        self, symbol: str, interval: str, start: date | None, stored: Stored | None
    ) -> tuple[Fetched, date | None]:
        """Fetch the end of what is stored and what follows, or all of it if that end shows that all has changed.

        Returns
        -------
        Fetched
        date or None
            The day that was asked back to, now or earlier; None for all there is.
        """
        if stored is None:
            return self.client.fetch(symbol, interval, start, was_known=False), start
        asked = stored.metadata.get("start")
        earliest = date.fromisoformat(asked) if asked else None
        if earliest is not None and (start is None or start < earliest):
            return self.client.fetch(symbol, interval, start, was_known=True), start
        since = overlap_start(stored.rows["ds"], is_intraday=interval != "1d")
        fetched = self.client.fetch(symbol, interval, since, was_known=True)
        same_zone = fetched.timezone == stored.metadata.get("timezone")
        same_actions = fetched.adjustment_error <= SAME_ADJUSTED_CLOSE
        if not (same_zone and same_actions) or history_has_changed(stored.rows, fetched.bars):
            fetched = self.client.fetch(symbol, interval, earliest, was_known=True)
        return fetched, earliest


def stored_interval(interval: str | None) -> str:
    """Return the interval in which bars are fetched and stored, for the one that is asked for.

    Raises
    ------
    InputError
        It is unknown.
    """
    if interval in (None, *_MADE_OF_DAYS):
        return "1d"
    if interval == "1d" or interval in INTRADAY:
        return str(interval)
    raise InputError(f"Unknown interval {interval!r}; Yahoo has {', '.join((*INTRADAY, '1d', *_MADE_OF_DAYS))}.")


def format_age(age: pd.Timedelta) -> str:
    """Write an age in one unit, as people say it: 5d, 7h or 12min."""
    for unit, name in ((DAY, "d"), (pd.Timedelta(hours=1), "h")):
        if age >= unit:
            return f"{age // unit}{name}"
    return f"{max(0, age // pd.Timedelta(minutes=1))}min"


def _shortened(symbol: str) -> str:
    return repr(symbol if len(symbol) <= 40 else f"{symbol[:37]}...")


def _notices(symbol: str, refused: pd.DataFrame, merged: Merged, error: float, is_first: bool) -> tuple[str, ...]:
    notices = []
    if len(refused):
        first = refused.iloc[0]
        notices.append(f"{symbol}: {_bars(len(refused))} refused, the first of {_day_of(first)}: {first['problem']}.")
    if merged.revised:
        notices.append(f"{symbol}: the source has revised {_bars(merged.revised)} that it gave before.")
    if len(merged.withdrawn):
        notices.append(f"{symbol}: the source has withdrawn {_bars(len(merged.withdrawn))} that it gave before.")
    # The first time, there is a whole history of them.
    new = merged.new.iloc[:0] if is_first else merged.new
    for ds, dividend, split in zip(new["ds"], new["dividend"], new["split"], strict=True):
        notices += [f"{symbol}: a split of {split:g} for 1 on {format_date(ds)}."] if split != 1 else []
        notices += [f"{symbol}: a dividend of {dividend:g} on {format_date(ds)}."] if dividend > 0 else []
    if error > SAME_ADJUSTED_CLOSE:
        notices.append(
            f"{symbol}: the adjusted close that follows from its splits and dividends differs from Yahoo's own by up "
            f"to {error:.1%}; one of them is wrong."
        )
    return tuple(notices)


def _bars(count: int) -> str:
    return f"{count:,} bar{'s' * (count != 1)}"


def _day_of(row: pd.Series) -> str:
    return format_date(pd.Timestamp(row["ds"])) if not pd.isna(row["ds"]) else "an unknown day"
