"""``gatecast retrain --symbols-file``: a model for each line of a file."""

from __future__ import annotations

import csv
import io
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gatecast.flows.commands.options import starting_prefect
from gatecast.flows.engine.command_line import CommandLine
from gatecast.flows.engine.terminal import (
    RUN_FAILED,
    print_error,
    print_next,
    print_paths,
    print_table,
    print_times,
    say,
)

if TYPE_CHECKING:
    from gatecast.flows.commands.options import Typed
    from gatecast.flows.fleet import FleetTrained
    from gatecast.flows.settings.runs import FleetSettings

SHOWN = 20
# outside of quotes
_COMMENT = re.compile(r'("(?:[^"]|"")*")|#.*')


def read_groups(path: Path) -> tuple[tuple[str, ...], ...]:
    """Read the series of each model: one model a line, its series separated by commas; # begins a comment.

    A name with a comma, a # or a line break in it is quoted, as in a CSV file.

    Raises
    ------
    InputError
        The file is missing, is not text, names no series, or names a model twice.
    """
    from gatecast.data.errors import InputError
    from gatecast.data.store import require_file

    require_file(path)
    try:
        text = _COMMENT.sub(r"\1", path.read_text(encoding="utf-8"))
        rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
        numbered = [(rows.line_num, tuple(symbol.strip() for symbol in row)) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} cannot be read as text ({error}); give one model a line, its series as A,B."
        ) from error
    groups: dict[tuple[str, ...], int] = {}
    for number, group in numbered:
        if group in ((), ("",)):
            continue
        where = f"{path}, line {number}: {','.join(group)!r}"
        if not all(group):
            raise InputError(f"{where} names an empty series; separate series by one comma.")
        if group in groups:
            raise InputError(f"{where} is in line {groups[group]} already; remove one.")
        groups[group] = number
    if not groups:
        raise InputError(f"{path} names no series; give one model a line.")
    return tuple(groups)


def retrain_fleet(options: Typed[FleetSettings], symbols_file: Path, force: bool, resume: bool) -> None:
    """Train the models of the file, and end with status 1 if some failed."""
    from gatecast.data.errors import InputError

    started = time.perf_counter()
    settings = options.settings()
    if settings.retrain.data.symbols is not None:
        raise InputError("--symbols and --symbols-file both say which series to learn; give one of them.")
    settings = settings.model_copy(update={"groups": read_groups(symbols_file)})
    with starting_prefect(settings.retrain.data.path):
        from gatecast.flows.engine.runners import require_runner
        from gatecast.flows.fleet import fleet

        require_runner(settings.runner)
    result = fleet(settings, force=force, resume=resume)
    show(result, time.perf_counter() - started)
    if result["failed"]:
        raise typer.Exit(RUN_FAILED)


def show(result: FleetTrained, seconds: float) -> None:
    """Print what became of the models, and the command that trains the failed ones again."""
    from gatecast.flows.fleet import outcome_table

    outcomes = result["outcomes"]
    rows = outcome_table(outcomes)
    more = f" (the first {SHOWN} of {len(rows)})" if len(rows) > SHOWN else ""
    print_table(rows[:SHOWN], f"Models{more}", right=("RMSE", "score", "skill", "seconds"))
    failed = [each for each in outcomes if each["error"]]
    for each in failed[:SHOWN]:
        say(f"{each['name']} failed: {each['error']}")
    say(f"{result['summary']}.")
    print_times(result["steps"], seconds, None)
    print_paths({"outcomes": result["report"], **({"failed": result["failed"]} if result["failed"] else {})})
    if not result["failed"]:
        print_next(f"models show {outcomes[0]['name']}")
        return
    again = CommandLine.typed().without("--symbols-file").adding("--symbols-file", result["failed"])
    print_error(f"{len(failed)} of {len(outcomes)} models failed; to train them again: {again}")
