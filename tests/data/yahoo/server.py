"""A server on this machine that answers as Yahoo's chart service does, from bars as they were traded."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pandas as pd

NOT_FOUND = {
    "chart": {"result": None, "error": {"code": "Not Found", "description": "No data found, symbol may be delisted"}}
}


@dataclass
class Listing:
    """A symbol: its bars as they were traded, the actions on them, and where it is listed."""

    days: pd.DatetimeIndex
    """Opening times, in the exchange's zone"""
    bars: np.ndarray
    """(rows, 5): open, high, low, close, volume"""
    dividends: dict[int, float] = field(default_factory=dict)
    splits: dict[int, float] = field(default_factory=dict)
    timezone: str = "America/New_York"
    exchange: str = "NMS"
    last_trade: pd.Timestamp | None = None
    broken_adjusted_close: float = 1.0


def listing(rows: int = 40, start: str = "2024-01-02", seed: int = 0, **options: Any) -> Listing:
    """A random walk on the sessions of the New York exchange."""
    import exchange_calendars

    calendar = exchange_calendars.get_calendar("XNYS", start=start, end="2024-12-31")
    days = (calendar.sessions[:rows] + pd.Timedelta(hours=9, minutes=30)).tz_localize("America/New_York")
    return Listing(days, walk(rows, seed), **options)


def walk(rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, rows)))
    open_ = close * np.exp(rng.normal(0, 0.005, rows))
    high, low = np.maximum(open_, close) * 1.003, np.minimum(open_, close) * 0.996
    return np.column_stack([open_, high, low, close, rng.integers(1_000, 9_000, rows)])


@dataclass
class Reply:
    """One answer out of the ordinary."""

    status: int = 200
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """Before the answer comes"""


class Yahoo:
    """What the server plays, and what it was asked."""

    def __init__(self) -> None:
        self.listings: dict[str, Listing] = {}
        self.replies: dict[str, list[Reply]] = {}
        """Of each symbol, given one after the other before its listing is"""
        self.always: dict[str, Reply] = {}
        self.asked: list[tuple[str, dict[str, str], float]] = []
        self.address = ""

    def requests_of(self, symbol: str) -> list[dict[str, str]]:
        return [query for path, query, _ in self.asked if path.endswith(f"/chart/{symbol}")]

    def ranges_of(self, symbol: str) -> list[pd.Timestamp]:
        """First days that bars were asked for, without yfinance's requests for the time zone."""
        return [
            pd.Timestamp(int(query["period1"]), unit="s") for query in self.requests_of(symbol) if "period1" in query
        ]

    def reply_to(self, path: str, query: dict[str, str]) -> Reply:
        if not path.startswith("/v8/finance/chart/"):
            return Reply(200, "crumb")
        symbol = unquote(path.rsplit("/", 1)[1])
        if symbol in self.always:
            return self.always[symbol]
        if self.replies.get(symbol):
            return self.replies[symbol].pop(0)
        if symbol not in self.listings:
            return Reply(404, NOT_FOUND)
        return Reply(200, chart(symbol, self.listings[symbol], query))


def chart(symbol: str, listing: Listing, query: dict[str, str]) -> dict[str, Any]:
    """The answer for a listing, computed row by row: prices adjusted for later splits, the close for dividends too."""
    stamps = [int(day.timestamp()) for day in listing.days]
    rows = range(len(stamps))
    shares = [float(np.prod([ratio for at, ratio in listing.splits.items() if at > row])) for row in rows]
    prices = listing.bars[:, :4] / np.array(shares)[:, None]
    volume = listing.bars[:, 4] * np.array(shares)
    adjusted = [0.0] * len(stamps)
    factor = 1.0
    for row in reversed(rows):
        adjusted[row] = prices[row, 3] * factor * listing.broken_adjusted_close
        if row in listing.dividends and row:
            factor *= 1 - listing.dividends[row] / shares[row] / prices[row - 1, 3]
    first, last = int(query.get("period1", 0)), int(query.get("period2", 2**62))
    kept = [row for row in rows if first <= stamps[row] < last]
    quote = {
        name: [_json(value) for value in prices[kept, column]]
        for column, name in enumerate(("open", "high", "low", "close"))
    }
    quote["volume"] = [_json(value) for value in volume[kept]]
    events = {
        "dividends": {
            str(stamps[row]): {"amount": amount / shares[row], "date": stamps[row]}
            for row, amount in listing.dividends.items()
            if row in kept
        },
        "splits": {
            str(stamps[row]): {
                "date": stamps[row],
                "numerator": ratio,
                "denominator": 1.0,
                "splitRatio": f"{ratio:g}:1",
            }
            for row, ratio in listing.splits.items()
            if row in kept
        },
    }
    result = {
        "meta": meta(symbol, listing, query.get("interval", "1d")),
        "events": {name: found for name, found in events.items() if found},
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": [_json(adjusted[row]) for row in kept]}]},
    }
    if kept:
        result["timestamp"] = [stamps[row] for row in kept]
    else:
        result["indicators"] = {"quote": [{}], "adjclose": [{}]}
    return {"chart": {"result": [result], "error": None}}


def _json(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def meta(symbol: str, listing: Listing, interval: str) -> dict[str, Any]:
    last = listing.last_trade or listing.days[-1]
    zone = {"timezone": "EST", "gmtoffset": -18000}
    begin = int(listing.days[-1].timestamp())
    regular = {**zone, "start": begin, "end": begin + 23400}
    described = {
        "currency": "USD",
        "symbol": symbol,
        "exchangeName": listing.exchange,
        "fullExchangeName": "NasdaqGS",
        "instrumentType": "EQUITY",
        "firstTradeDate": int(listing.days[0].timestamp()),
        "regularMarketTime": int(last.timestamp()),
        "hasPrePostMarketData": True,
        "gmtoffset": -18000,
        "timezone": "EST",
        "exchangeTimezoneName": listing.timezone,
        "regularMarketPrice": 1.0,
        "priceHint": 2,
        "currentTradingPeriod": {"pre": dict(regular), "regular": dict(regular), "post": dict(regular)},
        "dataGranularity": interval,
        "range": "",
        "validRanges": ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"],
    }
    if interval.endswith(("m", "h")):
        days = listing.days.normalize().unique()
        periods = [int((day + pd.Timedelta(hours=9, minutes=30)).timestamp()) for day in days]
        described["tradingPeriods"] = [[{**zone, "start": start, "end": start + 23400}] for start in periods]
    return described


@contextmanager
def serving() -> Iterator[Yahoo]:
    """Run the server on a free port of this machine."""
    yahoo = Yahoo()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            yahoo.asked.append((unquote(parts.path), query, time.monotonic()))
            reply = yahoo.reply_to(parts.path, query)
            time.sleep(reply.seconds)
            body = (reply.body if isinstance(reply.body, str) else json.dumps(reply.body)).encode()
            try:
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client has given up waiting

        do_POST = do_GET

        def log_message(self, *arguments: Any) -> None:
            """Keep the terminal quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yahoo.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield yahoo
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
