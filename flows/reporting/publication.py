"""What people see of a retrain: artifacts on Prefect's dashboard, and a report that is one HTML file.

The artifacts keep their keys from run to run, so that the dashboard shows their history: ``NAME-scores``,
``NAME-champion``, ``NAME-pictures``, ``NAME-forecasts``, ``NAME-data`` and ``NAME-report``; with the progress of the
training, ``NAME-training``.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import pandas as pd

from gatecast.data.dates.steps import are_steps, day_in_words
from gatecast.data.errors import InputError
from gatecast.data.store import atomic_file, read_json, read_parquet
from gatecast.flows.engine.artifacts import (
    Markdown,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
    escaped,
)
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.engine.orchestration import artifact_key, task
from gatecast.flows.engine.results import Evaluated, Forecasts, Ingested, Promoted, Published, Versioned
from gatecast.flows.engine.server import REPORTS
from gatecast.flows.engine.terminal import counted, figure
from gatecast.flows.judging.evaluation import LABELS, MODEL
from gatecast.flows.judging.tables import interval_table, short_score_table
from gatecast.flows.judging.targets import DISPLAYS
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting.coming import COMING, plot_coming
from gatecast.flows.reporting.errors import TITLES
from gatecast.flows.reporting.pages import render_page
from gatecast.flows.reporting.pictures import embedded_picture, inline
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.workspace import Workspace

_LOGGER = logging.getLogger(__name__)
ROWS = 200
"""Rows of a table on the dashboard at most, since the dashboard loads all of them for its list of artifacts"""

Table = list[dict[str, str]]


@task("publish {settings.name}", cached=False)
def publish(
    workspace: Workspace,
    settings: RetrainSettings,
    bars: Ingested,
    evaluated: Evaluated,
    version: Versioned,
    promoted: Promoted,
    forecasts: Forecasts | None,
) -> Published:
    """Write the report and show its parts on the dashboard.

    Parameters
    ----------
    workspace : Workspace
    settings : RetrainSettings
        Of the run, resolved.
    bars, evaluated, version, promoted, forecasts
        What the other steps returned; no forecasts if there is no champion.
    """
    name = str(settings.name)
    registry = Registry(workspace, name)
    evaluation = read_json(Path(evaluated["evaluation"]))
    scores = short_score_table(evaluation)
    overdue = {record["unique_id"]: record["overdue"] for record in bars["series"]}
    data = data_table(read_ingested(Path(bars["directory"])), settings.data.is_numbered, overdue)
    versions = version_table(registry, version["version"], promoted["champion"])
    held = interval_table(evaluation)
    folder = Path(evaluated["evaluation"]).parent
    expected: Table = []
    pictures: dict[str, str] = {}
    if forecasts is not None:
        rows = read_parquet(Path(forecasts["path"]))[0]
        expected = forecast_table(rows, DISPLAYS[settings.target or "y"].label)
        coming = plot_coming(rows, read_ingested(Path(bars["directory"])), settings, folder / "coming.png")
        pictures[COMING] = inline(coming)
    errors = evaluated["errors"]
    pictures |= {
        "Forecast against actual over the test period": inline(Path(evaluated["picture"])),
        **{title: inline(Path(errors[kind])) for kind, title in TITLES.items() if kind in errors},
        "Loss by epoch": inline(Path(evaluated["losses"])),
    }
    if "attention" in evaluated:
        pictures["Share of each step in the attention of the test forecasts"] = inline(Path(evaluated["attention"]))
    report = folder / "report.html"
    with atomic_file(report) as temporary:
        temporary.write_text(
            render(
                name=name,
                model=LABELS[MODEL],
                made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
                about=about(settings, evaluation),
                verdict=evaluation["verdict"],
                notes=[evaluation["season"]["sentence"], *evaluation["notes"]],
                decision=promoted["summary"],
                is_alarming=promoted["alarming"],
                tables={
                    f"Scores on the test period, in {evaluation['unit']}": scores,
                    **({"Intervals on the test period": held} if held else {}),
                    **({"What comes next": expected[:ROWS]} if expected else {}),
                    "Champion and challenger": versions,
                    "Data": data[:ROWS],
                },
                pictures=pictures,
                settings=json.dumps(settings.to_dict(), indent=2),
                lineage=registry.lineage(version["version"]),
            ),
            encoding="utf-8",
        )

    def table(rows: Table, kind: str, description: str) -> None:
        create_table_artifact(table=rows[:ROWS], key=artifact_key(name, kind), description=description)

    verdict = escaped(evaluation["verdict"])
    table(scores, "scores", Markdown(f"**{verdict}**\n\n{escaped(about(settings, evaluation))}"))
    table(versions, "champion", Markdown(f"{escaped(promoted['summary'])}\n\n{verdict}"))
    if expected:
        table(expected, "forecasts", f"What {promoted['champion']}, the champion of {name}, expects next")
    table(data, "data", f"The data {name} was trained on and forecasts from: {bars['summary']}")
    markdown = "\n\n".join(f"![{title}]({source})" for title, source in pictures.items())
    create_markdown_artifact(
        Markdown(f"{verdict}\n\n{markdown}\n"),
        key=artifact_key(name, "pictures"),
        description=f"Test period and training of {name}",
    )
    create_link_artifact(
        report_link(report, workspace),
        link_text=f"Report on {name}",
        key=artifact_key(name, "report"),
        description="Scores, plots, forecasts, settings and lineage on one page",
    )
    return {"report": str(report), "summary": f"{len(data)} series, {counted(len(expected), 'forecast')}"}


def publish_scores(name: str, evaluation: Mapping[str, Any], picture: Path) -> None:
    """Show scores and a picture of them on Prefect's dashboard; must be called within a task run."""
    sentence = evaluation["verdict"]
    create_table_artifact(table=short_score_table(evaluation), key=artifact_key(name, "scores"), description=sentence)
    shown = embedded_picture(picture, "Forecast against actual")
    markdown = Markdown(f"{escaped(sentence)}\n\n{shown}\n")
    create_markdown_artifact(markdown, key=artifact_key(name, "pictures"), description=name)


