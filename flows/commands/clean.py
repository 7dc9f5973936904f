"""``gatecast clean``: remove what runs have left behind and nobody needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from gatecast.flows.commands.options import CommonOptions, Typed, starting_prefect, takes
from gatecast.flows.commands.serve import SETTINGS_FILE
from gatecast.flows.engine.terminal import console, explained, print_next, print_table, say
from gatecast.flows.settings.retention import RetentionSettings


@dataclass(frozen=True, kw_only=True)
class CleanOptions(CommonOptions):
    """The options of ``gatecast clean``."""

    retention: Typed[RetentionSettings] = Typed(RetentionSettings)
    file: Annotated[
        Path | None,
        typer.Option(
            help="Settings, whose table retention says what is kept unless it is typed.",
            show_default="gatecast.toml if there",
        ),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and remove nothing.")] = False


@takes(CleanOptions)
def clean(options: CleanOptions) -> None:
    """Remove old versions, reports, data, trainings and runs.

    What the champion, a rollback, running trainings and the newest report need always stays. gatecast serve does the
    same each night.
    """
    with explained(options.debug):
        options.prepare()
        typed = options.retention.settings()
        with starting_prefect():
            from gatecast.flows.clean import clean as run
            from gatecast.flows.clean import megabytes, survey, table_of, total
            from gatecast.flows.deployments import read_settings
            from gatecast.flows.settings.workspace import Workspace

        file = options.file or (SETTINGS_FILE if SETTINGS_FILE.exists() else None)
        of_file = read_settings(file).retention.model_dump(exclude={"cron"})
        settings = typed.model_copy(update={**of_file, **options.retention.values})
        if options.dry_run:
            rows = survey(Workspace.from_environment(), settings)
        else:
            rows = run(settings.keep, settings.keep_days)["clean"]["rows"]
        if not rows:
            console().print("There is nothing to remove.")
            return
        print_table(table_of(rows), "Would be removed" if options.dry_run else "Removed", right=("count", "size"))
        count = sum(row["count"] for row in rows)
        say(f"\n{count:,} files, folders and runs; {megabytes(total(rows))} outside the database.")
        if options.dry_run:
            print_next("clean")
