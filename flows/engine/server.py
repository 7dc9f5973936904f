"""Prefect's server as a child of ours: the embedded one of a single command, and the dashboard of ``gatecast serve``.

Prefect reads its settings from the environment, first when it is imported. So this module does not import it: it sets
this project's defaults, for the import (`quiet_import`) and for what runs (`set_environment`); what the user has set
stays.

The child differs from ``prefect server start`` in four ways: it does not see Ctrl-C, so that an interrupted run is
still recorded as such; it ends when the process that started it ends, in whatever way, even by ``kill -9``; it serves
the overview and the reports of the workspace in addition to Prefect's own pages; and it answers no web pages but its
own (`flows.engine.guard`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from gatecast.data.errors import InputError
from gatecast.data.store import is_damaged_sqlite, read_json, write_json
from gatecast.flows.engine.command_line import CommandLine
from gatecast.flows.engine.database import database, fold_in, set_aside_with_journal
from gatecast.flows.engine.login import has_password, take_login_out_of_address
from gatecast.flows.settings.workspace import Workspace

if TYPE_CHECKING:
    from gatecast.flows.engine.guard import Guard

ENVIRONMENT = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",  # its pages call an outside host
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",  # Prefect's default is pickle
    # Slots are leased; leases in memory, Prefect's default, are held for ever once the server has restarted.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # A run leaves some fifty events of 6 kB; automations see them at once. Logs of deleted runs go once a day.
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P1D",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,orphans",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # by which `flows.engine.watch` finds runs whose machine is gone
    "PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS": "10",
    # Errors reach the terminal as one sentence of ours; the log of the run, on the server, has the details.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}
LOCALHOST = "127.0.0.1"
PORT = 4200
START_LIMIT_SECONDS = 90
STOP_LIMIT_SECONDS = 10
HEALTH_SECONDS = 2
REPORTS = "/reports"
OVERVIEW = "/overview"
OVERVIEW_FILE = "overview.html"
"""Of the workspace, see `flows.reporting.overview`"""


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Let prefect be imported with the settings of this project, and leave environment and disk as they were.

    Importing it would create its home folder and report the import to its makers. During the import its home is this
    folder, which exists and holds nothing of Prefect's; the workspace becomes its home when something runs.
    """
    defaults = {**ENVIRONMENT, "PREFECT_HOME": str(Path(__file__).parent)}
    added = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def set_environment(workspace: Workspace) -> None:
    """Set the environment that Prefect reads, here and in the processes that this one starts.

    Raises
    ------
    InputError
        The workspace cannot be written to; Prefect's server would only time out in such a folder.
    """
    take_login_out_of_address()
    for name, value in {**ENVIRONMENT, "PREFECT_HOME": str(workspace.prefect)}.items():
        os.environ.setdefault(name, value)
    try:
        # Prefect makes its own folder, but not the one above it.
        workspace.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workspace.root):
            pass
    except OSError as error:
        raise InputError(
            f"{workspace.root} cannot be written to ({error.strerror}); name another --workspace."
        ) from error


class Server:
    """Prefect's server in a process of its own; a context manager that starts and stops it.

    Parameters
    ----------
    workspace : Workspace
        Holds its log and, unless ``PREFECT_HOME`` says otherwise, its database.
    host, port : str, int
        Where it listens; port 0 is any free one.
    dashboard : bool
        Serve the pages and run the scheduler, and let the commands of this workspace find it (`dashboard_url`);
        otherwise the server is there for one command only.
    allowed_hosts : sequence of str
        Other names under which it is reached, ``NAME`` or ``NAME:PORT`` (see `flows.engine.guard.Guard`).

    Raises
    ------
    InputError
        One of the names is malformed.
    """

    def __init__(
        self,
        workspace: Workspace,
        host: str = LOCALHOST,
        port: int = 0,
        *,
        dashboard: bool = False,
        allowed_hosts: Sequence[str] = (),
    ) -> None:
        from gatecast.flows.engine.guard import read_allowed

        read_allowed(allowed_hosts)
        self.workspace = workspace
        self.host = host
        self.dashboard = dashboard
        self.allowed_hosts = tuple(allowed_hosts)
        self.port = port or free_port(host)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Address of the pages, as a browser on this machine reaches them."""
        name = {"0.0.0.0": LOCALHOST, "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}"

    @property
    def url(self) -> str:
        """Address of the API: the value for ``PREFECT_API_URL``."""
        return f"{self.address}/api"

    @property
    def log(self) -> Path:
        """File with the output of the server."""
        return self.workspace.prefect / "server.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start the server and wait until it answers; if its database is damaged, it is set aside.

        Raises
        ------
        InputError
            The port is taken.
        RuntimeError
            The server does not start.
        """
        try:
            self._start()
        except RuntimeError:
            path = database(self.workspace)
            if not is_damaged_sqlite(path):
                raise
            set_aside_with_journal(path)
            self._start()

    def _start(self) -> None:
        if not _is_free(self.host, self.port):
            raise InputError(f"Port {self.port} of {self.host} is taken; choose another with --port.")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        logs = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING", "PREFECT_API_LOG_RETRYABLE_ERRORS": "true"}
        embedded = {} if self.dashboard else {"PREFECT__SERVER_EPHEMERAL": "1", "PREFECT_UI_ENABLED": "0"}
        # Prefect's default folder for its pages is next to its code, where this user may not write.
        pages = {
            "PREFECT_UI_STATIC_DIRECTORY": str(self.workspace.prefect / "pages"),
            # The pages ask the server that they came from, under the name that the browser used.
            "PREFECT_UI_API_URL": "/api",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": self.address,
        }
        listens = {"PREFECT_SERVER_API_HOST": self.host, "PREFECT_SERVER_API_PORT": str(self.port)}
        unset = ("PREFECT_API_URL",)  # the server talks to itself
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        command = [sys.executable, "-m", "gatecast.flows.engine.server"]
        with self.log.open("ab") as log:
            # Its standard input is a pipe that nobody writes to: it closes with this process.
            self._process = subprocess.Popen(
                [*command, self.host, str(self.port), str(self.workspace.reports), *self.allowed_hosts],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**pages, **environment, **listens, **logs, **embedded, "PREFECT__SERVER_FINAL": "1"},
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        if self.dashboard:
            write_json(_pointer(self.workspace), {"url": self.url})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def revive(self) -> bool:
        """Start the server again if it has ended by itself, and tell whether it had."""
        if self._process is None or self._process.poll() is None:
            return False
        self.start()
        return True

    def stop(self) -> None:
        """Stop the server; does nothing if it has already stopped."""
        if self._process is None:
            return
        if self.dashboard:
            _pointer(self.workspace).unlink(missing_ok=True)
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        fold_in(database(self.workspace))

    def _wait(self) -> None:
        assert self._process is not None
        until = time.monotonic() + START_LIMIT_SECONDS
        while not answers(self.url):
            if self._process.poll() is not None:
                raise RuntimeError(f"Prefect's server ended while it started; {self.log} says why")
            if time.monotonic() > until:
                raise RuntimeError(f"Prefect's server did not start in {START_LIMIT_SECONDS} s; see {self.log}")
            time.sleep(0.05)


