"""``gatecast workspace``: check everything that is stored, back it up, and restore it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatecast.flows.commands.options import CommonOptions, takes
from gatecast.flows.engine.terminal import (
    RUN_FAILED,
    console,
    counted,
    explained,
    print_error,
    print_next,
    print_paths,
    print_table,
    say,
    warn,
)

if TYPE_CHECKING:
    from gatecast.flows.registry.inventory import Found

SHOWN = 50
"""Damaged files that are listed"""
app = typer.Typer(no_args_is_help=True)


@app.callback()
def workspace() -> None:
    """Check, back up and restore the workspace: everything that Gatecast has stored."""


@app.command()
@takes(CommonOptions)
def check(options: CommonOptions) -> None:
    """Read every stored file, and compare it with its hash.

    Nothing is written. Ends with exit status 1 if a file is damaged, and says what to do about it.
    """
    with explained(options.debug):
        options.prepare()
        from gatecast.data.errors import InputError
        from gatecast.flows.registry.inventory import examine
        from gatecast.flows.settings.workspace import Workspace

        here = Workspace.from_environment()
        found = list(examine(here))
        if not found:
            raise InputError(f"{here.root} holds no workspace; name one with --workspace.")
        print_table(_rows(found), f"Files in {here.root}", right=("files", "whole", "damaged", "left over"))
        damaged = [each for each in found if each.state == "damaged"]
        left_over = [each for each in found if each.state == "left over"]
        if left_over:
            say(
                f"{len(left_over):,} files or folders are left over, such as {left_over[0].path}; temporary ones go"
                " by themselves a day after a process was killed; look at those called .damaged, then remove them."
            )
        for each in damaged[:SHOWN]:
            print_error(f"{each.problem.rstrip('.')} ({each.path}: {each.mend}).")
        if len(damaged) > SHOWN:
            print_error(f"{len(damaged) - SHOWN:,} more files are damaged.")
        if damaged:
            raise typer.Exit(RUN_FAILED)
        print_next("workspace backup FILE.tar.gz")


def _rows(found: Sequence[Found]) -> list[dict[str, str]]:
    """Return the rows of the table: how many files of each folder are whole, damaged and left over."""
    counts = Counter((each.path.parts[0], each.state) for each in found)
    folders = sorted({folder for folder, _ in counts})
    return [
        {
            "folder": folder,
            "files": f"{sum(counts[folder, state] for state in ('whole', 'damaged', 'left over')):,}",
            "whole": f"{counts[folder, 'whole']:,}",
            "damaged": f"{counts[folder, 'damaged']:,}",
            "left over": f"{counts[folder, 'left over']:,}",
        }
        for folder in folders
    ]


@dataclass(frozen=True, kw_only=True)
class BackupOptions(CommonOptions):
    """The argument and the options of ``gatecast workspace backup``."""

    file: Annotated[
        Path,
        typer.Argument(
            help="A new file that ends in .tar.gz or, with any other name, a new folder.", show_default=False
        ),
    ]


@app.command()
@takes(BackupOptions)
def backup(options: BackupOptions) -> None:
    """Copy the workspace to one file; runs may go on meanwhile.

    The copy is read and checked before it gets its name. Nothing is overwritten.
    """
    with explained(options.debug):
        options.prepare()
        from gatecast.flows.registry.backups import back_up
        from gatecast.flows.settings.workspace import Workspace

        here = Workspace.from_environment()
        made = back_up(here, options.file)
        for each in made.damaged[:SHOWN]:
            warn(f"{each.path} is damaged in the workspace and in the backup; {each.mend}.")
        console().print(f"Backed up {counted(made.files, 'file')} of {here.root}.")
        print_paths({"backup": str(made.path)})
        print_next("workspace check")


@dataclass(frozen=True, kw_only=True)
class RestoreOptions(CommonOptions):
    """The argument and the options of ``gatecast workspace restore``."""

    file: Annotated[Path, typer.Argument(help="What 'gatecast workspace backup' wrote.", show_default=False)]


@app.command()
@takes(RestoreOptions)
def restore(options: RestoreOptions) -> None:
    """Put a backup into a workspace that is empty or does not exist yet.

    Every file is checked before the workspace gets its name.
    """
    with explained(options.debug):
        options.prepare()
        from gatecast.flows.registry.backups import restore as put_back
        from gatecast.flows.settings.workspace import Workspace

        here = Workspace.from_environment()
        files = put_back(options.file, here)
        console().print(f"Restored {counted(files, 'file')} to {here.root}.")
        print_next("models list")
