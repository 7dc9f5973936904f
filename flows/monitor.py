"""Watch a model at work: score its forecasts when the actuals arrive, and look for drift.

A breach emits the Prefect event `BREACH`, on which an automation starts a retrain (`flows.engine.alarm`), or `BAD_DATA`
if something is wrong with the data, which a retrain would only learn. A champion
that has become worse than the best baseline is replaced by the one before it if that one would have done better.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from gatecast.data.errors import InputError
from gatecast.data.store import read_json, read_parquet, write_json, write_parquet
from gatecast.flows.engine.artifacts import create_table_artifact
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.engine.orchestration import Output, Steps, artifact_key, emit_event, flow, run_name, task
from gatecast.flows.engine.runs import failed_runs
from gatecast.flows.engine.terminal import figure
from gatecast.flows.forecast import choose_model
from gatecast.flows.ingest import ingest
from gatecast.flows.judging import evaluation, promotion
from gatecast.flows.judging.checks import Check, check_forecasts, check_skill, read_reference
from gatecast.flows.judging.data_checks import check_data
from gatecast.flows.judging.evaluation import MODEL, NAIVE
from gatecast.flows.judging.live import hindcast, read_forecasts, rows_between_origins, score_forecasts
from gatecast.flows.judging.yardsticks import Yardstick
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting.alarms import tell_breaches
from gatecast.flows.reporting.last_runs import data_of, record_run
from gatecast.flows.reporting.overview import update_overview
from gatecast.flows.reporting.prometheus import require_folder, write_failed_runs, write_metrics
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.flows.settings.runs import BAD_DATA, BREACH, RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.metrics import regression

DEFAULTS = MonitorSettings()


@flow(
    name="monitor",
    flow_run_name=run_name(lambda given: MonitorSettings.model_validate(given["settings"]).name or "monitor"),
)
def monitor(settings: MonitorSettings = DEFAULTS) -> dict[str, Any]:
    """Score the stored forecasts, check the champion and its data, and raise an alarm if a limit is exceeded.

    Parameters
    ----------
    settings : MonitorSettings
        Which model, and what counts as a breach.

    Returns
    -------
    dict
        ``name`` and ``version`` of the champion, what each step returned, and the ``steps``.
    """
    workspace = Workspace.from_environment()
    registry = Registry(workspace, choose_model(workspace, settings.name))
    version = str(registry.champion())
    own = registry.settings(version, FORECASTER)
    data = own.data if settings.path is None else own.data.from_file(settings.path)
    if settings.max_overdue is not None:
        data = data.model_copy(update={"max_overdue": settings.max_overdue})
    directory = workspace.reports / registry.name / "monitor"
    if settings.prometheus is not None:
        require_folder(settings.prometheus)
    results: dict[str, Any] = {"roll_back": None, "raise_alarm": None}
    with Steps(workspace) as step:
        bars = step(ingest, data, workspace)
        scored = step(score_live, workspace, registry.name, bars["directory"], str(directory))
        live = scored["live"]
        checked = step(
            check, workspace, registry.name, version, bars["directory"], bars["age"], live, settings, str(directory)
        )
        if settings.rollback and checked["worse_than_naive"]:
            why = checked["worse_than_naive"]
            results["roll_back"] = step(
                roll_back, workspace, registry.name, version, bars["directory"], live, why, settings
            )
        if checked["breaches"]:
            tell_breaches(registry.name, version, checked["breaches"])
            wanted = own.model_copy(update={"data": data})
            results["raise_alarm"] = step(raise_alarm, registry.name, checked["breaches"], wanted)
        record_run(workspace, registry.name, "monitor", data=data_of(bars))
        update_overview(workspace)
        if settings.prometheus is not None:
            results["export"] = step(export, workspace, registry.name, checked["report"], str(settings.prometheus))
    return {
        "name": registry.name, "version": version, "steps": step.records,
        "ingest": bars, "score_live": scored, "check": checked, **results,
    }  # fmt: skip


@task("score forecasts of {name}", cached=False)
def score_live(workspace: Workspace, name: str, bars: str, directory: str) -> Output:
    """Compare the stored forecasts with the actual values; see `flows.judging.live`."""
    registry = Registry(workspace, name)
    champion = str(registry.champion())
    settings = registry.settings(champion, FORECASTER)
    forecasts = read_forecasts(workspace.forecasts / name, settings.target or "y")
    frame = read_ingested(Path(bars))
    yardstick = _yardstick(registry.model(champion, FORECASTER), frame, settings)
    live = score_forecasts(forecasts, frame, settings, yardstick)
    path = write_parquet(live, Path(directory) / "live.parquet")
    return {"live": str(path), "summary": f"{len(live):,} of {len(forecasts):,} forecasts on file have their actuals"}


@task("check {name}", cached=False)
def check(
    workspace: Workspace,
    name: str,
    version: str,
    bars: str,
    age: dict[str, Any],
    live: str,
    settings: MonitorSettings,
    directory: str,
) -> Output:
    """Judge the latest forecasts and the data; see `flows.judging.checks`.

    Returns
    -------
    dict
        ``report``, a JSON file with every check; ``breaches``, those that exceeded their limit; ``worse_than_naive``, a
        sentence if the champion's own forecasts are worse than the best baseline's, else None; ``verdict``, what the
        live forecasts are worth or, before there are any, those of the test rows.
    """
    registry = Registry(workspace, name)
    frame = read_ingested(Path(bars))
    rows = latest(read_parquet(Path(live))[0], settings.window)
    reference = read_reference(registry, version)
    yardstick = _yardstick(reference.model, frame, reference.settings)
    checks = [
        *check_data(reference, frame, age, settings),
        *check_forecasts(reference, rows, yardstick, settings),
    ]
    own = check_skill("the champion's own skill", rows[rows["version"] == version], yardstick, settings)
    breaches = [asdict(each) for each in checks if each.breached]
    evaluated = None
    verdict = registry.evaluation(version)["verdict"]
    if len(rows):
        step_size = rows_between_origins(rows, yardstick.series)
        evaluated = evaluation.evaluate(rows, yardstick, reference.settings, step_size=step_size)
        verdict = evaluated["verdict"]
    report = write_json(
        Path(directory) / "monitor.json",
        {
            "model": name,
            "version": version,
            "last": f"{frame['ds'].max():%Y-%m-%d}",
            "rows": len(rows),
            "verdict": verdict,
            "evaluation": evaluated,
            "errors": errors_by_series(rows),
            "nights": errors_by_night(rows),
            "checks": [asdict(each) for each in (*checks, own)],
        },
    )
    sentence = "; ".join(f"{each['name']}: {each['note']}" for each in breaches) or "within all limits"
    create_table_artifact(
        table=check_table([*checks, own]),
        key=artifact_key(name, "monitor"),
        description=f"{name}: {sentence}. {verdict}",
    )
    judged = sum(each.value is not None for each in checks)
    count = f"{len(breaches)} breach{'es' if len(breaches) != 1 else ''}"
    summary = f"{count} in {judged} checks" + (f": {', '.join(b['name'] for b in breaches)}" if breaches else "")
    return {
        "report": str(report),
        "breaches": breaches,
        "worse_than_naive": own.note if own.breached else None,
        "verdict": verdict,
        "summary": summary,
    }


def _yardstick(model: Forecaster, frame: pd.DataFrame, settings: RetrainSettings) -> Yardstick:
    """Return the baselines, fitted on the rows that a champion was trained on."""
    return Yardstick.of(frame, settings, model.ends("train_end", frame["unique_id"].unique()))


@task("roll back {name}?", cached=False)
def roll_back(
    workspace: Workspace, name: str, version: str, bars: str, live: str, why: str, settings: MonitorSettings
) -> Output:
    """Make the former champion the champion again if it would have forecast the champion's live rows better."""
    registry = Registry(workspace, name)
    if registry.is_pinned():
        return {"champion": version, "summary": f"{version} stays, since it is pinned: {why}"}
    rows = latest(read_parquet(Path(live))[0], settings.window)
    rows = rows[rows["version"] == version].reset_index(drop=True)
    former = next(iter(registry.former_champions()), None)
    if former is None:
        return {"champion": version, "summary": f"{version} stays, since there is no former champion: {why}"}
    try:
        theirs = hindcast(registry, former, read_ingested(Path(bars)), rows)
    except InputError as error:
        return {"champion": version, "summary": f"{version} stays, since {former} cannot be compared: {error}"}
    both = theirs.notna()
    if not both.any():
        return {"champion": version, "summary": f"{version} stays, since {former} cannot forecast the same rows"}
    y = rows.loc[both, "y"].to_numpy()
    present, past = (regression(y, forecast[both].to_numpy())["rmse"] for forecast in (rows[MODEL], theirs))
    if past >= present:
        summary = f"{version} stays, since {former} would have done no better: RMSE {past:.4g} against {present:.4g}"
        return {"champion": version, "summary": summary}
    reason = f"its live forecasts are worse than a baseline ({why}); {former} would have had an RMSE of {past:.4g}"
    decision = promotion.roll_back(registry, reason, expected=version)
    return {"champion": registry.champion(), "summary": decision.reason}


