"""Why Yahoo gave no bars: one cause, read from its own answer, and never taken for another."""

from __future__ import annotations

from enum import StrEnum

import pandas as pd
from curl_cffi.requests.exceptions import HTTPError, JSONDecodeError, RequestException, Timeout
from yfinance.exceptions import YFRateLimitError

from gatecast.data.errors import SourceError
from gatecast.data.secrets import masked
from gatecast.data.yahoo.session import Answer, TimeIsUpError

# A market without bars for this long is closed for good; the longest holidays take a third of it.
_SILENCE_OF_THE_DELISTED = pd.Timedelta(days=30)
_BUSY_TEXT = "Will be right back"


class Cause(StrEnum):
    """Why there are no bars."""

    RATE_LIMITED = "rate-limited"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    UNREADABLE = "unreadable"
    UNKNOWN = "unknown symbol"
    DELISTED = "delisted"
    EMPTY = "empty"


class YahooError(SourceError):
    """Yahoo gave no bars of a symbol.

    Attributes
    ----------
    cause : Cause
    retry_after : float or None
        Seconds that Yahoo asks to wait.
    """

    def __init__(self, symbol: str, cause: Cause, reason: str, retry_after: float | None = None):
        super().__init__(f"Yahoo gave no bars of {symbol}: {reason}")
        self.cause = cause
        self.reason = reason
        self.retry_after = retry_after

    @property
    def is_transient(self) -> bool:
        """Whether asking again may help."""
        return self.cause in (Cause.RATE_LIMITED, Cause.UNREACHABLE)


def no_finished_bar(symbol: str) -> YahooError:
    """Return what to say where every bar still changes."""
    return YahooError(symbol, Cause.EMPTY, "it has none of a finished session; wait for the close")


def explain(
    symbol: str, error: Exception | None, answer: Answer | None, was_known: bool, now: pd.Timestamp
) -> YahooError:
    """Return why there are no bars.

    Parameters
    ----------
    symbol : str
    error : Exception or None
        What yfinance raised, or None if it returned an empty frame.
    answer : Answer or None
        Yahoo's last answer about bars, or None without an answer.
    was_known : bool
        Whether the store has bars of the symbol.
    now : Timestamp
    """

    def because(cause: Cause, reason: str) -> YahooError:
        return YahooError(symbol, cause, reason, answer.retry_after if answer else None)

    if isinstance(error, YFRateLimitError) or (answer is not None and answer.status == 429):
        return because(Cause.RATE_LIMITED, "it limits the rate of requests (status 429); try again later")
    if isinstance(error, (TimeIsUpError, Timeout)):
        return because(Cause.UNREACHABLE, "it did not answer within the time limit; try again later")
    if isinstance(error, RequestException) and not isinstance(error, (HTTPError, JSONDecodeError)):
        detail = type(error).__name__
        return because(Cause.UNREACHABLE, f"it cannot be reached ({detail}); check the network and try again")
    if answer is None:
        return because(Cause.UNREACHABLE, f"it gave no answer ({_short(error)}); try again later")
    if answer.status >= 500:
        return because(Cause.UNREACHABLE, f"it is out of order (status {answer.status}); try again later")
    if _BUSY_TEXT in answer.text:
        return because(Cause.UNREACHABLE, "it is down for maintenance; try again later")
    return because(*_from_content(answer, error, was_known, now))


def _from_content(answer: Answer, error: Exception | None, was_known: bool, now: pd.Timestamp) -> tuple[Cause, str]:
    code, description = answer.reason
    said = f" and says: {description.rstrip('.')}" if description else ""
    if answer.status == 404 or code == "Not Found":
        if was_known:
            return Cause.DELISTED, "it no longer knows the symbol, which was delisted or renamed; leave it out"
        return Cause.UNKNOWN, "it does not know the symbol; check the spelling on finance.yahoo.com"
    if description.startswith("Data doesn't exist"):
        return Cause.EMPTY, "it has none in the period asked for; choose another"
    if answer.status >= 400 or description:
        return Cause.REFUSED, f"it refuses the request (status {answer.status}){said}; change what is asked for"
    if answer.document is None:
        return Cause.UNREADABLE, "its answer is not JSON; try again later, or look for a newer yfinance"
    if not answer.meta:
        return Cause.UNREADABLE, f"its answer has another form ({_short(error)}); look for a newer yfinance"
    traded = answer.meta.get("regularMarketTime")
    if isinstance(traded, int | float) and now - pd.Timestamp(traded, unit="s", tz="UTC") > _SILENCE_OF_THE_DELISTED:
        last = pd.Timestamp(traded, unit="s").date()
        return Cause.DELISTED, f"it was last traded on {last} and has no bars in the period asked for; leave it out"
    if not _has_rows(answer):
        return Cause.EMPTY, "it has none in the period asked for; choose another"
    return Cause.UNREADABLE, f"its answer has another form ({_short(error)}); look for a newer yfinance"


def _has_rows(answer: Answer) -> bool:
    document = answer.document or {}
    return bool(document["chart"]["result"][0].get("timestamp"))


def _short(error: Exception | None) -> str:
    text = masked(" ".join(str(error or "").split()))  # the address of a mirror may hold a secret
    return f"{type(error).__name__}: {text[:120]}" if error else "no message"
