from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from gatecast.flows.engine.log import KEYS, Chatter, Log
from gatecast.flows.engine.run_log import _news, model_of, sentence_of

NOW = datetime(2026, 12, 1, 18, 30, tzinfo=UTC)
HOSTILE = '"../x\n<b>"\x1b[2J\u2028'


def log_of(form: Any, *, debug: bool = False) -> tuple[Log, io.StringIO]:
    stream = io.StringIO()
    return Log(form, stream, debug=debug, now=lambda: NOW), stream


def test_a_line_says_when_how_bad_what_and_whose() -> None:
    log, stream = log_of("text")
    about: Any = {
        "flow": "retrain",
        "deployment": "nightly",
        "run": "sales 2026-12-01 18:30",
        "run_id": "1",
        "model": "m",
    }
    log.tell("ERROR", "failed", "sales.csv does not exist; check the path.", about)
    log.info("stopping", "")
    assert stream.getvalue() == (
        "2026-12-01T18:30:00+00:00 ERROR   failed     retrain/nightly sales 2026-12-01 18:30, model m:"
        " sales.csv does not exist; check the path.\n"
        "2026-12-01T18:30:00+00:00 INFO    stopping\n"
    )


@pytest.mark.parametrize("form", ["text", "json"])
def test_whatever_a_series_is_called_a_line_is_one_line(form: str) -> None:
    log, stream = log_of(form)
    log.tell("ERROR", "failed", HOSTILE, {"flow": HOSTILE, "deployment": HOSTILE, "run": HOSTILE, "model": HOSTILE})
    written = stream.getvalue()
    assert len(written.splitlines()) == 1
    assert "\x1b" not in written


def test_json_has_every_key_in_every_line() -> None:
    log, stream = log_of("json")
    log.info("starting", "now")
    log.tell("WARNING", "late", "due 60 s ago", {"run_id": "7", "model": "<b>"})
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [tuple(line) for line in lines] == [KEYS, KEYS]
    assert lines[1] == {
        **dict.fromkeys(KEYS, ""), "time": "2026-12-01T18:30:00+00:00", "level": "WARNING", "event": "late",
        "run_id": "7", "model": "<b>", "message": "due 60 s ago",
    }  # fmt: skip


def test_a_secret_is_masked() -> None:
    log, stream = log_of("text")
    log.warn("https://user:hunter2@host/x failed")
    assert "hunter2" not in stream.getvalue()


def test_what_others_print_is_told_line_by_line_at_the_level_debug() -> None:
    for debug, expected in ((False, 0), (True, 2)):
        log, stream = log_of("text", debug=debug)
        with redirect_stdout(Chatter(log)):
            print("Traceback (most recent call last):\n  File", end="")
            print(" x\n\n")
        assert stream.getvalue().count("DEBUG") == expected


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("Flow run encountered an exception: InputError: sales.csv does not exist; check it.",
         "sales.csv does not exist; check it."),
        ("Flow run encountered an exception: gatecast.data.errors.SourceError: no answer.", "no answer."),
        ("Flow run exceeded timeout of 60.0 second(s)", "Flow run exceeded timeout of 60.0 second(s)"),
        ("The process of this run is gone.", "The process of this run is gone."),
        ("", ""),
    ],
)  # fmt: skip
def test_of_a_failure_the_sentence_is_told(message: str, sentence: str) -> None:
    assert sentence_of(message) == sentence


def run_in(state: str, name: str, message: str = "", *, started: bool = True) -> Any:
    type_ = SimpleNamespace(value=state)
    final = state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    return SimpleNamespace(
        id=uuid4(),
        state=SimpleNamespace(type=type_, name=name, message=message, is_final=lambda: final),
        start_time=NOW if started else None,
        expected_start_time=NOW - timedelta(seconds=90),
        total_run_time=timedelta(seconds=63),
    )


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (run_in("RUNNING", "Running"), [("INFO", "started", "")]),
        (run_in("COMPLETED", "Completed"), [("INFO", "started", ""), ("INFO", "finished", "after 63 s")]),
        (run_in("FAILED", "Failed", "Flow run encountered an exception: InputError: a.csv is empty; fill it."),
         [("INFO", "started", ""), ("ERROR", "failed", "a.csv is empty; fill it.")]),
        (run_in("CRASHED", "Crashed", "gone", started=False), [("ERROR", "crashed", "gone")]),
        (run_in("CANCELLED", "Cancelled", "Deployment concurrency limit reached.", started=False),
         [("WARNING", "cancelled", "another run of its deployment is under way")]),
        (run_in("SCHEDULED", "Late", started=False), [("WARNING", "late", "due 90 s ago, and not started yet")]),
        (run_in("SCHEDULED", "Scheduled", started=False), []),
    ],
)  # fmt: skip
def test_every_end_of_a_run_is_told(run: Any, expected: list[tuple[str, str, str]]) -> None:
    assert list(_news(run, NOW)) == expected


@pytest.mark.parametrize(
    ("parameters", "model"),
    [({"settings": {"name": "a"}}, "a"), ({"name": "b"}, "b"), ({"settings": 3}, ""), ({}, ""), ({"name": None}, "")],
)
def test_the_model_is_that_of_the_parameters(parameters: dict[str, Any], model: str) -> None:
    assert model_of(parameters) == model
