"""How each model of a workspace stands: what the overview says of it, from the files of the workspace alone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import quote

from gatecast.data.display import one_line
from gatecast.data.errors import InputError
from gatecast.data.store import read_json
from gatecast.flows.engine.terminal import figure
from gatecast.flows.registry import catalogue
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting.last_runs import last_runs, latest_data
from gatecast.flows.settings.workspace import Workspace

NIGHTS = 30
LETTERS = 400
"""Of a sentence, at most"""

Error = list[float | None]
"""Error of a model, and of what it is held against if that is known"""


class Standing(TypedDict):
    """How a model stands, in JSON values; a moment is in ISO 8601, and None what is not known."""

    name: str
    kind: str | None
    champion: str | None
    pinned: bool
    made: str | None
    """When the champion was trained"""
    last: str | None
    """Day of the last row when data was last read"""
    overdue: int | None
    """Rows that should have come since, as far as known then"""
    is_stale: bool
    forecast: str | None
    """When it last forecast"""
    forecast_from: str | None
    """The last row that this forecast knew"""
    verdict: str | None
    loses: bool
    gain: float | None
    """Share of the best baseline's error that the champion removes; negative where it is worse"""
    nights: list[Error]
    """Error of the model, and of what it is held against, the oldest first"""
    nights_are: str
    """What these are"""
    live: Live | None
    alarms: list[str]
    problem: str | None
    """Why the rest is not known"""
    report: str | None
    """Path of the latest report, from the folder of the workspace"""


class Live(TypedDict):
    """Error of the forecasts that have met their actual values, as people read it."""

    measure: str
    ours: str
    theirs: str
    """Of the best baseline"""
    label: str
    """What people call that"""


class Kept(TypedDict):
    """What is kept of a model, so that the next overview reads only what has changed."""

    stamp: list[int]
    errors: dict[str, Error]
    """Of each version and its baseline, on the test rows"""
    standing: Standing


def standings(workspace: Workspace, kept: Mapping[str, Kept]) -> dict[str, Kept]:
    """Return how each model stands; what is `kept` of one counts as long as none of its files has changed."""
    found = {}
    for name in catalogue.models(workspace):
        stamp = _stamp(workspace, name)
        former = kept.get(name)
        if former is not None and former["stamp"] == stamp:
            found[name] = former
            continue
        registry = Registry(workspace, name)
        errors = _errors(registry, former["errors"] if former else {})
        found[name] = Kept(stamp=stamp, errors=errors, standing=standing_of(registry, errors))
    return found


def _stamp(workspace: Workspace, name: str) -> list[int]:
    """Return what changes with the files of a model: they are replaced, which changes their folders."""
    reports = workspace.reports / name
    folders = (workspace.models / name, reports, reports / "runs", reports / "monitor", workspace.forecasts / name)
    return [path.stat().st_mtime_ns if path.exists() else 0 for path in folders]


def _errors(registry: Registry, known: Mapping[str, Error]) -> dict[str, Error]:
    """Return the test error of each of the latest versions that can be read, and its baseline's."""
    found = {}
    for version in registry.versions()[-NIGHTS:]:
        if version in known:
            found[version] = known[version]
            continue
        with suppress(InputError):
            scored = registry.figure(version)
            if math.isfinite(scored.value):
                found[version] = [scored.value, scored.baseline]
    return found


