"""Prefect as this project uses it; other modules import what they need of Prefect from here.

Importing this module changes neither environment nor disk; calling a flow and starting a server do (`prepare`).

Five things are added to Prefect's own:

- a task is answered from cache while nothing has changed that decides its result (`flows.engine.caching`);
- warnings that the packages below log, such as that a damaged file is made again, appear in the log of the run;
- a finished flow waits until the server has recorded its task runs: the embedded server drops what is still queued when
  the process ends;
- a run that fails, crashes or is cancelled is reported, and one whose process is gone does not stay "Running"
  (`flows.engine.runs`);
- the server of a single command is ours (`flows.engine.server`), unless one runs already.
"""

from __future__ import annotations

import atexit
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar
from uuid import UUID

from gatecast.data.display import one_line
from gatecast.data.errors import InputError
from gatecast.flows.engine.caching import HashedJSON, Unchanged
from gatecast.flows.engine.login import check_login
from gatecast.flows.engine.parameters import require_valid
from gatecast.flows.engine.results import StepRecord
from gatecast.flows.engine.runs import WhenBusy, alive, crash_dead_runs, one_at_a_time, report, tell, time_limit_seconds
from gatecast.flows.engine.server import Server, dashboard_url, quiet_import, set_environment
from gatecast.flows.engine.terminal import print_step, warn, warnings_to
from gatecast.flows.settings.workspace import Workspace

with quiet_import():
    import prefect
    import prefect.runtime
    from prefect import Task, artifacts, get_run_logger
    from prefect.cache_policies import NO_CACHE
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterId
    from prefect.client.schemas.objects import State, TaskRun
    from prefect.context import TaskRunContext, refresh_global_settings_context
    from prefect.events import emit_event
    from prefect.exceptions import MissingContextError
    from prefect.runner import Runner
    from prefect.settings import PREFECT_API_URL
    from prefect.states import Cancelled
    from prefect.transactions import Transaction, get_transaction, transaction
    from prefect.utilities.callables import get_call_parameters

__all__ = [
    "Output",
    "Runner",
    "State",
    "Steps",
    "Transaction",
    "artifact_key",
    "artifacts",
    "cancelled",
    "emit_event",
    "flow",
    "flow_parameters",
    "get_transaction",
    "is_in_run",
    "is_retry",
    "prepare",
    "run_name",
    "start_embedded_server",
    "task",
    "transaction",
    "use_server",
]

P = ParamSpec("P")
R = TypeVar("R", bound=Mapping[str, Any])
F = TypeVar("F")

Output = dict[str, Any]
"""What a step returns, in JSON values: ``summary``, a line for people; paths; and, for a cached step, its ``files``."""

RECORD_LIMIT_SECONDS = 60.0
RUNS_PER_QUERY = 200


def prepare() -> None:
    """Make this process ready to run flows: Prefect keeps its files in the workspace and uses our defaults.

    Raises
    ------
    InputError
        The workspace cannot be written to.
    """
    set_environment(Workspace.from_environment())
    refresh_global_settings_context()


class Flow(prefect.Flow[P, F]):
    """A flow that checks its parameters before there is a run to store them, and that prepares its process.

    A run that is started by a runner inherits a prepared environment.
    """

    @property
    def timeout_seconds(self) -> float | None:
        """The time limit of the environment, read when a run asks for it."""
        return time_limit_seconds()

    @timeout_seconds.setter
    def timeout_seconds(self, seconds: float | None) -> None:
        """Take no limit of its own, which Prefect would keep from the time of the import."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the flow; see `prefect.Flow`."""
        given = {name: value for name, value in kwargs.items() if name not in ("return_state", "wait_for")}
        require_valid(self.fn, get_call_parameters(self.fn, args, given))
        time_limit_seconds()  # a wrong one is found before there is a run
        prepare()
        return super().__call__(*args, **kwargs)

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Check the parameters of a deployment; Prefect alone would log wrong parameters as they are."""
        require_valid(self.fn, parameters)
        return super().validate_parameters(parameters)


if TYPE_CHECKING:
    from prefect import flow
else:

    def flow(function: Callable[P, F] | None = None, **options: Any) -> Any:
        """Make a flow with the hooks and the time limit that every run has; the options are those of Prefect's own."""
        if function is None:
            return partial(flow, **options)
        return Flow(
            function,
            on_failure=[report],
            on_crashed=[report],
            on_cancellation=[report],
            **options,
        )


def artifact_key(*words: str) -> str:
    """Return the key of an artifact: lower-case letters, digits and dashes, as Prefect requires."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


def task(
    run_name: str, *, cached: bool, ignore: tuple[str, ...] = (), retries: int = 0
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a Prefect task whose result is stored as JSON.

    Parameters
    ----------
    run_name : str
        Name of a run, a template over the task's inputs.
    cached : bool
        Whether `Unchanged` answers for it. A step that looks at the outside world is never answered from cache.
    ignore : tuple of str
        Inputs that do not change the result.
    retries : int
        How often it is tried again if it fails, except for wrong input.
    """
    return prefect.task(
        task_run_name=run_name,
        cache_policy=Unchanged(ignore=ignore) if cached else NO_CACHE,
        persist_result=cached,
        result_serializer=HashedJSON(),
        retries=retries,
        retry_condition_fn=_may_pass,
    )


