"""The HTTP session that yfinance is given: it keeps a pace and a time limit, and remembers what Yahoo answered.

yfinance tells a rate limit, an outage, an unknown symbol and an empty range by much the same exception or none; the
status and the text of Yahoo's own answer tell them apart.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from curl_cffi.requests import Response, Session

CHART_PATH = "/v8/finance/chart/"
_SECONDS_UNTIL_LIMITED = 30.0
"""For requests outside of `YahooSession.limited`"""


class TimeIsUpError(OSError):
    """A symbol's time is over."""


class Pacer:
    """Lets requests go one after the other, no sooner than a pause allows, whatever thread they come from.

    Parameters
    ----------
    requests_per_second : float
        At most.
    """

    def __init__(self, requests_per_second: float):
        self._pause = 1 / requests_per_second
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self, until: float) -> None:
        """Return when it is this request's turn.

        Raises
        ------
        TimeIsUpError
            When that would be after `until`, in the time of `time.monotonic`.
        """
        with self._lock:
            turn = max(self._next, time.monotonic())
            if turn > until:
                raise TimeIsUpError("no turn was left before the time limit")
            self._next = turn + self._pause
        time.sleep(max(0.0, turn - time.monotonic()))

    def hold(self, seconds: float) -> None:
        """Let no request go for a while: the source has asked for that."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


@dataclass(frozen=True)
class Answer:
    """What Yahoo answered to a request for bars."""

    status: int
    text: str
    retry_after: float | None
    """Seconds, where Yahoo named them"""

    @property
    def document(self) -> dict[str, Any] | None:
        """The JSON in the answer, or None if it is not a JSON object."""
        try:
            found = json.loads(self.text)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    @property
    def reason(self) -> tuple[str, str]:
        """Code and description of Yahoo's own error message, empty without one."""
        error = _get(self.document, "chart", "error") or _get(self.document, "finance", "error") or {}
        return str(_get(error, "code") or ""), str(_get(error, "description") or "").strip()

    @property
    def meta(self) -> dict[str, Any]:
        """What Yahoo says about the symbol, empty if it says nothing."""
        result = _get(self.document, "chart", "result")
        first = result[0] if isinstance(result, list) and result else {}
        return _get(first, "meta") or {}


def _get(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


class YahooSession(Session):
    """A session that waits for its turn, ends in time, and keeps the last answer about bars of each thread.

    Parameters
    ----------
    pacer : Pacer
        Shared by all sessions of a source.
    address : str, optional
        Where requests go instead of Yahoo's hosts: a mirror, or the server of a test.
    """

    def __init__(self, pacer: Pacer, address: str | None = None):
        super().__init__(impersonate="chrome")
        self.pacer = pacer
        self._address = address
        self._of_thread = threading.local()

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Give this thread's requests in the block `seconds` together, and forget earlier answers."""
        self._of_thread.until = time.monotonic() + seconds
        self._of_thread.answer = None
        try:
            yield
        finally:
            del self._of_thread.until

    @property
    def answer(self) -> Answer | None:
        """The last answer about bars that this thread got."""
        return getattr(self._of_thread, "answer", None)

    def request(self, method: Any, url: str, *args: Any, **options: Any) -> Response:
        """Send a request when its turn comes."""
        until = getattr(self._of_thread, "until", time.monotonic() + _SECONDS_UNTIL_LIMITED)
        self.pacer.wait(until)
        left = until - time.monotonic()
        if left <= 0:
            raise TimeIsUpError("the time limit is over")
        options["timeout"] = min(options.get("timeout") or left, left)
        path = urlsplit(url).path
        response = super().request(method, self._sent_to(url), *args, **options)
        if path.startswith(CHART_PATH):
            self._of_thread.answer = Answer(response.status_code, response.text, _seconds(response))
        return response

    def _sent_to(self, url: str) -> str:
        if self._address is None:
            return url
        asked = urlsplit(url)
        mirror = urlsplit(self._address)
        query = "&".join(filter(None, (mirror.query, asked.query)))
        return urlunsplit((mirror.scheme, mirror.netloc, f"{mirror.path.rstrip('/')}{asked.path}", query, ""))


def _seconds(response: Response) -> float | None:
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None
