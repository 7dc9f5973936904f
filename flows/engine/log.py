"""The log of ``gatecast serve``: one line for each thing that happens, as text or as JSON."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, TextIO, TypedDict

from gatecast.data.display import one_line
from gatecast.data.secrets import masked

LogFormat = Literal["text", "json"]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LETTERS = 1000
"""Of a message, at most"""


class About(TypedDict, total=False):
    """What a line is about."""

    flow: str
    deployment: str
    run: str
    """Name of the run"""
    run_id: str
    model: str


KEYS = ("time", "level", "event", "flow", "deployment", "run", "run_id", "model", "message")
"""Of every line in JSON, in this order; what does not apply is an empty text"""


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


class Log:
    """Writes the lines.

    Parameters
    ----------
    form : {"text", "json"}
        Of the lines.
    stream : text stream
        Where they go.
    debug : bool
        Whether lines of the level DEBUG are written, such as what runs print.
    now : callable
        Returns the time.
    """

    def __init__(
        self, form: LogFormat, stream: TextIO, *, debug: bool = False, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._form = form
        self._stream = stream
        self._debug = debug
        self._now = now
        self._lock = threading.Lock()

    def tell(self, level: Level, event: str, message: str = "", about: About | None = None) -> None:
        """Write a line.

        Parameters
        ----------
        level : str
        event : str
            What happened, in a word.
        message : str
            The same in a sentence; secrets in it are masked.
        about : About, optional
        """
        if level == "DEBUG" and not self._debug:
            return
        values = dict.fromkeys(KEYS, "")
        values |= {"time": self._now().isoformat(timespec="seconds"), "level": level, "event": event}
        values |= {name: one_line(str(value)) for name, value in (about or {}).items()}
        values["message"] = one_line(masked(message.strip()))[:LETTERS]
        line = json.dumps(values, ensure_ascii=False) if self._form == "json" else _text(values)
        with self._lock:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    def info(self, event: str, message: str) -> None:
        """Write a line about what is as it should be."""
        self.tell("INFO", event, message)

    def warn(self, message: str) -> None:
        """Write a warning."""
        self.tell("WARNING", "warning", message)


def _text(values: dict[str, str]) -> str:
    place = "/".join(filter(None, (values["flow"], values["deployment"])))
    model = f"model {values['model']}" if values["model"] not in ("", *values["run"].split()) else ""
    subject = ", ".join(filter(None, (" ".join(filter(None, (place, values["run"]))), model)))
    what = ": ".join(filter(None, (subject, values["message"])))
    return f"{values['time']} {values['level']:<7} {values['event']:<10} {what}".rstrip()


class Chatter(io.TextIOBase):
    """A stream whose lines go to the log at the level DEBUG: what runs, Prefect and others print."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._begun = ""
        self._lock = threading.Lock()

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Take a text; its whole lines are told."""
        with self._lock:
            *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            if line.strip():
                self._log.tell("DEBUG", "output", line)
        return len(text)
