"""Asking Yahoo for the bars of one symbol: at a limited rate, within a time limit, with retries if they may help."""

from __future__ import annotations

import logging
import random
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gatecast.data.bars.adjustment import as_traded
from gatecast.data.bars.prices import BAR_COLUMNS, INTRADAY
from gatecast.data.bars.revisions import adjustment_error
from gatecast.data.dates.calendar import YAHOO_EXCHANGES, final_at
from gatecast.data.secrets import holds_secret
from gatecast.data.store import is_damaged_sqlite

if TYPE_CHECKING:
    from gatecast.data.yahoo.failures import YahooError
    from gatecast.data.yahoo.session import YahooSession


_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Policy:
    """How Yahoo is asked.

    Attributes
    ----------
    requests_per_second : float
        At most, all symbols together.
    in_flight : int
        Symbols at one time.
    attempts : int
        For each symbol; only a rate limit and a network error are worth another.
    first_delay, longest_delay : float
        Seconds before the second attempt, and before any; the delay doubles each time, times 0.5 to 1.5 at random.
    time_limit : float
        Seconds for each attempt, all its requests together.
    """

    requests_per_second: float = 2.0
    in_flight: int = 4
    attempts: int = 4
    first_delay: float = 2.0
    longest_delay: float = 60.0
    time_limit: float = 30.0


@dataclass(frozen=True, eq=False)
class Fetched:
    """Bars of one answer.

    Attributes
    ----------
    bars : DataFrame
        As they were traded, sorted, unchecked, of finished sessions only: ``unique_id``, ``ds``, prices, ``volume``,
        ``adj_close``, ``dividend``, ``split``. ``ds`` is a date without a time zone, or an intraday time with one.
    adjustment_error : float
        How far the adjusted close that follows from the answer's splits and dividends is from Yahoo's own, as a share.
    timezone, calendar, currency : str
        The exchange's; empty if not known.
    """

    bars: pd.DataFrame
    adjustment_error: float
    timezone: str
    calendar: str
    currency: str


def utc_now() -> pd.Timestamp:
    """Return the time."""
    return pd.Timestamp.now("UTC")


