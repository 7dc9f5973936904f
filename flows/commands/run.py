"""``gatecast run``: start one of the dashboard's deployments now."""

from __future__ import annotations

import inspect
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from gatecast.flows.commands.options import CommonOptions, takes
from gatecast.flows.commands.setting import split_list
from gatecast.flows.engine.run_log import sentence_of
from gatecast.flows.engine.terminal import RUN_FAILED, console, explained, print_error, print_next, say

if TYPE_CHECKING:
    import httpx

POLL_SECONDS = 0.5
REQUEST_SECONDS = 60
ATTEMPTS = 6
BUSY = (429, 503)


@dataclass(frozen=True, kw_only=True)
class RunOptions(CommonOptions):
    """The options of ``gatecast run``."""

    name: Annotated[str, typer.Argument(help="A deployment: retrain, forecast, or one of gatecast.toml.")]
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of this run, as model.max_epochs=5; repeatable."),
    ] = None
    wait: Annotated[bool, typer.Option("--wait", help="Follow the run to its end; exit status 1 if it fails.")] = False


@takes(RunOptions)
def run(options: RunOptions) -> None:
    """Start a deployment now, on the dashboard that serves it.

    Settings are checked against the dashboard's form; lists are written as A,B.
    """
    with explained(options.debug):
        options.prepare()
        with client() as api:
            deployment = find(api, options.name)
            parameters = with_settings(deployment, options.set or [])
            # With the key, a repeated request does not start a second run.
            asked = {"parameters": parameters, "idempotency_key": uuid4().hex}
            started = _ask(api, "POST", f"deployments/{deployment['id']}/create_flow_run", asked)
            address = str(api.base_url).removesuffix("/").removesuffix("/api")
            say(f"Started {deployment['name']} as {started['name']}")
            say(f"  {address}/runs/flow-run/{started['id']}")
            if deployment["status"] != "READY":
                console().print(
                    "Nothing has asked for its runs lately; it starts as soon as 'gatecast serve' or a worker does."
                )
            if options.wait:
                follow(api, started["id"])
            else:
                print_next(f"run {options.name} --wait")


@contextmanager
def client() -> Iterator[httpx.Client]:
    """Yield a client of the server: the one that ``PREFECT_API_URL`` names, or the dashboard of the workspace.

    Importing Prefect's own client would take longer than this whole command.
    """
    import httpx

    from gatecast.data.errors import InputError
    from gatecast.flows.engine.server import dashboard_url
    from gatecast.flows.settings.workspace import Workspace

    workspace = Workspace.from_environment()
    url = os.environ.get("PREFECT_API_URL") or dashboard_url(workspace)
    if url is None:
        raise InputError(f"No dashboard runs on {workspace.root}; start one with 'gatecast serve'.")
    user, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    auth = httpx.BasicAuth(user, password) if user else None
    with httpx.Client(base_url=f"{url.rstrip('/')}/", auth=auth, timeout=REQUEST_SECONDS) as api:
        try:
            yield api
        except httpx.TransportError as error:
            raise InputError(f"The server at {url} does not answer ({error}); is it running?") from error


