"""Remove what a year of nights leaves behind and nobody needs: a flow that `gatecast serve` runs each night.

`flows.registry.retention` says which files, `flows.engine.records` which of Prefect's runs. It is a deployment of its
own and not a step of each retrain: one pass over all models, which no training waits for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypedDict

from gatecast.flows.deployments import offered
from gatecast.flows.engine.artifacts import create_table_artifact
from gatecast.flows.engine.database import compact, database
from gatecast.flows.engine.orchestration import Steps, flow, run_name, task
from gatecast.flows.engine.records import delete_runs, old_runs
from gatecast.flows.engine.results import Result, StepRecord
from gatecast.flows.registry.retention import Item, Rule, clean_up, superfluous
from gatecast.flows.settings.retention import RetentionSettings
from gatecast.flows.settings.workspace import Workspace

DEFAULTS = RetentionSettings()
RUNS = "runs of Prefect"


class Row(TypedDict):
    """What goes, or has gone, of one kind."""

    kind: str
    count: int
    bytes: int | None
    """None if it is part of a database"""
    oldest: str
    """Date"""


class Removed(Result):
    """What a cleaning has removed."""

    rows: list[Row]


class Cleaned(TypedDict):
    """What the flow returns."""

    steps: list[StepRecord]
    clean: Removed


@flow(name="clean", flow_run_name=run_name(lambda given: "clean"))
def clean(keep: int = DEFAULTS.keep, keep_days: float = DEFAULTS.keep_days) -> Cleaned:
    """Remove old versions, reports, data, trainings and runs; what a champion or a rollback needs stays.

    Parameters
    ----------
    keep : int
        How many versions and reports of each model, and runs of each deployment, stay.
    keep_days : float
        What is younger than so many days stays as well, however many there are.
    """
    settings = RetentionSettings(keep=keep, keep_days=keep_days)
    workspace = Workspace.from_environment()
    with Steps(workspace) as step:
        removed = step(remove_old, workspace, settings)
    return {"steps": step.records, "clean": removed}


@task("remove what is old", cached=False)
def remove_old(workspace: Workspace, settings: RetentionSettings) -> Removed:
    """Remove files, then runs; then make Prefect's database smaller."""
    items = list(clean_up(workspace, Rule.at_present(settings)))
    runs = old_runs(settings, offered(), workspace)
    rows = rows_of(items, [run.end_time for run in runs])
    delete_runs(runs)
    saved = compact(database(workspace))
    count = sum(row["count"] for row in rows)
    summary = f"{count:,} files, folders and runs removed; {megabytes(total(rows) + saved)} are free again"
    if rows:
        create_table_artifact(table_of(rows), key="clean", description=summary)
    return {"rows": rows, "summary": summary}


def survey(workspace: Workspace, settings: RetentionSettings) -> list[Row]:
    """Return what `clean` would remove."""
    runs = old_runs(settings, offered(), workspace)
    return rows_of(superfluous(workspace, Rule.at_present(settings)), [run.end_time for run in runs])


def rows_of(items: Iterable[Item], runs: Sequence[datetime | None]) -> list[Row]:
    """Return the kinds of what goes, each with its count, its size and its oldest."""
    by_kind: dict[str, list[Item]] = {}
    for item in items:
        by_kind.setdefault(item.kind, []).append(item)
    rows: list[Row] = [
        {
            "kind": kind,
            "count": len(found),
            "bytes": sum(item.size for item in found),
            "oldest": f"{datetime.fromtimestamp(min(item.moment for item in found), UTC):%Y-%m-%d}",
        }
        for kind, found in by_kind.items()
    ]
    if runs:
        oldest = min(ended or datetime.now(UTC) for ended in runs)
        rows.append({"kind": RUNS, "count": len(runs), "bytes": None, "oldest": f"{oldest:%Y-%m-%d}"})
    return rows


def table_of(rows: Iterable[Row]) -> list[dict[str, str]]:
    """Return the rows for people."""
    return [
        {
            "kind": row["kind"],
            "count": f"{row['count']:,}",
            "size": "in the database" if row["bytes"] is None else megabytes(row["bytes"]),
            "oldest": row["oldest"],
        }
        for row in rows
    ]


def megabytes(size: int) -> str:
    """Return a size for people."""
    return f"{size / 1e6:,.1f} MB"


def total(rows: Iterable[Row]) -> int:
    """Return how many bytes the files among the rows take."""
    return sum(row["bytes"] or 0 for row in rows)