@dataclass(frozen=True)
class YahooClient:
    """Asks Yahoo; one client for all threads, since they share its pace.

    Attributes
    ----------
    cache : Path
        Folder for yfinance's own caches of cookies and time zones.
    policy : Policy
    address : str, optional
        Where requests go instead of Yahoo's hosts, for a mirror.
    now : callable
        Returns the time, in UTC.
    """

    cache: Path
    policy: Policy = Policy()
    address: str | None = None
    now: Callable[[], pd.Timestamp] = utc_now

    def fetch(self, symbol: str, interval: str, since: date | None, was_known: bool) -> Fetched:
        """Fetch the bars of a symbol up to now.

        Parameters
        ----------
        symbol : str
            In Yahoo's spelling.
        interval : str
            "1d", or one of `data.bars.prices.INTRADAY`.
        since : date, optional
            First day; all there is by default.
        was_known : bool
            Whether there were bars of it once, which tells a delisted symbol from an unknown one.

        Raises
        ------
        YahooError
            There are no bars; the error has the cause.
        """
        from gatecast.data.yahoo.failures import no_finished_bar

        history, meta = self._ask_until_answered(symbol, interval, since, was_known)
        timezone = str(meta["exchangeTimezoneName"])
        calendar = YAHOO_EXCHANGES.get(str(meta.get("exchangeName")), "")
        # The prices are adjusted for the actions of an open session too, so its bar goes only after that is undone.
        bars = as_traded(_in_our_form(history, symbol, interval))
        error = adjustment_error(bars.dropna())
        bars = bars.iloc[: self._count_finished(bars["ds"], interval, calendar or None, timezone)]
        if bars.empty:
            raise no_finished_bar(symbol)
        return Fetched(bars, error, timezone, calendar, str(meta.get("currency") or ""))

    def _ask_until_answered(
        self, symbol: str, interval: str, since: date | None, was_known: bool
    ) -> tuple[pd.DataFrame, Mapping[str, Any]]:
        from gatecast.data.yahoo.failures import YahooError

        delay = self.policy.first_delay
        for attempt in range(1, self.policy.attempts + 1):
            try:
                return self._ask(symbol, interval, since, was_known)
            except YahooError as error:
                if not error.is_transient or attempt == self.policy.attempts:
                    raise
                self._wait(delay, error)
                delay *= 2
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, delay: float, error: YahooError) -> None:
        asked = error.retry_after or 0.0
        seconds = min(max(delay * random.uniform(0.5, 1.5), asked), self.policy.longest_delay)
        if error.cause == "rate-limited":
            # Other symbols would only meet the same limit.
            self.session.pacer.hold(seconds)
        time.sleep(seconds)

    def _ask(
        self, symbol: str, interval: str, since: date | None, was_known: bool
    ) -> tuple[pd.DataFrame, Mapping[str, Any]]:
        """Ask once; return yfinance's frame and what Yahoo says about the symbol."""
        import yfinance
        from yfinance.data import YfData

        from gatecast.data.yahoo.failures import explain

        history = pd.DataFrame()
        error = None
        period = {"period": "max"} if since is None else {"start": since.isoformat()}
        limit = self.policy.time_limit
        with self.session.limited(limit):
            try:
                ticker = yfinance.Ticker(symbol, session=self.session)
                # yfinance remembers answers to past ranges, those that were errors too.
                YfData().cache_get.cache_clear()
                history = ticker.history(
                    interval=interval, auto_adjust=False, actions=True, keepna=True, timeout=limit, **period
                )
            except Exception as raised:
                # Whatever it is, Yahoo's own answer says more about it.
                error = raised
        answer = self.session.answer
        if error is not None or history.empty or answer is None:
            cause = None if holds_secret(self.address or "") else error
            raise explain(symbol, error, answer, was_known, self.now()) from cause
        return history, answer.meta

    def _count_finished(self, ds: pd.Series, interval: str, calendar: str | None, timezone: str) -> int:
        """Count the bars up to the last one that changes no more: its session is closed, or its hour is over."""
        now = self.now()
        for count in range(len(ds), 0, -1):
            begin = ds.iloc[count - 1]
            end = final_at(calendar, begin, timezone) if interval == "1d" else begin + INTRADAY[interval]
            if end <= now:
                return count
        return 0

    @cached_property
    def session(self) -> YahooSession:
        """The session of all requests."""
        import yfinance

        from gatecast.data.yahoo.session import Pacer, YahooSession

        yfinance.config.debug.hide_exceptions = False
        # What matters is in our own sentences; yfinance's import has switched its deprecation warnings on.
        logging.getLogger("yfinance").setLevel(logging.CRITICAL)
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="^yfinance")
        self.cache.mkdir(parents=True, exist_ok=True)
        remove_damaged(self.cache)
        yfinance.set_tz_cache_location(str(self.cache))
        return YahooSession(Pacer(self.policy.requests_per_second), self.address)


def remove_damaged(cache: Path) -> None:
    """Remove what is damaged of yfinance's caches, which it would not get past; it makes them again."""
    for database in cache.glob("*.db"):
        if is_damaged_sqlite(database):
            _LOGGER.warning("%s is damaged; yfinance makes it again.", database)
            for file in cache.glob(f"{database.name}*"):
                file.unlink()


def _in_our_form(history: pd.DataFrame, symbol: str, interval: str) -> pd.DataFrame:
    ds = pd.DatetimeIndex(history.index)
    columns = {column: history[column.capitalize()].to_numpy(np.float64) for column in BAR_COLUMNS}
    bars = pd.DataFrame(
        {
            "unique_id": symbol,
            "ds": (ds.tz_localize(None) if interval == "1d" else ds).as_unit("ns"),
            **columns,
            "adj_close": history["Adj Close"].to_numpy(np.float64),
            "dividend": history["Dividends"].fillna(0).to_numpy(np.float64),
            "split": history["Stock Splits"].replace(0, 1).fillna(1).to_numpy(np.float64),
        }
    )
    return bars.sort_values("ds", kind="stable", ignore_index=True)
