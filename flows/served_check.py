"""``gatecast serve --check``: what is wrong with a settings file, and with what its runs would read.

Every file of this machine is read as a run would read it, and a SQLite database is asked. What is elsewhere is not
asked, since a check must not wait for a network: of a URL, its form is checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from gatecast.data.display import one_line
from gatecast.data.errors import InputError, SourceError
from gatecast.data.secrets import masked
from gatecast.data.urls import is_url
from gatecast.data.variables import is_variable, resolved
from gatecast.flows.deployments import DeploymentSettings, ServeSettings, given_to, read_content
from gatecast.flows.engine.parameters import explain_problems
from gatecast.flows.engine.runners import require_runner
from gatecast.flows.judging.yardsticks import require_baselines
from gatecast.flows.registry import catalogue
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.reporting.upcoming import names_of
from gatecast.flows.settings.champion import ChampionSettings
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import FleetSettings, RetrainSettings
from gatecast.flows.settings.workspace import Workspace

WRITTEN = ("prometheus",)
"""Settings that name a folder to write to"""
USED_BY = ("forecast", "monitor")


def problems_in(path: Path, workspace: Workspace, *, elsewhere: bool = False) -> list[str]:
    """Return a sentence about each thing that is wrong, in the order of the file.

    Parameters
    ----------
    path : Path
        ``gatecast.toml``.
    workspace : Workspace
        Its models are known to forecasts and monitors.
    elsewhere : bool
        Whether the runs take place on other machines, whose files and variables this one does not have.
    """
    try:
        content = read_content(path)
    except InputError as error:
        return [str(error)]
    return [one_line(masked(problem)) for problem in _problems_in(path, content, workspace, elsewhere)]


def _problems_in(path: Path, content: dict[str, Any], workspace: Workspace, elsewhere: bool) -> list[str]:
    found: list[str] = []
    given = content.get("deployments", {})
    raw = given if isinstance(given, dict) else {}
    try:
        ServeSettings.model_validate({**content, "deployments": {name: {"flow": "ingest"} for name in raw} or given})
    except ValidationError as error:
        found += explain_problems(f"{path}:", error)
    except InputError as error:
        found.append(f"{path}: {error}")
    checked: dict[str, tuple[DeploymentSettings, dict[str, Any]]] = {}
    for name, value in raw.items():
        where = f"{path}: deployments.{name}"
        try:
            deployment = DeploymentSettings.model_validate(value)
            parameters = {}
            for each in given_to(deployment, where):
                try:
                    parameters[each.name] = TypeAdapter(each.hint).validate_python(each.value)
                except ValidationError as error:
                    found += explain_problems(each.where, error, each.hint)
            checked[name] = deployment, parameters
        except ValidationError as error:
            found += explain_problems(where, error)
        except InputError as error:
            found.append(str(error))
    made = {name for each in checked.values() for name in _made_by(*each)}
    for name, (deployment, parameters) in checked.items():
        where = f"{path}: deployments.{name}"
        kept = list(_problems_of(deployment, parameters, {*made, *catalogue.models(workspace)}, elsewhere))
        found += [f"{where}: {sentence}" for sentence in dict.fromkeys(kept)]
    return found


def _made_by(deployment: DeploymentSettings, parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the models that a deployment may train; those of a fleet end with a star."""
    settings = parameters.get("settings")
    if isinstance(settings, FleetSettings):
        yield from (f"{name}-*" for name in names_of(FORECASTER.settings_model, settings.retrain.to_dict()))
    elif deployment.flow == "retrain":
        given = settings if isinstance(settings, RetrainSettings) else RetrainSettings()
        yield from names_of(FORECASTER.settings_model, given.model_dump(mode="json", exclude_unset=True))


