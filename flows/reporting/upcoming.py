"""When each model is due next, by the schedules of the deployments that Prefect's server knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, TypedDict
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from gatecast.data.errors import InputError
from gatecast.flows.engine.deployable import imported
from gatecast.flows.registry.kinds import FORECASTER, KINDS

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse


class Due(TypedDict):
    """The next run of a model."""

    at: str
    """In ISO 8601"""
    deployment: str


def next_runs(tag: str, names: Collection[str], forecasters: Collection[str]) -> dict[str, Due]:
    """Return the next run of each model that has one.

    Parameters
    ----------
    tag : str
        Of the deployments.
    names : collection of str
        Of the models.
    forecasters : collection of str
        Those that are forecasters.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[tag]))
    with get_client(sync_client=True) as client:
        deployments = client.read_deployments(deployment_filter=tagged, limit=200)
    due: dict[str, Due] = {}
    for deployment in deployments:
        at = _next(deployment)
        if at is None:
            continue
        for name in models_of(deployment.entrypoint or "", deployment.parameters, names, forecasters):
            if name not in due or at < due[name]["at"]:
                due[name] = {"at": at, "deployment": deployment.name}
    return due


def _next(deployment: DeploymentResponse) -> str | None:
    """Return when a deployment is due next, in UTC; None if it is paused, or has no schedule of the form of cron."""
    from cronsim import CronSim
    from prefect.client.schemas.schedules import CronSchedule

    if deployment.paused:
        return None
    moments = [
        next(CronSim(each.schedule.cron, datetime.now(ZoneInfo(each.schedule.timezone or "UTC"))))
        for each in deployment.schedules
        if each.active and isinstance(each.schedule, CronSchedule)
    ]
    return min(moments).astimezone(UTC).isoformat(timespec="seconds") if moments else None


def models_of(
    entrypoint: str, parameters: Mapping[str, Any], names: Collection[str], forecasters: Collection[str]
) -> list[str]:
    """Return the models that a deployment is about.

    Parameters
    ----------
    entrypoint : str
        Of its flow, as ``gatecast.flows.retrain.retrain``.
    parameters : mapping
        Of the deployment.
    names, forecasters : collection of str
        As for `next_runs`.
    """
    settings = parameters.get("settings")
    settings = settings if isinstance(settings, Mapping) else {}
    shared = settings.get("retrain") if entrypoint.endswith(".fleet") else None
    if isinstance(shared, Mapping):
        begins = tuple(f"{name}-" for name in names_of(FORECASTER.settings_model, shared))
        return [name for name in names if name.startswith(begins)] if begins else []
    given = settings.get("name") or parameters.get("name")
    if given:
        return [name for name in names if name == given]
    for kind in KINDS.values():
        if kind.flow.entrypoint.replace(":", ".") == entrypoint:
            possible = names_of(kind.settings_model, settings)
            return [name for name in names if name in possible]
    return list(forecasters) if len(forecasters) == 1 and not entrypoint.endswith((".ingest_data", ".fleet")) else []


def names_of(place: str, settings: Mapping[str, Any]) -> set[str]:
    """Return what a model with these settings may be called."""
    try:
        read = imported(place).model_validate(settings)
    except (ValidationError, InputError):
        return set()
    if hasattr(read, "model_name"):
        return {read.model_name}
    found: Iterable[str | None] = [getattr(read, "name", None)]
    if hasattr(read, "resolved"):
        for kind in ("bars", "series"):
            with suppress(InputError):
                found = chain(found, [read.resolved(kind).name])
    return {name for name in found if name}