def standing_of(registry: Registry, errors: Mapping[str, Error]) -> Standing:
    """Return how a model stands.

    Parameters
    ----------
    registry : Registry
        Of the model.
    errors : mapping
        As `Kept.errors`.
    """
    workspace = registry.workspace
    name = registry.name
    monitored = _monitored(workspace, name)
    data = latest_data(workspace, name)
    ended = last_runs(workspace, name)
    nights: list[Error] = [[model, other] for _, model, other in monitored.get("nights") or ()][-NIGHTS:]
    are = "live error by night, as a multiple of the naive forecast's"
    if len(nights) < 2:
        nights = list(errors.values())
        are = "test error of the latest versions, and that of the best baseline"
    standing: Standing = {
        "name": name, "kind": None, "champion": None, "pinned": False, "made": None,
        "last": data.get("last"), "overdue": data.get("overdue"), "is_stale": bool(data.get("is_stale")),
        "forecast": ended["forecast"].isoformat() if "forecast" in ended else None,
        "forecast_from": _latest_forecast(workspace.forecasts / name),
        "verdict": None, "loses": False, "gain": None, "nights": nights, "nights_are": are,
        "live": _live(monitored), "alarms": [], "problem": None, "report": _report(workspace, name),
    }  # fmt: skip
    try:
        _add_champion(standing, registry, monitored)
    except InputError as error:
        standing["problem"] = _cut(str(error))
    is_answered = "retrain" in ended and "monitor" in ended and ended["retrain"] > ended["monitor"]
    standing["alarms"] = list(_alarms(standing, {} if is_answered else monitored))
    return standing


def _add_champion(standing: Standing, registry: Registry, monitored: Mapping[str, Any]) -> None:
    """Add what is known of the champion."""
    kind = registry.kind()
    standing["kind"] = kind.called if kind else None
    champion = registry.champion()
    if champion is None:
        return
    standing["champion"] = champion
    standing["pinned"] = registry.is_pinned()
    lineage = registry.lineage(champion)
    standing["made"] = lineage.get("created_at")
    standing["last"] = standing["last"] or lineage.get("last")
    standing["verdict"] = _cut(registry.scores(champion)[2])
    if monitored.get("version") == champion and isinstance(monitored.get("verdict"), str):
        standing["verdict"] = _cut(monitored["verdict"])
    against = registry.standing(champion)
    standing["loses"] = against is not None and against.loses
    scored = registry.figure(champion)
    if scored.baseline:
        standing["gain"] = scored.measure.gain(scored.value, scored.baseline)


def _alarms(standing: Standing, monitored: Mapping[str, Any]) -> Iterator[str]:
    """Yield what somebody has to look at."""
    if standing["problem"]:
        yield "damaged"
    elif standing["champion"] is None:
        yield "no champion"
    if standing["loses"]:
        yield "loses to a baseline"
    if standing["is_stale"]:
        yield "old data"
    for check in monitored.get("checks") or ():
        is_told = check["name"] == "age of data" and standing["is_stale"]
        if check["breached"] and not is_told:
            yield str(check["name"])


def _monitored(workspace: Workspace, name: str) -> dict[str, Any]:
    """Return what the last monitor has found; nothing if there was none, or if that is damaged."""
    with suppress(InputError, OSError):
        found = read_json(workspace.reports / name / "monitor" / "monitor.json")
        if isinstance(found, dict):
            return found
    return {}


def _live(monitored: Mapping[str, Any]) -> Live | None:
    judged = (monitored.get("evaluation") or {}).get("judged")
    if not judged:
        return None
    ours, theirs = figure(judged["score"]), figure(judged["best_score"])
    return {"measure": judged["measure"], "ours": ours, "theirs": theirs, "label": judged["best_label"]}


def _latest_forecast(folder: Path) -> str | None:
    """Return the last row that the newest forecast knew, from the name of its file."""
    names = sorted(path.stem for path in folder.glob("*.parquet")) if folder.is_dir() else []
    if not names:
        return None
    step = re.fullmatch(r"step-0*(\d+)", names[-1])
    return f"step {step[1]}" if step else names[-1][:10]


def _report(workspace: Workspace, name: str) -> str | None:
    found = list((workspace.reports / name).glob("*/report.html"))
    if not found:
        return None
    newest = max(found, key=lambda path: path.stat().st_mtime_ns)
    return quote(newest.relative_to(workspace.root).as_posix())


def _cut(sentence: str) -> str:
    sentence = one_line(sentence)
    return sentence if len(sentence) <= LETTERS else f"{sentence[: LETTERS - 1]}…"