def is_in_run() -> bool:
    """Tell whether a task is running, and not its bare function."""
    return TaskRunContext.get() is not None


def _may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    return not isinstance(state.result(raise_on_failure=False), InputError)


class Steps:
    """The steps of one flow run: calls tasks one by one, reports to terminal and log, and waits until all are recorded.

    Used as a context manager inside a flow; calling it runs a task: ``bars = step(ingest, data, workspace)``.

    Parameters
    ----------
    workspace : Workspace
        That of the run.

    Attributes
    ----------
    records : list of StepRecord
        One for each step.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.records: list[StepRecord] = []
        self._workspace = workspace
        self._task_runs: list[UUID] = []
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self._held.enter_context(warnings_to(_log_in_run))
        self._held.enter_context(alive(self._workspace, str(prefect.runtime.flow_run.id)))
        return self

    def __call__(self, step: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a task; its ``summary``, one line, goes to the terminal."""
        started = time.perf_counter()
        state = step(*args, return_state=True, **kwargs)
        if state.state_details.task_run_id is not None:
            self._task_runs.append(state.state_details.task_run_id)
        result = state.result()
        seconds = time.perf_counter() - started
        cached = state.name == "Cached"
        self.records.append({"name": step.name, "seconds": round(seconds, 3), "cached": cached})
        summary = one_line(result["summary"])
        print_step(step.name, seconds, cached, summary)
        get_run_logger().info("step=%s seconds=%.3f cached=%s %s", step.name, seconds, cached, summary)
        return result

    def wait_for(self, task_runs: Sequence[UUID]) -> None:
        """Also wait at the end for these task runs, such as those that were submitted to a task runner."""
        self._task_runs += task_runs

    def alone(self, name: str, when_busy: WhenBusy) -> bool:
        """Lock a model against other runs until the steps end; see `one_at_a_time`."""
        return self._held.enter_context(one_at_a_time(self._workspace, name, when_busy))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.close()
        missing = wait_until_recorded(self._task_runs)
        if missing:
            warn(f"{missing} of {len(self._task_runs)} task runs are not on record; Prefect's dashboard lacks them.")


def _log_in_run(sentence: str) -> None:
    with suppress(MissingContextError):
        get_run_logger().warning("%s", sentence)


def wait_until_recorded(task_runs: Sequence[UUID], limit_seconds: float = RECORD_LIMIT_SECONDS) -> int:
    """Wait until the server has a final state of each task run; return how many are still missing at the limit.

    Task runs reach the server as events in the background; ending the process drops those that are on the way.
    """
    waiting = set(task_runs)
    until = time.monotonic() + limit_seconds
    with get_client(sync_client=True) as client:
        while waiting and time.monotonic() < until:
            some = list(waiting)[:RUNS_PER_QUERY]
            found = client.read_task_runs(task_run_filter=TaskRunFilter(id=TaskRunFilterId(any_=some)))
            waiting -= {run.id for run in found if run.state is not None and run.state.is_final()}
            if waiting:
                time.sleep(0.1)
    return len(waiting)


def start_embedded_server() -> None:
    """Start a server for this process, unless ``PREFECT_API_URL`` names one or a dashboard runs on the workspace.

    A run of an earlier process that was killed is marked as crashed, and what it left half-written is removed.

    Raises
    ------
    InputError
        The server would ask for a password that this process does not know.
    """
    prepare()
    workspace = Workspace.from_environment()
    if not PREFECT_API_URL.value():
        url = dashboard_url(workspace)
        if url is None:
            check_login()
            server = Server(workspace)
            server.start()
            atexit.register(server.stop)
            url = server.url
        use_server(url)
    crash_dead_runs(workspace)
    workspace.tidy_up()


def use_server(url: str) -> None:
    """Let this process, and those it starts, use the server with this API."""
    os.environ["PREFECT_API_URL"] = url
    refresh_global_settings_context()


def is_retry() -> bool:
    """Tell whether the present task run, or the flow run it belongs to, has been tried before."""
    return (prefect.runtime.task_run.run_count or 0) > 1 or (prefect.runtime.flow_run.run_count or 0) > 1


def flow_parameters() -> dict[str, Any]:
    """Return the parameters of the present flow run."""
    return dict(prefect.runtime.flow_run.parameters)


def run_name(subject: Callable[[Mapping[str, Any]], str]) -> Callable[[], str]:
    """Return a function that names a flow run for people: what it is about, and when it began.

    Parameters
    ----------
    subject : callable
        Returns what a run is about, from its parameters.
    """

    def name() -> str:
        return f"{one_line(subject(flow_parameters()))} {datetime.now().astimezone():%Y-%m-%d %H:%M}"

    return name


def cancelled(message: str) -> Any:
    """Return the state that a flow returns, instead of its result, to end as cancelled; the webhook is told.

    Prefect's hooks are not called for a state that is returned.
    """
    tell("Cancelled", message)
    return Cancelled(message=message)
