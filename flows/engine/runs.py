"""What keeps runs safe: one retrain per model at a time, a time limit, failure reports, and an end for dead runs.

Liveness is a lock on a file that the process of a run holds: the system releases it however the process ends, so
whoever gets the lock knows that the run is over. A run on another machine, which shares no files with this one, is
watched by its heartbeats instead (`flows.engine.watch`).
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from gatecast.data.display import one_line
from gatecast.data.errors import InputError
from gatecast.data.locks import ON_WINDOWS, open_lock_file, try_lock, wait_for_lock
from gatecast.data.secrets import masked
from gatecast.flows.settings.workspace import Workspace

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

WhenBusy = Literal["wait", "cancel"]

LOSES = "gatecast.gate.loses"
"""The Prefect event that says that a new champion loses to a baseline, or that none of a model's versions has passed"""
WEBHOOK = "GATECAST_WEBHOOK"
TIME_LIMIT = "GATECAST_TIME_LIMIT_MINUTES"
WEBHOOK_LIMIT_SECONDS = 10
POLL_SECONDS = 0.5
MOMENT_SECONDS = 1.0
RECORD_SECONDS = 15
RUNS_PER_QUERY = 200
FAILED_DAYS = 7
ENDED = b"ended"
UNSEEN = "run-"
GONE = "The process of this run is gone; the next run goes on where it stopped."
STOPPED = "Gatecast was stopped while this run was under way; the next run goes on where it stopped."
STOP_SECONDS = 5
"""For runs to end by themselves when Gatecast is stopped: a supervisor kills after ten"""


@contextmanager
def one_at_a_time(workspace: Workspace, name: str, when_busy: WhenBusy) -> Iterator[bool]:
    """Let one run at a time work on a model.

    Parameters
    ----------
    workspace : Workspace
    name : str
        Of the model.
    when_busy : {"wait", "cancel"}
        What to do while another run is at work.

    Yields
    ------
    bool
        Whether it is this run's turn: always after "wait".
    """
    directory = workspace.models / name
    directory.mkdir(parents=True, exist_ok=True)
    with open_lock_file(directory / ".retrain.lock") as lock:
        mine = _soon_locked(lock)
        if not mine and when_busy == "wait":
            _logger().warning("Another retrain of %s is under way; waiting for it to end.", name)
            wait_for_lock(lock, POLL_SECONDS)
            mine = True
        yield mine


def _soon_locked(lock: int) -> bool:
    """Take a lock unless a run holds it: `flows.registry.retention` holds it for a moment only."""
    deadline = time.monotonic() + MOMENT_SECONDS
    while not (mine := try_lock(lock)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 10)
    return mine


@contextmanager
def alive(workspace: Workspace, run: str) -> Iterator[None]:
    """Show that the process of a flow run is alive.

    The file stays behind, since the end of the run is recorded only later, and the process may be killed before that.
    On Windows, which cannot rename an open file, there is no such file: only missing heartbeats reveal a killed run.
    """
    if ON_WINDOWS:
        yield
        return
    path = _running(workspace) / run
    path.parent.mkdir(parents=True, exist_ok=True)
    unseen = workspace.prefect / f"{UNSEEN}{run}"
    with open_lock_file(unseen) as lock:
        wait_for_lock(lock)
        unseen.rename(path)  # so that nobody finds it unlocked before the run ends
        try:
            yield
        finally:
            os.write(lock, ENDED)


def crash_dead_runs(workspace: Workspace) -> list[UUID]:
    """Mark the runs whose process is gone as crashed, which also frees what they held; return them.

    A run that has ended keeps its final state.
    """
    marked = []
    for path in sorted(_running(workspace).glob("*")):
        try:
            with open_lock_file(path, create=False) as lock:
                if not try_lock(lock):
                    continue
                if os.read(lock, len(ENDED)) == ENDED and time.time() - path.stat().st_mtime < RECORD_SECONDS:
                    continue  # its end is on the way to the server
                if crash_run(UUID(path.name)):
                    marked.append(UUID(path.name))
                path.unlink()
        except FileNotFoundError:
            continue  # another process is marking dead runs too
    _remove_unseen(workspace)
    return marked


def _remove_unseen(workspace: Workspace) -> None:
    """Remove the files of runs that were killed as they began, before the file got its place; see `alive`."""
    for path in workspace.prefect.glob(f"{UNSEEN}*"):
        with suppress(FileNotFoundError), open_lock_file(path, create=False) as lock:
            if time.time() - path.stat().st_mtime > RECORD_SECONDS and try_lock(lock):
                path.unlink()