@task("raise alarm for {name}", cached=False)
def raise_alarm(name: str, breaches: list[dict[str, Any]], settings: RetrainSettings) -> Output:
    """Emit the event on which an automation retrains the model with these settings.

    If something is wrong with the data, a retrain would learn just that, and another event says so.
    """
    bad = [breach["name"] for breach in breaches if not breach["retrain"]]
    event = BAD_DATA if bad else BREACH
    emit_event(
        event,
        resource={"prefect.resource.id": f"gatecast.model.{name}", "prefect.resource.name": name},
        payload={"model": name, "breaches": breaches, "parameters": {"settings": settings.to_dict()}},
    )
    summary = f"event {event} for {', '.join(breach['name'] for breach in breaches)}"
    if bad:
        summary += f"; no retrain, since that would not mend {' and '.join(bad)}"
    return {"event": event, "summary": summary}


@task("export figures of {name}", cached=False)
def export(workspace: Workspace, name: str, report: str, directory: str) -> Output:
    """Write forecasts and errors for Prometheus."""
    path = write_metrics(name, read_json(Path(report)), workspace, Path(directory))
    write_failed_runs(failed_runs(), Path(directory))
    return {"path": str(path), "summary": str(path)}


def latest(live: pd.DataFrame, window: int) -> pd.DataFrame:
    """Return the scored forecasts of the last origins."""
    origins = sorted(live["cutoff"].unique())[-window:]
    return live[live["cutoff"].isin(origins)].reset_index(drop=True)


