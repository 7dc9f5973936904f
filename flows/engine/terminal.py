"""What a person sees in the terminal: consoles, step lines, tables and errors of one sentence."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gatecast.data.display import one_line
from gatecast.data.secrets import masked
from gatecast.flows.engine.command_line import CommandLine
from gatecast.flows.engine.results import StepRecord

INPUT_IS_WRONG = 2
RUN_FAILED = 1
BREACHED = 3
INTERRUPTED = 130
LEAST_FREE_BYTES = 1_000_000  # less is a full disk
SERIES_IN_TABLE = 6


def console(stderr: bool = False) -> Console:
    """Return a console on the current standard output or error, which does not wrap paths or colour numbers."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True, emoji=False)


def literal(text: object) -> str:
    """Return text from elsewhere for use within markup; it is shown as it is, on one line."""
    return escape(one_line(str(text)))


def plain(text: object) -> Text:
    """Return text from elsewhere for a console or a table; it is shown as it is, on one line."""
    return Text(one_line(str(text)))


def say(text: str) -> None:
    """Print a line as it is."""
    console().print(plain(text))


@contextmanager
def standard_output() -> Iterator[TextIO]:
    """Yield standard output for data in UTF-8; when its reader, such as head, closes it, the block just ends."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    try:
        yield sys.stdout
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_step(name: str, seconds: float, cached: bool, summary: str) -> None:
    """Print the line of a finished step."""
    begun = f"[green]✓[/green] {name.replace('_', ' '):<16}[dim]{seconds:6.1f} s[/dim] "
    console().print(begun, plain(summary), *(["[dim](unchanged, from cache)[/dim]"] if cached else []))


def warn(sentence: str) -> None:
    """Print a warning to standard error."""
    console(stderr=True).print("[yellow]Warning:[/yellow]", plain(masked(sentence)))


def print_error(sentence: str) -> None:
    """Print an error to standard error."""
    console(stderr=True).print("[red]Error:[/red]", plain(masked(sentence)))


def print_next(arguments: str) -> None:
    """Print what to type next, in the workspace of this command."""
    typed = CommandLine.typed()
    command = " ".join([typed.program, arguments, shlex.join(typed.option("--workspace"))]).rstrip()
    console().print("\n[bold]Next:[/bold]", plain(command))


@contextmanager
def warnings_to(tell: Callable[[str], None]) -> Iterator[None]:
    """Call `tell` with the warnings that our packages log while the block runs, once for each sentence."""
    handler = _Told(tell)
    logger = logging.getLogger("gatecast")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Told(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        self._sentences = set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        sentence = record.getMessage()
        if sentence not in self._sentences:
            self._sentences.add(sentence)
            self._tell(sentence)


@contextmanager
def explained(debug: bool = False, after_interrupt: str | None = None) -> Iterator[None]:
    """Turn what a command raises into one sentence and an exit status: 2 wrong input, 1 failure, 130 Ctrl-C.

    Parameters
    ----------
    debug : bool
        Let the traceback through instead.
    after_interrupt : str, optional
        What to do after Ctrl-C.
    """
    try:
        with warnings_to(warn):
            yield
    except KeyboardInterrupt:
        print_error(f"Interrupted; {after_interrupt}." if after_interrupt else "Interrupted.")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        if debug or isinstance(error, (typer.Exit, typer.Abort)):
            raise
        sentence, status = explain(error)
        print_error(sentence)
        raise typer.Exit(status) from None


def explain(error: Exception) -> tuple[str, int]:
    """Return the sentence and the exit status of an exception."""
    from pydantic import ValidationError

    from gatecast.data.errors import InputError, SettingsError
    from gatecast.data.settings import first_problem

    if isinstance(error, SettingsError):
        return explain_settings(error.problem), INPUT_IS_WRONG
    if isinstance(error, ValidationError):
        return explain_settings(first_problem(error)), INPUT_IS_WRONG
    if isinstance(error, InputError):
        return str(error), INPUT_IS_WRONG
    full = full_disk(error)
    if full is not None:
        return f"The disk of {full} is full; free some space and run again.", RUN_FAILED
    if type(error).__module__.startswith("gatecast."):
        return str(error), RUN_FAILED
    if isinstance(error, OSError) and error.filename and error.strerror:
        return (
            f"{error.filename} cannot be read or written ({error.strerror}); check the disk and your rights.",
            RUN_FAILED,
        )
    text = " ".join(str(error).split())
    text = text if len(text) <= 300 else f"{text[:299]}…"
    return f"The run failed with {type(error).__name__}: {text or 'no message'} (--debug shows where).", RUN_FAILED


def full_disk(error: BaseException) -> Path | None:
    """Return the path on the full disk that caused an error, or None if the error has another cause.

    Prefect's server, whose database is in the workspace, reports it differently, so the disk itself is checked as well.
    """
    from gatecast.flows.settings.workspace import Workspace

    root = Workspace.from_environment().root
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return Path(cause.filename) if cause.filename else root
        cause = cause.__cause__ or cause.__context__
    nearest = next(path for path in (root, *root.parents) if path.exists())
    return root if shutil.disk_usage(nearest).free < LEAST_FREE_BYTES else None


def explain_settings(problem: Mapping[str, Any], options: Mapping[tuple[str, ...], Sequence[str]] | None = None) -> str:
    """Return one sentence about a wrong setting: its name, its value, and what is allowed.

    Parameters
    ----------
    problem : mapping
        What pydantic says about it.
    options : mapping, optional
        Spellings of the option of each setting, by the names that lead to the setting; without it, settings are called
        by their names.
    """
    from gatecast.data.secrets import SECRET
    from gatecast.data.settings import expected

    typed = CommandLine.typed()
    called = {names: typed.spelling(spellings) for names, spellings in (options or {}).items()}
    allowed = expected(problem)
    names = tuple(part for part in problem["loc"] if isinstance(part, str))
    # If several types are allowed, pydantic adds to the names the type that the value does not fit.
    known = next((names[:length] for length in range(len(names), 0, -1) if names[:length] in called), None)
    if not names or (problem["type"] == "value_error" and known is None):
        by_name = {names[-1]: option for names, option in called.items()}
        allowed = re.sub(r"\b[a-z]+(_[a-z]+)+\b", lambda name: by_name.get(name[0], name[0]), allowed)
        return f"{allowed[:1].upper()}{allowed[1:]}."
    name = called[known] if known else names[-1]
    if problem["type"] == SECRET:
        return f"{name} {allowed}."
    if problem["type"] == "extra_forbidden":
        return f"There is no setting {name}; leave it out."
    return f"{name} {problem['input']} is not allowed: it should be {allowed}."


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as 1 epoch or 1,000 epochs."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def figure(value: float | None, form: str = "") -> str:
    """Return a number in the format `form`, or with four digits; a dash if there is no number."""
    if value is None:
        return "–"
    # From 9999.5 on, four digits would need an exponent; the form #.4g leaves a dot after 1234.
    return format(value, form or ("#.4g" if abs(value) < 9999.5 else ",.0f")).rstrip(".")


def print_table(rows: Sequence[Mapping[str, str]], title: str, right: Sequence[str] = (), bold_rows: int = 0) -> None:
    """Print rows of text under their names, the first `bold_rows` in bold; the columns in `right` hold figures."""
    table = Table(title=plain(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in rows[0]:
        if column in right:
            table.add_column(column, justify="right", no_wrap=True)
        else:
            table.add_column(column, overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(*map(plain, row.values()), style="bold" if number < bold_rows else None)
    console().print()
    console().print(table)


def print_scores(rows: Sequence[Mapping[str, str]], title: str, bold: str = "") -> None:
    """Print what `flows.judging.tables.score_table` returns, one forecast in bold; for many series only the total."""
    series = list(dict.fromkeys(row["series"] for row in rows))
    shown = rows if len(series) <= SERIES_IN_TABLE else [row for row in rows if row["series"] == series[-1]]
    table = Table(title=plain(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in rows[0]:
        table.add_column(column, justify="left" if column in ("series", "forecast") else "right", no_wrap=True)
    former = None
    for row in shown:
        first = row["series"] != former
        if first and former is not None:
            table.add_section()
        former = row["series"]
        cells = [plain(row["series"]) if first else "", *map(plain, list(row.values())[1:])]
        table.add_row(*cells, style="bold" if row["forecast"] == bold else None)
    console().print()
    console().print(table)


def print_comparison(rows: Sequence[Mapping[str, str]], title: str) -> None:
    """Print a model's scores, its row first and in bold, above those of the baselines; the first column holds names."""
    print_table(rows, title, right=list(rows[0])[1:], bold_rows=1)


def print_times(steps: Sequence[StepRecord], seconds: float, milliseconds_per_step: float | None) -> None:
    """Print the wall-clock seconds of each step, and of the whole command."""
    parts = [f"{step['name'].replace('_', ' ')} {step['seconds']:.1f}" for step in steps]
    text = f"{' · '.join(parts)} · [bold]in all {seconds:.1f}[/bold], Prefect's start included"
    console().print(f"\n[bold]Seconds[/bold]  {text}")
    if milliseconds_per_step is not None:
        console().print(f"         training took {milliseconds_per_step:.2f} ms per optimiser step")


def print_paths(paths: Mapping[str, str]) -> None:
    """Print the absolute paths of what was written."""
    console().print("\n[bold]Written[/bold]")
    for name, path in paths.items():
        say(f"  {name:<15}{path}")