def crash_stopped_runs(workspace: Workspace) -> list[UUID]:
    """Mark the runs that the end of this process has stopped as crashed, before its server ends too; return them.

    A run that goes on in a process of its own, such as one of the command line, is left alone.
    """
    import httpx

    deadline = time.monotonic() + STOP_SECONDS
    marked = []
    for path in sorted(_running(workspace).glob("*")):
        try:
            with open_lock_file(path, create=False) as lock:
                mine = try_lock(lock)
                while not mine and time.monotonic() < deadline:
                    time.sleep(POLL_SECONDS / 10)
                    mine = try_lock(lock)
                if not mine:
                    continue
                while os.pread(lock, len(ENDED), 0) == ENDED and time.monotonic() < deadline:
                    if _has_ended(UUID(path.name)):  # until then, its end is on the way to the server
                        break
                    time.sleep(POLL_SECONDS / 10)
                if crash_run(UUID(path.name), STOPPED):
                    marked.append(UUID(path.name))
                path.unlink()
        except FileNotFoundError:
            continue
        except (httpx.HTTPError, RuntimeError):  # the server is gone too: the next start marks them
            break
    return marked


def crash_pending_runs(tag: str) -> list[UUID]:
    """Mark the runs with a tag that were about to start as crashed; only for the sole process that starts them."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
        FlowRunFilterTags,
    )
    from prefect.client.schemas.objects import StateType

    pending = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[tag]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PENDING])),
    )
    with get_client(sync_client=True) as client:
        runs = [run.id for run in client.read_flow_runs(flow_run_filter=pending)]
    return [run for run in runs if crash_run(run)]


def crash_run(run: UUID, message: str = GONE) -> bool:
    """Mark a run as crashed unless it has come to an end, tell the webhook, and return whether it was marked."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        try:
            found = client.read_flow_run(run)
        except ObjectNotFound:
            return False  # of another server's database
        if found.state is None or found.state.is_final():
            return False
        state: State[Any] = Crashed(message=message)
        client.set_flow_run_state(run, state, force=True)
        _crash_tasks(client, run, state)
        deployment = _deployment_name(client, found)
        _send(_message(client.read_flow(found.flow_id).name, found, state, deployment))
    return True


def _has_ended(run: UUID) -> bool:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(run).state
        except ObjectNotFound:
            return True
    return state is not None and state.is_final()


def _crash_tasks(client: SyncPrefectClient, run: UUID, state: State[Any]) -> None:
    """Mark the task runs of a run that were under way."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterId,
        TaskRunFilter,
        TaskRunFilterState,
        TaskRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    under_way = TaskRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])),
        task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=under_way)),
    )
    for task in tasks:
        client.set_task_run_state(task.id, state.fresh_copy(), force=True)


def _deployment_name(client: SyncPrefectClient, run: FlowRun) -> str:
    """Return the name of the deployment of a run; nothing for a run without one."""
    from prefect.exceptions import ObjectNotFound

    if run.deployment_id is None:
        return ""
    try:
        return client.read_deployment(run.deployment_id).name
    except ObjectNotFound:
        return ""


def failed_runs() -> dict[str, int]:
    """Return how many runs of each flow failed or crashed in the last days, as far as the server knows."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterEndTime,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    since = datetime.now(UTC) - timedelta(days=FAILED_DAYS)
    failed = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.FAILED, StateType.CRASHED])),
        end_time=FlowRunFilterEndTime(after_=since),
    )
    counts: Counter[UUID] = Counter()
    with get_client(sync_client=True) as client:
        while page := client.read_flow_runs(flow_run_filter=failed, limit=RUNS_PER_QUERY, offset=counts.total()):
            counts.update(run.flow_id for run in page)
        return {client.read_flow(flow).name: count for flow, count in counts.items()}