def errors_by_series(live: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows and RMSE of model and naive forecast for each series."""
    return [
        {
            "unique_id": str(unique_id),
            "rows": len(rows),
            "rmse": regression(rows["y"].to_numpy(), rows[MODEL].to_numpy())["rmse"],
            "naive_rmse": regression(rows["y"].to_numpy(), rows["naive"].to_numpy())["rmse"],
        }
        for unique_id, rows in live.groupby("unique_id")
    ]


def errors_by_night(live: pd.DataFrame) -> list[tuple[str, float, float]]:
    """Return for each origin its day and the errors of model and naive forecast, the oldest first.

    They are mean absolute errors, each series in units of its naive forecast's on all of these rows.
    """
    error, naive = ((live[name] - live["y"]).abs() for name in (MODEL, NAIVE))
    unit = naive.groupby(live["unique_id"]).transform("mean")
    known = unit > 0
    scaled = pd.DataFrame({"model": error / unit, "naive": naive / unit}).astype(float)[known]
    means = scaled.groupby(live.loc[known, "cutoff"]).mean().dropna()
    return [(f"{cutoff:%Y-%m-%d %H:%M}", model, naive) for cutoff, model, naive in means.itertuples()]


def check_table(checks: list[Check]) -> list[dict[str, str]]:
    """Return the checks as rows for people."""
    return [
        {
            "check": each.name,
            "value": figure(each.value),
            "limit": figure(each.limit),
            "": "BREACH" if each.breached else "–" if each.value is None else "ok",
            "what it is": each.note,
        }
        for each in checks
    ]
