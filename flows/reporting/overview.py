"""The page that an operator opens first: all models of a workspace, those that need a look at the top.

It is ``overview.html`` of the workspace, which `gatecast serve` shows at ``/overview``, and the artifact ``overview``
on Prefect's dashboard. Every run that changes something writes it again, and so do the commands that choose a champion.
What it was made from is kept in ``standings.json`` next to it, so that only models that have changed are read again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict, cast

from gatecast.data.errors import InputError
from gatecast.data.locks import lock_file
from gatecast.data.store import atomic_file, read_json, write_json
from gatecast.flows.engine.server import OVERVIEW, OVERVIEW_FILE, dashboard_url
from gatecast.flows.engine.terminal import counted, figure
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.reporting.pages import render_page
from gatecast.flows.reporting.standing import Error, Kept, Standing, standings
from gatecast.flows.reporting.upcoming import Due, next_runs
from gatecast.flows.settings.workspace import Workspace

TAG = "gatecast"
KEPT = "standings.json"
HASH = "hash"
"""Of what is kept: a file that lacks it, which other JSON files may, is made again"""
FORM = 1
"""Of what is kept; another Gatecast may keep something else"""
MOST = 1000
"""Models on the page"""
ROWS = 100
"""Models in the artifact, since the dashboard loads all of them for its list of artifacts"""
WIDTH = 120
HEIGHT = 30
LEAST_CHANGE = 0.2
"""Share of an error that fills the height of its picture: smaller changes look small"""
_LOGGER = logging.getLogger(__name__)


class Overview(TypedDict):
    """What the page is made from."""

    form: int
    models: dict[str, Kept]
    due: dict[str, Due]


def update_overview(workspace: Workspace) -> None:
    """Write the page again at the end of a run, show it on the dashboard and name its address in the log of the run.

    A run does not fail because of it; a warning says what was wrong.
    """
    import httpx
    from prefect.exceptions import PrefectException

    try:
        overview = write_overview(workspace, due=_due(workspace))
        publish(overview, overview_address(workspace))
    except (InputError, OSError, httpx.HTTPError, PrefectException) as error:
        _LOGGER.warning("The overview was not updated: %s", " ".join(str(error).split()) or type(error).__name__)


def write_overview(workspace: Workspace, due: Mapping[str, Due] | None = None) -> Overview:
    """Write the page, and what it was made from.

    Parameters
    ----------
    workspace : Workspace
    due : mapping, optional
        The next run of each model, see `flows.reporting.upcoming.next_runs`; as far as it was known before if left out.
    """
    path = workspace.root / OVERVIEW_FILE
    workspace.root.mkdir(parents=True, exist_ok=True)
    with lock_file(workspace.root / ".overview.lock"):
        kept = _kept(workspace)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        known = kept["due"] if due is None else dict(due)
        overview: Overview = {
            "form": FORM,
            "models": standings(workspace, kept["models"]),
            "due": {name: each for name, each in known.items() if each["at"] >= now},
        }
        write_json(workspace.root / KEPT, {HASH: _hash(overview), **overview})
        with atomic_file(path) as temporary:
            temporary.write_text(page(overview), encoding="utf-8")
    return overview


def _kept(workspace: Workspace) -> Overview:
    """Return what the last overview was made from; nothing if there is none, or if it is damaged or of another form."""
    nothing: Overview = {"form": FORM, "models": {}, "due": {}}
    try:
        found = read_json(workspace.root / KEPT)
    except (InputError, OSError):
        return nothing
    known = found.pop(HASH, None) if isinstance(found, dict) else None
    return cast(Overview, found) if known == _hash(found) and found["form"] == FORM else nothing


def _hash(overview: Any) -> str:
    return hashlib.sha256(json.dumps(overview, sort_keys=True).encode()).hexdigest()


def _due(workspace: Workspace) -> dict[str, Due] | None:
    """Return the next run of each model, None where nothing is served as far as this run knows."""
    from prefect.runtime import deployment

    if dashboard_url(workspace) is None and deployment.id is None:
        return None
    return due_of(workspace)


def due_of(workspace: Workspace) -> dict[str, Due]:
    """Return the next run of each model; the server has to be there."""
    models = standings(workspace, _kept(workspace)["models"])
    forecasters = [name for name, each in models.items() if each["standing"]["kind"] == FORECASTER.called]
    return next_runs(TAG, models.keys(), forecasters)


def overview_address(workspace: Workspace) -> str:
    """Return where a browser finds the page: on the dashboard or, if that asks for a password, as a file."""
    url = dashboard_url(workspace)
    if url is None or os.environ.get("PREFECT_API_AUTH_STRING"):
        return (workspace.root / OVERVIEW_FILE).as_uri()
    return f"{url.removesuffix('/api')}{OVERVIEW}"


def worst_first(models: Collection[Kept]) -> list[Standing]:
    """Return how the models stand: those with the most alarms first, then from the least gain to the greatest."""

    def key(standing: Standing) -> tuple[bool, int, bool, float, str]:
        gain = standing["gain"]
        return standing["problem"] is None, -len(standing["alarms"]), gain is None, gain or 0.0, standing["name"]

    return sorted((each["standing"] for each in models), key=key)


def page(overview: Overview) -> str:
    """Return the page."""
    ordered = worst_first(overview["models"].values())
    return render_page(
        "overview.html",
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        counts=_counts(ordered),
        rows=[_row(standing, overview["due"].get(standing["name"])) for standing in ordered[:MOST]],
        more=max(0, len(ordered) - MOST),
    )


def _counts(ordered: Sequence[Standing]) -> list[tuple[str, str, bool]]:
    """Return numbers of models, what they are, and whether that calls for somebody."""
    alarmed = sum(bool(standing["alarms"]) for standing in ordered)
    return [
        (f"{len(ordered):,}", "model" if len(ordered) == 1 else "models", False),
        (f"{alarmed:,}", "with an alarm", alarmed > 0),
        (f"{sum(standing['pinned'] for standing in ordered):,}", "pinned", False),
    ]


def _row(standing: Standing, due: Due | None) -> dict[str, Any]:
    """Return what the template shows of a model."""
    version = standing["champion"]
    gain = standing["gain"]
    return {
        **standing,
        "champion": version.split("-")[0] if version else None,
        "due": due,
        "gain": None if gain is None else f"{gain:+.1%}",
        "line": line_of(standing["nights"]),
    }


def line_of(nights: Sequence[Error]) -> dict[str, Any] | None:
    """Return the small picture of errors: the points of its lines, and the last error; None for fewer than two."""
    known = [(error, other) for error, other in nights if error is not None]
    if len(known) < 2:
        return None
    others = [other for _, other in known if other is not None]
    every = [error for error, _ in known] + others
    middle = (min(every) + max(every)) / 2
    half = max(max(every) - min(every), LEAST_CHANGE * middle) / 2 or 1.0
    step = (WIDTH - 6) / (len(known) - 1)

    def place(number: int, error: float) -> str:
        return f"{3 + number * step:.1f},{HEIGHT / 2 - (HEIGHT / 2 - 3) * (error - middle) / half:.1f}"

    points = [place(number, error) for number, (error, _) in enumerate(known)]
    reference = [place(number, other) for number, (_, other) in enumerate(known) if other is not None]
    x, y = points[-1].split(",")
    last, against = known[-1]
    return {
        "points": " ".join(points),
        "reference": " ".join(reference) if len(reference) == len(known) else "",
        "x": x,
        "y": y,
        "last": figure(last),
        "against": None if against is None else figure(against),
    }


def publish(overview: Overview, address: str) -> None:
    """Show the overview as an artifact, and name the address of the page in the log; does nothing outside of a run."""
    from prefect import get_run_logger
    from prefect.exceptions import MissingContextError

    from gatecast.flows.engine.artifacts import Markdown, create_common_table_artifact, escaped

    try:
        logger = get_run_logger()
    except MissingContextError:
        return
    ordered = worst_first(overview["models"].values())
    alarmed = sum(bool(standing["alarms"]) for standing in ordered)
    more = f", of which the first {ROWS} are below" if len(ordered) > ROWS else ""
    told = escaped(f"{counted(len(ordered), 'model')}{more}; {alarmed:,} with an alarm.")
    link = f"[The overview as a page]({OVERVIEW})" if address.endswith(OVERVIEW) else escaped(address)
    create_common_table_artifact(
        table_of(ordered[:ROWS], overview["due"]), key="overview", description=Markdown(f"{told} {link}")
    )
    logger.info("Overview of all models: %s", address)


def table_of(ordered: Sequence[Standing], due: Mapping[str, Due]) -> list[dict[str, str]]:
    """Return how the models stand as rows of the artifact."""
    return [
        {
            "model": standing["name"],
            "alarms": ", ".join(standing["alarms"]) or "none",
            "verdict": standing["problem"] or standing["verdict"] or "–",
            "error by night": _blocks(standing),
            "live error": "{measure} {ours} against {theirs} of {label}".format(**live) if live else "–",
            "champion": (standing["champion"] or "none").split("-")[0] + (", pinned" if standing["pinned"] else ""),
            "trained": _minute(standing["made"]),
            "data until": standing["last"] or "–",
            "rows overdue": "–" if standing["overdue"] is None else f"{standing['overdue']:,}",
            "last forecast": _minute(standing["forecast"]),
            "next run": _minute(due[standing["name"]]["at"]) if standing["name"] in due else "–",
        }
        for standing in ordered
        for live in [standing["live"]]
    ]


def _blocks(standing: Standing) -> str:
    import numpy as np

    from gatecast.data.quality.overview import sparkline  # pandas, which commands do without

    return sparkline(np.array([error for error, _ in standing["nights"]], dtype=np.float64)) or "–"


def _minute(moment: str | None) -> str:
    return moment[:16].replace("T", " ") if moment else "–"