def about(settings: RetrainSettings, evaluation: Mapping[str, Any]) -> str:
    """Say in one sentence what is forecast and how, and on which days the model was tested."""
    steps = settings.model.horizon
    ahead = f"{steps} steps ahead" if steps > 1 else "one step ahead"
    label = DISPLAYS[settings.target or "y"].label
    return (
        f"{settings.name} forecasts the {label} {ahead} from the last {settings.model.lookback} rows; tested on"
        f" {evaluation['first']} to {evaluation['last']}, which it was not trained on."
    )


def data_table(
    frame: pd.DataFrame, is_numbered: bool = False, overdue: Mapping[str, int | None] = MappingProxyType({})
) -> Table:
    """Return for each series how far its data reaches, the stalest first; numbered rows have no age.

    Where it is known how many rows of a series are `overdue`, by its own calendar, that is shown too.
    """
    today = pd.Timestamp(datetime.now(UTC).date())
    known = {name: rows for name, rows in overdue.items() if rows is not None}
    found = frame.groupby("unique_id")["ds"].agg(["size", "min", "max"]).sort_values(["max"], kind="stable")
    return [
        {
            "series": str(unique_id),
            "last row": day_in_words(row["max"], is_numbered),
            **({} if is_numbered else {"days ago": f"{(today - row['max'].tz_localize(None).normalize()).days:,}"}),
            **({} if not known else {"rows overdue": _number(known.get(str(unique_id)))}),
            "first row": day_in_words(row["min"], is_numbered),
            "rows": f"{row['size']:,}",
        }
        for unique_id, row in found.iterrows()
    ]


def _number(rows: int | None) -> str:
    return "–" if rows is None else f"{rows:,}"


def forecast_table(forecasts: pd.DataFrame, label: str) -> Table:
    """Return the forecasts as rows for people."""
    if are_steps(forecasts["ds"]):
        form = "d"
    else:
        form = "%Y-%m-%d" if (forecasts["ds"] == forecasts["ds"].dt.normalize()).all() else "%Y-%m-%d %H:%M"
    return [
        {"series": str(unique_id), "for": f"{ds:{form}}", f"expected {label}": f"{figure(value)} {unit}".strip()}
        for unique_id, ds, value, unit in forecasts[["unique_id", "ds", "value", "unit"]].itertuples(index=False)
    ]


def version_table(registry: Registry, challenger: str, champion: str | None) -> Table:
    """Return the version of this run and the champion, if any, each with the scores it got when it was trained.

    A champion whose scores are damaged is included without them, with a warning.
    """
    rows = []
    pinned = ", pinned" if registry.is_pinned() else ""
    for version in dict.fromkeys((challenger, champion or challenger)):
        try:
            scores = _scores_of(registry, version)
        except InputError as error:
            _LOGGER.warning("%s", error)
            scores = dict.fromkeys(("score", "against baseline", "tested on"), "–")
        named = (("this run", challenger), (f"champion{pinned}", champion))
        roles = [role for role, name in named if name == version]
        rows.append(
            {
                "version": version,
                "role": " and ".join(roles),
                **scores,
                "trained": str(registry.lineage(version).get("created_at", "–")),
            }
        )
    return rows


def _scores_of(registry: Registry, version: str) -> dict[str, str]:
    evaluation = registry.evaluation(version)
    figure = registry.figure(version)
    return {
        "score": str(figure),
        "against baseline": registry.gain(version),
        "tested on": f"{evaluation['first']} to {evaluation['last']}",
    }


def report_link(report: Path, workspace: Workspace) -> str:
    """Return where a browser finds a report: on the dashboard itself, or as a file if that asks for a password."""
    if os.environ.get("PREFECT_API_AUTH_STRING"):
        return report.as_uri()
    return f"{REPORTS}/{quote(report.relative_to(workspace.reports).as_posix())}"


def render(**parts: Any) -> str:
    """Return the report as one self-contained HTML page."""
    return render_page("report.html", **parts)