def _ask(api: httpx.Client, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Return the server's answer; like Prefect's own client, ask again while the server is too busy."""
    from gatecast.data.errors import InputError

    for attempt in range(1, ATTEMPTS + 1):
        response = api.request(method, path, json=body)
        if response.status_code not in BUSY or attempt == ATTEMPTS:
            break
        time.sleep(attempt)
    if response.is_success:
        return response.json()
    if response.status_code == 401:
        raise InputError("The server asks for a password; set PREFECT_API_AUTH_STRING to user:password.")
    detail = response.text if response.is_server_error else response.json().get("detail", response.text)
    raise InputError(f"The server refused the run: {detail if isinstance(detail, str) else json.dumps(detail)}")


def find(api: httpx.Client, name: str) -> dict[str, Any]:
    """Return the deployment with a name, which may be written FLOW/NAME.

    Raises
    ------
    InputError
        No deployment has this name.
    """
    from gatecast.data.errors import InputError

    found = _ask(api, "POST", "deployments/filter", {"sort": "NAME_ASC"})
    named = [deployment for deployment in found if deployment["name"] == name.rpartition("/")[2]]
    if not named:
        known = ", ".join(deployment["name"] for deployment in found) or "nothing"
        raise InputError(f"There is no deployment {name!r}; the server offers {known}.")
    return named[0]


def with_settings(deployment: Mapping[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Return a deployment's parameters with settings changed, as ``model.max_epochs=5`` says.

    A key starts with a parameter of the flow or, if the flow has no such parameter, with a setting in ``settings``.

    Raises
    ------
    InputError
        A text is not an assignment, or there is no such setting.
    """
    from gatecast.data.errors import InputError
    from gatecast.data.secrets import REFUSAL

    schema = deployment["parameter_openapi_schema"]
    parameters = deepcopy(deployment["parameters"])
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"--set {assignment} is no assignment; write KEY=VALUE.")
        names = key.strip().split(".")
        properties = schema.get("properties", {})
        if names[0] not in properties and "settings" in properties:
            names = ["settings", *names]
        described: Mapping[str, Any] = schema
        for depth, name in enumerate(names):
            inner = _properties(described, schema)
            if name not in inner:
                where = ".".join(names[:depth]) or deployment["name"]
                place = next(_places(described, schema, name), None)
                meant = f"did you mean {'.'.join([*names[:depth], place])}? " if place else ""
                raise InputError(f"There is no setting {key}; {meant}{where} has {', '.join(inner) or 'none'}.")
            described = inner[name]
        target = parameters
        for name in names[:-1]:
            if not isinstance(target.get(name), dict):
                target[name] = {}
            target = target[name]
        target[names[-1]] = _value(text, described, schema)
        if any(re.search(rule, text) for rule in _refused(described, schema)):
            raise InputError(f"The setting {key} {REFUSAL}.")
    return parameters


def _variants(described: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a described setting in its plain forms: references resolved, alternatives one by one."""
    if "$ref" in described:
        yield from _variants(schema["definitions"][described["$ref"].rpartition("/")[2]], schema)
    for inner in (*described.get("anyOf", ()), *described.get("allOf", ())):
        yield from _variants(inner, schema)
    yield described


def _properties(described: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: inner for form in _variants(described, schema) for name, inner in form.get("properties", {}).items()}


def _places(described: Mapping[str, Any], schema: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield the dotted paths of the settings with this name in the description, such as ``model.horizon``."""
    for outer, inner in _properties(described, schema).items():
        if outer == name:
            yield name
        yield from (f"{outer}.{place}" for place in _places(inner, schema, name))


def _refused(described: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return the patterns that a setting, or each value of a list, must not match: secrets, which would be stored."""
    forms = [*_variants(described, schema)]
    forms += [item for form in forms for item in _variants(form.get("items") or {}, schema)]
    return [form["not"]["pattern"] for form in forms if "pattern" in form.get("not", {})]


def _value(text: str, described: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    forms = list(_variants(described, schema))
    kinds = {form.get("type") for form in forms}
    if text.strip() in {choice for form in forms for choice in (*form.get("enum", ()), form.get("const"))}:
        return text.strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text.strip()
    if "array" in kinds and not isinstance(value, list):
        return [name for name in split_list(text) if name]
    is_number = isinstance(value, (int, float)) and {"integer", "number"} & kinds
    return text if "string" in kinds and not is_number and not isinstance(value, str) and value is not None else value


def follow(api: httpx.Client, run_id: str) -> None:
    """Print each state of a run until it ends; one that does not complete ends the command with status 1."""
    shown = None
    while True:
        state = _ask(api, "GET", f"flow_runs/{run_id}")["state"]
        if state["name"] != shown:
            shown = state["name"]
            say(f"  {shown}")
        if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            break
        time.sleep(POLL_SECONDS)
    if state["type"] != "COMPLETED":
        print_error(f"The run is {shown}: {sentence_of(inspect.cleandoc(state['message'] or 'no message'))}")
        raise typer.Exit(RUN_FAILED)