def answers(url: str) -> bool:
    """Tell whether a Prefect server answers at the address of its API."""
    import httpx

    try:
        return httpx.get(f"{url.rstrip('/')}/health", timeout=HEALTH_SECONDS).is_success
    except (httpx.HTTPError, httpx.InvalidURL):
        return False


def dashboard_url(workspace: Workspace) -> str | None:
    """Return the API address of the dashboard that runs on this workspace, None if there is no dashboard."""
    try:
        url = str(read_json(_pointer(workspace), dict[str, str])["url"])
    except (InputError, KeyError):
        return None
    return url if answers(url) else None


def _pointer(workspace: Workspace) -> Path:
    return workspace.prefect / "dashboard.json"


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((host, port))
            return True
    return False


def free_port(host: str) -> int:
    """Return a port that nothing listens on.

    It is below the range from which the system assigns ports, so that no one takes it before the server listens.
    """
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        if _is_free(host, port):
            return port


def _end_with_parent() -> None:
    """End this process when its standard input closes: the parent is gone, or wants this process to end."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_in_line() -> None:
    """Make a transaction on SQLite wait at its beginning until it may write.

    Most of Prefect's transactions begin by reading. If the data they have read is outdated when they want to write,
    SQLite refuses at once with "database is locked", and the client has to ask again.
    """
    from prefect.server.database.configurations import AioSqliteConfiguration

    begin = AioSqliteConfiguration.begin_transaction

    def begin_transaction(self: AioSqliteConfiguration, session: Any, with_for_update: bool = False) -> Any:
        return begin(self, session, with_for_update=True)

    AioSqliteConfiguration.begin_transaction = begin_transaction  # type: ignore[method-assign]


def make_app(host: str, reports: str, allowed_hosts: Sequence[str]) -> Guard:
    """Return the application that the server runs: Prefect's API and pages and the reports, guarded."""
    import prefect
    from prefect.server.api.server import create_app
    from starlette.routing import Mount, Route

    from gatecast.flows.engine.guard import Guard, read_allowed
    from gatecast.flows.engine.no_secrets import NoSecrets
    from gatecast.flows.engine.report_files import ReportFiles, one_file

    prefect.__ui_v2_static_path__ = Path(os.devnull) / "v2"  # those pages call an outside host and are not served
    app = create_app()
    app.add_middleware(NoSecrets)
    if not has_password():
        # If the API asks for a password, the reports and the overview, which do not, are not served.
        app.router.routes.insert(0, Mount(REPORTS, ReportFiles(directory=reports, check_dir=False)))
        app.router.routes.insert(0, Route(OVERVIEW, one_file(Path(reports).with_name(OVERVIEW_FILE))))
    return Guard(app, host, read_allowed(allowed_hosts))


def main(host: str, port: str, reports: str, *allowed_hosts: str) -> None:
    """Run the server; `Server` starts this."""
    import uvicorn

    threading.Thread(target=_end_with_parent, daemon=True).start()
    _wait_in_line()
    app = make_app(host, reports, allowed_hosts)
    uvicorn.run(app, host=host, port=int(port), log_level="warning", timeout_graceful_shutdown=3)


if __name__ == "__main__":
    main(*CommandLine.typed().words)