def _problems_of(
    deployment: DeploymentSettings, parameters: Mapping[str, Any], known: set[str], elsewhere: bool
) -> Iterator[str]:
    """Yield what is wrong with what a deployment reads and needs."""
    if deployment.flow in USED_BY:
        settings = parameters.get("settings")
        name = settings.name if isinstance(settings, ChampionSettings) else parameters.get("name")
        begins = tuple(each[:-1] for each in known if each.endswith("*"))
        if name is not None and name not in known and not (begins and name.startswith(begins)):
            yield f"there is no model {name!r}, and no deployment of this file trains it; correct the name."
    for name, value in parameters.items():
        yield from _walk(name, value, elsewhere)


def _walk(name: str, value: Any, elsewhere: bool) -> Iterator[str]:
    """Yield what is wrong with a setting and those within it."""
    if isinstance(value, DataSettings):
        yield from _wrong(lambda: check_data(value, elsewhere))
        return
    if isinstance(value, RetrainSettings):
        yield from _wrong(lambda: require_baselines(value))
    if isinstance(value, FleetSettings):
        yield from _wrong(lambda: require_runner(value.runner))
    if isinstance(value, BaseModel):
        for inner in type(value).model_fields:
            yield from _walk(inner, getattr(value, inner), elsewhere)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _walk(name, each, elsewhere)
    elif isinstance(value, Path) and name not in WRITTEN and not elsewhere:
        yield from _wrong(lambda: check_file(value))


def _wrong(check: Any) -> Iterator[str]:
    try:
        check()
    except (InputError, SourceError) as error:
        yield str(error)


def check_file(path: Path) -> None:
    """Raise InputError unless a file or a folder is there and can be read."""
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            with path.open("rb") as file:
                file.read(1)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the path.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check the path and its permissions.") from error


def check_data(settings: DataSettings, elsewhere: bool = False) -> None:
    """Raise InputError unless a run could read its data, as far as that is known without a network.

    Parameters
    ----------
    settings : DataSettings
    elsewhere : bool
        Whether the run takes place on another machine, whose files and variables this one does not have.
    """
    from gatecast.data.dates.calendar import require_calendar
    from gatecast.data.sources.selection import Selection, select
    from gatecast.data.sources.source import open_source

    if settings.calendar is not None:
        require_calendar(settings.calendar)
    if settings.source == "yahoo":
        return
    source = open_source(
        settings.source, settings.path, form=settings.csv_format, columns=settings.columns,
        url=settings.url, query=settings.query,
    )  # fmt: skip
    if elsewhere or _is_away(settings):
        return
    if settings.path is not None and not is_variable(str(settings.path)):
        check_file(Path(settings.path))
    checked = source.check()
    rows = checked.require(source.origin) if settings.bad_rows == "refuse" else checked.rows
    select(rows, Selection(settings.symbols, settings.start, settings.end, settings.interval), source.origin)


def _is_away(settings: DataSettings) -> bool:
    """Tell whether data is behind a URL, whose form is checked, and not on this machine."""
    if settings.source == "sql":
        return _is_remote_database(str(settings.url))
    if settings.path is None:
        return False
    location = resolved(str(settings.path))
    if not is_url(location):
        return False
    from fsspec import get_filesystem_class

    scheme, _, rest = location.partition("://")
    try:
        get_filesystem_class(scheme)
    except ValueError as error:
        raise InputError(f"{settings.path} has no scheme that is known; write it as https://HOST/FILE.") from error
    except ImportError as error:
        raise InputError(f"{settings.path} needs a package that is not installed: {error}.") from error
    if not rest.strip("/"):
        raise InputError(f"{settings.path} names no file; write it as {scheme}://HOST/FILE.")
    return scheme not in ("file", "local")


def _is_remote_database(url: str) -> bool:
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        parsed = make_url(resolved(url))
        if parsed.get_backend_name() == "sqlite":
            return False
        create_engine(parsed)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise InputError(f"{url} needs a driver that is not installed ({error}); install it.") from error
    except (ArgumentError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{url!r} is not a database URL; write it as sqlite:///FILE.") from None
    if not parsed.host:
        raise InputError(f"{url} names no host; write it as postgresql+psycopg://HOST/DATABASE.")
    return True