def report(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:
    """Tell the log and the webhook that a run failed, crashed or was cancelled; a hook of every flow."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        deployment = _deployment_name(client, flow_run)
    message = _message(flow.name, flow_run, state, deployment)
    _logger().error("%(flow)s %(run)s: %(state)s. %(message)s", message)
    _send(message)


def raise_alarm(event: str, name: str, message: str, payload: Mapping[str, Any]) -> None:
    """Tell log, webhook and Prefect's events of what a person has to know of a model, although the run goes on.

    Parameters
    ----------
    event : str
        Name of the event.
    name : str
        Of the model.
    message : str
        A sentence.
    payload : mapping
        What the event carries besides the name and the message, as JSON values.
    """
    from prefect.events import emit_event

    emit_event(
        event,
        resource={"prefect.resource.id": f"gatecast.model.{name}", "prefect.resource.name": name},
        payload={"model": name, "message": masked(message), **payload},
    )
    tell("Alarm", message, model=name)


def tell(state: str, message: str, model: str = "") -> None:
    """Tell the log and the webhook what the present run has found; it goes on. Outside of runs, nobody is told.

    Parameters
    ----------
    state : str
        What it is in a word or two, in the place of the state in which a run ends.
    message : str
    model : str, optional
        What it is about.
    """
    from prefect.runtime import flow_run
    from prefect.utilities.urls import url_for

    if flow_run.id is None:
        return
    url = url_for("flow-run", obj_id=flow_run.id) or ""
    told = describe(str(flow_run.flow_name), model or str(flow_run.name), str(flow_run.id), state, message, url)
    _logger().warning("%(state)s. %(message)s", told)
    _send(told)


def tell_of(flow_run: FlowRun, message: str) -> None:
    """Tell the webhook of a run that is not the present one, and why it is in its state."""
    from prefect.client.orchestration import get_client

    assert flow_run.state is not None
    with get_client(sync_client=True) as client:
        flow = client.read_flow(flow_run.flow_id).name
        deployment = _deployment_name(client, flow_run)
    _send(_message(flow, flow_run, flow_run.state.model_copy(update={"message": message}), deployment))


def describe(
    flow: str, run: str, run_id: str, state: str, message: str, url: str, model: str = "", deployment: str = ""
) -> dict[str, str]:
    """Return what the webhook is told; ``text`` is what chat programs show, without their markup."""
    message = one_line(masked(message))
    url = masked(url)
    of_model = f", model {model}" if model and model != run else ""
    by = f", deployment {deployment}" if deployment and deployment != run else ""
    text = _for_chat(f"{flow} {run}{of_model}{by}: {state}. {message}".strip())
    return {
        "text": text, "flow": flow, "run": run, "run_id": run_id, "state": state, "message": message, "url": url,
        "model": model, "deployment": deployment,
    }  # fmt: skip


def _for_chat(text: str) -> str:
    """Return a text that chat programs show as it is: without images, hidden links or mentions of people."""
    entities = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}  # in Slack, <...> is a link or a mention
    return re.sub(r"[\[`]", r"\\\g<0>", re.sub(r"[&<>]", lambda found: entities[found[0]], text))


def _message(flow: str, flow_run: FlowRun, state: State[Any], deployment: str) -> dict[str, str]:
    from prefect.utilities.urls import url_for

    url = url_for("flow-run", obj_id=flow_run.id) or ""
    settings = (flow_run.parameters or {}).get("settings")
    model = str(settings.get("name") or "") if isinstance(settings, dict) else ""
    kind = state.name or state.type.value
    return describe(
        flow, flow_run.name, str(flow_run.id), kind, state.message or "", url, model=model, deployment=deployment
    )


def _send(message: dict[str, str]) -> None:
    import httpx

    url = os.environ.get(WEBHOOK)
    if not url:
        return
    try:
        httpx.post(url, json=message, timeout=WEBHOOK_LIMIT_SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # The address may hold a secret, so it is not logged.
        _logger().warning("The webhook was not told (%s).", type(error).__name__)


def time_limit_seconds() -> float | None:
    """Return the time limit of every run, None without one.

    Raises
    ------
    InputError
        ``GATECAST_TIME_LIMIT_MINUTES`` is not a number above zero.
    """
    text = os.environ.get(TIME_LIMIT)
    if not text:
        return None
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not minutes > 0:
        raise InputError(f"{TIME_LIMIT} is {text!r}; it should be a number of minutes above zero.")
    return 60 * minutes


def _running(workspace: Workspace) -> Path:
    return workspace.prefect / "running"


def _logger() -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
    """Return the logger of the run, so that the dashboard shows what is logged; a plain logger outside of runs."""
    from prefect import get_run_logger
    from prefect.exceptions import MissingContextError

    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("prefect.gatecast")
