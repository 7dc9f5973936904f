"""What ``gatecast serve`` offers: the flows, each on demand, and the schedules of ``gatecast.toml``.

These are the trainings of the kinds of models (`flows.registry.kinds.PLACES`) and `OTHERS`. Prefect makes the form of
the dashboard from a flow's ``settings``, and ``gatecast.toml`` and ``gatecast run --set`` are checked against it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_type_hints
from zoneinfo import available_timezones

from pydantic import Field, HttpUrl, TypeAdapter, ValidationError, field_validator, model_validator

from gatecast.data.errors import InputError
from gatecast.data.settings import NAME_PATTERN, Settings
from gatecast.data.variables import resolved
from gatecast.flows.engine.deployable import CONTINUED, Deployable
from gatecast.flows.engine.parameters import explain_problem, validated
from gatecast.flows.engine.runs import TIME_LIMIT
from gatecast.flows.engine.server import ENVIRONMENT
from gatecast.flows.registry.kinds import KINDS
from gatecast.flows.settings.retention import RetentionSettings

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.deployments.runner import RunnerDeployment

TAG = "gatecast"
CLEAN = "clean"
OTHERS = (
    Deployable(
        "forecast", "gatecast.flows.forecast:forecast_latest", "Reads the latest data and forecasts with the champion."
    ),
    Deployable(
        "monitor",
        "gatecast.flows.monitor:monitor",
        "Scores the forecasts on file, looks for drift, and raises an alarm that starts a retrain.",
    ),
    Deployable(
        "backtest",
        "gatecast.flows.backtest:backtest",
        "Forecasts from many past origins and ranks models and baselines.",
    ),
    Deployable(
        "fleet", "gatecast.flows.fleet:fleet", "Trains a model for each series or group, side by side.", CONTINUED
    ),
    Deployable(
        "ingest", "gatecast.flows.ingest:ingest_data", "Fetches the latest data and says what is wrong with it."
    ),
    Deployable(CLEAN, "gatecast.flows.clean:clean", "Removes old versions, reports, data and runs that nobody needs."),
)
"""The flows that are not the training of a kind of model"""


def offered() -> dict[str, Deployable]:
    """Return every flow that can be deployed, by its name."""
    return {each.name: each for each in (*(kind.flow for kind in KINDS.values()), *OTHERS)}


class DeploymentSettings(Settings):
    """One deployment: a flow, when it runs and with which parameters."""

    flow: str = Field(description="What runs: one of " + ", ".join(offered()))
    cron: str | None = Field(None, description="When it runs, as minute hour day month weekday; on demand if left out")
    timezone: str | None = Field(None, description="Time zone of cron; that of the file if left out")
    when_busy: Literal["cancel", "wait"] | None = Field(
        None, description="What a run does while another of the same deployment or model is under way"
    )
    description: str | None = Field(None, description="For people who look at the dashboard")
    tags: tuple[str, ...] = Field((), description="Tags on the dashboard, besides gatecast and the flow's name")
    settings: dict[str, Any] = Field({}, description="Settings of the flow, as its form on the dashboard shows them")

    @field_validator("flow")
    @classmethod
    def _known(cls, flow: str) -> str:
        if flow not in offered():
            raise ValueError(f"{flow!r} is no flow; choose from {', '.join(offered())}")
        return flow

    @field_validator("cron")
    @classmethod
    def _parses(cls, cron: str | None) -> str | None:
        return None if cron is None else _parsed(cron)

    @field_validator("timezone")
    @classmethod
    def _on_the_map(cls, timezone: str | None) -> str | None:
        return timezone and _timezone(timezone)


def _parsed(cron: str) -> str:
    from cronsim import CronSim, CronSimError  # the parser that Prefect uses
    from pendulum import now

    try:
        CronSim(cron, now())
    except CronSimError as error:
        raise ValueError(f"{cron!r} is no cron schedule ({error}); 30 18 * * mon-fri is one") from error
    return cron


class NightlyRetention(RetentionSettings):
    """The table ``retention`` of ``gatecast.toml``."""

    cron: str = Field(
        "0 4 * * *",
        description="When the rest is removed, as minute hour day month weekday in the time zone of the file; empty is"
        " never",
    )

    @field_validator("cron")
    @classmethod
    def _parses(cls, cron: str) -> str:
        return cron and _parsed(cron)


def _timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is no time zone; America/New_York is one")
    return name


class ServeSettings(Settings):
    """The file ``gatecast.toml``."""

    timezone: str = Field("UTC", description="Time zone of the schedules, such as that of the exchange")
    when_busy: Literal["cancel", "wait"] = Field(
        "cancel", description="What a run does while another of the same deployment or model is under way"
    )
    time_limit_minutes: float = Field(240, gt=0, description="A run that takes longer fails")
    # A run sends a heartbeat to the server every 30 seconds, the shortest interval that Prefect allows.
    lost_after_seconds: float = Field(
        100, ge=45, le=240, description="A run that tells nothing of itself for so long is given up as crashed"
    )
    runs_at_once: int = Field(4, gt=0, description="Runs at the same time, of all deployments together")
    webhook: HttpUrl | None = Field(
        None,
        description="Where failures, crashes, cancellations and alarms are posted as JSON; $NAME of an environment"
        " variable, or ${NAME} within the URL, for secrets",
    )
    retention: NightlyRetention = Field(
        default_factory=NightlyRetention, description="What is kept, and when the rest is removed"
    )
    deployments: dict[str, DeploymentSettings] = Field({}, description="By name; each flow is there on demand anyway")

    @field_validator("timezone")
    @classmethod
    def _on_the_map(cls, timezone: str) -> str:
        return _timezone(timezone)

    @field_validator("webhook", mode="before")
    @classmethod
    def _from_the_environment(cls, webhook: Any) -> Any:
        return resolved(webhook) if isinstance(webhook, str) else webhook

    @model_validator(mode="after")
    def _names(self) -> ServeSettings:
        import re

        for name in self.deployments:
            if not re.match(NAME_PATTERN, name):
                raise ValueError(f"{name!r} is no name for a deployment; use letters, digits, dots, dashes")
        return self

    @property
    def waiting(self) -> set[str]:
        """The deployments whose runs wait while another is under way, and so catch up with one that was missed."""
        return {
            name for name, deployment in self.deployments.items() if (deployment.when_busy or self.when_busy) == "wait"
        }

    def all_deployments(self) -> dict[str, DeploymentSettings]:
        """Return one on-demand deployment of each flow, with that of retention nightly, then those of the file."""
        on_demand = {name: DeploymentSettings(flow=name) for name in offered()}
        kept = self.retention.model_dump(exclude={"cron"})
        nightly = DeploymentSettings(flow=CLEAN, cron=self.retention.cron or None, settings=kept)
        return {**on_demand, CLEAN: nightly, **self.deployments}


def read_settings(path: Path | None) -> ServeSettings:
    """Read ``gatecast.toml``; without a file, every flow is available on demand.

    Raises
    ------
    InputError
        The file is missing, is not TOML, or says something that is not allowed; the message names it.
    """
    if path is None:
        return ServeSettings()
    content = read_content(path)
    try:
        settings = ServeSettings.model_validate(content)
    except ValidationError as error:
        raise InputError(explain_problem(f"{path}:", error)) from error
    for name, deployment in settings.deployments.items():
        parameters(deployment, f"{path}: deployments.{name}")
    return settings


def read_content(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds.

    Raises
    ------
    InputError
        It is missing, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name the file with --file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}.") from error


def parameters(deployment: DeploymentSettings, where: str, when_busy: str | None = None) -> dict[str, Any]:
    """Return the parameters of a deployment's flow as JSON values, checked.

    A name under ``settings`` is a parameter of the flow or, failing that, one of its ``settings``.

    Parameters
    ----------
    deployment : DeploymentSettings
        Flow and settings.
    where : str
        What an error names.
    when_busy : str, optional
        For a flow that has this parameter.

    Raises
    ------
    InputError
        The flow takes no such setting, or not that value.
    """
    checked = {}
    for each in given_to(deployment, where, when_busy):
        parsed = validated(each.value, each.hint, each.where)
        checked[each.name] = TypeAdapter(each.hint).dump_python(parsed, mode="json", exclude_unset=True)
    return checked


class Given(NamedTuple):
    """A parameter of a flow, as a deployment gives it."""

    name: str
    value: Any
    hint: Any
    """Its type"""
    where: str
    """What an error names"""


def given_to(deployment: DeploymentSettings, where: str, when_busy: str | None = None) -> list[Given]:
    """Return the parameters of a deployment's flow, unchecked; see `parameters`.

    Raises
    ------
    InputError
        The flow takes no such parameter.
    """
    target = offered()[deployment.flow]
    hints = get_type_hints(target.flow().fn, include_extras=True)
    hints.pop("return", None)
    given = {**target.defaults, **({"when_busy": when_busy} if when_busy and "when_busy" in hints else {})}
    nested: dict[str, Any] = {}
    for name, value in deployment.settings.items():
        (given if name in hints and name != "settings" else nested)[name] = value
    if nested and "settings" not in hints:
        raise InputError(f"{where}.settings: {deployment.flow} takes {', '.join(hints)}, not {', '.join(nested)}.")
    if nested:
        given["settings"] = nested
    places = {name: f"{where}.settings" if name == "settings" else f"{where}.settings.{name}" for name in given}
    return [Given(name, value, hints[name], places[name]) for name, value in given.items()]


def build(settings: ServeSettings, work_pool: str | None = None) -> Iterator[RunnerDeployment]:
    """Make the deployments that Prefect serves itself or, with a work pool, hands to workers."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.deployments.runner import EntrypointType, RunnerDeployment
    from prefect.schedules import Cron

    for name, deployment in settings.all_deployments().items():
        target = offered()[deployment.flow]
        when_busy = deployment.when_busy or settings.when_busy
        strategy = ConcurrencyLimitStrategy("CANCEL_NEW" if when_busy == "cancel" else "ENQUEUE")
        # On-demand runs train different models: the flow itself ensures that no two runs train the same one.
        exclusive = name in settings.deployments
        made = RunnerDeployment.from_flow(
            target.flow(),
            name,
            schedule=Cron(deployment.cron, timezone=deployment.timezone or settings.timezone)
            if deployment.cron
            else None,
            paused=False,
            concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=strategy) if exclusive else None,
            parameters=parameters(deployment, f"deployments.{name}", when_busy),
            description=deployment.description or target.about,
            tags=list(dict.fromkeys((TAG, deployment.flow, *deployment.tags))),
            entrypoint_type=EntrypointType.MODULE_PATH,
            work_pool_name=work_pool,
            job_variables={"env": run_environment()} if work_pool else None,
        )
        _describe(made, target.flow())
        yield made


def _describe(deployment: RunnerDeployment, flow: Flow[..., Any]) -> None:
    """Add what the flow's docstring says about its parameters to a deployment's form; Prefect reads no numpydoc."""
    from docstring_parser import parse

    about = {parameter.arg_name: parameter.description for parameter in parse(flow.fn.__doc__ or "").params}
    for name, described in deployment._parameter_openapi_schema.properties.items():
        described.setdefault("description", " ".join((about.get(name) or "").split()))


def run_environment() -> dict[str, str]:
    """Return the environment variables that a worker, on any machine, gives to a run.

    The webhook is not among them: it is a secret, and anyone who can read the server's API could read it.
    """
    given = {TIME_LIMIT: os.environ[TIME_LIMIT]} if TIME_LIMIT in os.environ else {}
    return {**{name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()}, **given}


def register_in_pool(deployments: Sequence[RunnerDeployment], work_pool: str) -> None:
    """Register deployments for the workers of a pool, which is created if it does not exist."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    from gatecast.flows.engine.alarm import answer

    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=work_pool, type="process"))
    for deployment in deployments:
        answer(deployment, deployment.apply())
