"""``gatecast serve``: the dashboard and the flows that it can run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatecast.data.errors import InputError
from gatecast.data.locks import ON_WINDOWS
from gatecast.flows.commands.options import CommonOptions, takes
from gatecast.flows.engine.log import About, Chatter, Log, LogFormat
from gatecast.flows.engine.terminal import (
    INPUT_IS_WRONG,
    counted,
    explained,
    print_error,
    print_next,
    say,
    warnings_to,
)

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment
    from prefect.runner import Runner

    from gatecast.flows.deployments import ServeSettings
    from gatecast.flows.engine.run_log import RunLog
    from gatecast.flows.engine.server import Server
    from gatecast.flows.engine.watch import Watch
    from gatecast.flows.settings.workspace import Workspace

SETTINGS_FILE = Path("gatecast.toml")
POLL_SECONDS = 1.0
SWEEP_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class ServeOptions(CommonOptions):
    """The options of ``gatecast serve``."""

    file: Annotated[
        Path | None, typer.Option(help="Settings: schedules, models, webhook.", show_default="gatecast.toml if there")
    ] = None
    host: Annotated[
        str,
        typer.Option(
            help="Address that the dashboard listens on; 0.0.0.0 is every one, and needs a password"
            " (PREFECT_SERVER_API_AUTH_STRING)."
        ),
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 4200
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:PORT]",
            help="A further name of the dashboard, such as that of a proxy in front of it; repeatable. A browser is"
            " answered under these names only, and only to the dashboard's own pages.",
            show_default="localhost, --host, this machine's name",
        ),
    ] = None
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Do without a password on --host: whoever reaches it can run commands on this machine."
        ),
    ] = False
    pool: Annotated[
        str | None,
        typer.Option(
            help="Hand the runs to the workers of this work pool ('prefect worker start --pool NAME').",
            show_default="run them here",
        ),
    ] = None
    log_format: Annotated[
        LogFormat, typer.Option(help="Form of the log, one line for each thing that happens: text or json.")
    ] = "text"
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Say all that is wrong with the settings file and with what its runs would read, and end."
        ),
    ] = False


@takes(ServeOptions)
def serve(options: ServeOptions) -> None:
    """Serve the dashboard and run what is due.

    Starts Prefect's server on this workspace, unless PREFECT_API_URL names one, registers the deployments of
    gatecast.toml, and runs them on their schedules and on demand, until Ctrl-C.
    """
    with explained(options.debug):
        if ON_WINDOWS:
            raise InputError("gatecast serve needs Linux or macOS; run it in the Windows Subsystem for Linux.")
        options.prepare()
        from gatecast.flows.deployments import read_settings
        from gatecast.flows.engine.server import set_environment
        from gatecast.flows.settings.workspace import Workspace

        workspace = Workspace.from_environment()
        os.environ["GATECAST_HOME"] = str(workspace.root)  # for the processes of the runs, wherever they are started
        set_environment(workspace)
        file = options.file or (SETTINGS_FILE if SETTINGS_FILE.exists() else None)
        if options.check:
            check(file, workspace, elsewhere=options.pool is not None)
            return
        settings = read_settings(file)
        log = Log(options.log_format, sys.stdout, debug=options.debug)
        with logged(log), ExitStack() as stack:
            log.info("starting", f"workspace {workspace.root}")
            server = connect(options, workspace, stack)
            pass_on(settings)
            run(settings, options.pool, workspace, server, log)
        log.info("stopped", "Stopped; what was under way is recorded.")


def check(file: Path | None, workspace: Workspace, *, elsewhere: bool) -> None:
    """Print each thing that is wrong with the settings file and what its runs would read; then the status is 2."""
    from gatecast.flows.deployments import read_settings
    from gatecast.flows.served_check import problems_in

    problems = problems_in(file, workspace, elsewhere=elsewhere) if file is not None else []
    for problem in problems:
        print_error(problem)
    if problems:
        raise typer.Exit(INPUT_IS_WRONG)
    count = counted(len(read_settings(file).deployments), "deployment")
    say(f"{file or 'The default'} is fine: {count}.")
    print_next("serve")


@contextmanager
def logged(log: Log) -> Iterator[None]:
    """Let nothing but the log be seen: what anything else prints, here or in a run, is a line of the level DEBUG."""
    chatter = Chatter(log)
    with redirect_stdout(chatter), redirect_stderr(chatter), warnings_to(log.warn):
        yield


def connect(options: ServeOptions, workspace: Workspace, stack: ExitStack) -> Server | None:
    """Start the server and return it, or return None if the environment names a running one."""
    from gatecast.flows.engine.login import check_password
    from gatecast.flows.engine.orchestration import use_server
    from gatecast.flows.engine.server import Server, answers, dashboard_url

    named = os.environ.get("PREFECT_API_URL")
    if named:
        if not answers(named):
            raise InputError(f"No Prefect server answers at {named}; start it, or unset PREFECT_API_URL.")
        return None
    running = dashboard_url(workspace)
    if running:
        raise InputError(
            f"A dashboard runs on {workspace.root} already, at {running.removesuffix('/api')}; stop it first."
        )
    check_password(options.host, insecure=options.insecure)
    allowed = options.allowed_host or ()
    server = stack.enter_context(Server(workspace, options.host, options.port, dashboard=True, allowed_hosts=allowed))
    use_server(server.url)
    return server


def pass_on(settings: ServeSettings) -> None:
    """Pass the webhook and the time limit to the processes of the runs; the environment takes precedence."""
    from gatecast.flows.engine.runs import TIME_LIMIT, WEBHOOK

    os.environ.setdefault(TIME_LIMIT, str(settings.time_limit_minutes))
    if settings.webhook and not os.environ.get(WEBHOOK):
        os.environ[WEBHOOK] = str(settings.webhook)


def run(settings: ServeSettings, pool: str | None, workspace: Workspace, server: Server | None, log: Log) -> None:
    """Register the deployments and run what is due, until the process is told to stop."""
    from gatecast.flows.deployments import TAG, build, register_in_pool
    from gatecast.flows.engine.run_log import RunLog
    from gatecast.flows.engine.runs import WEBHOOK, crash_dead_runs, crash_pending_runs
    from gatecast.flows.engine.schedules import catch_up_once, former_schedules, keep_pauses, mark_pauses_kept
    from gatecast.flows.engine.watch import Watch
    from gatecast.flows.reporting.overview import write_overview

    deployments = list(build(settings, pool))
    link_overview(deployments, server)
    former = former_schedules(TAG, workspace)
    paused = keep_pauses(deployments, former)
    missed = sum(len(each.missed) for each in former.values())
    caught_up = catch_up_once(deployments, former, settings.waiting)
    # Runs may be on machines that share no files with this one; if all are on one machine, its locks tell more.
    watch = Watch(TAG, settings.lost_after_seconds) if pool or server is None else None
    run_log = RunLog(log, TAG)
    if pool:
        register_in_pool(deployments, pool)
    elif server is not None:
        crash_pending_runs(TAG)
    crash_dead_runs(workspace)
    workspace.tidy_up()
    runner = None if pool else runner_of(deployments, settings.runs_at_once)
    mark_pauses_kept(workspace)
    tell_start(log, deployments, paused, workspace, server)
    if missed:
        caught = f"; {caught_up:,} of them starts now, one for each deployment" if caught_up else ""
        log.tell("WARNING", "missed", f"{counted(missed, 'run')} due while nothing was served{caught}")
    if settings.retention.cron and "clean" not in paused:
        kept = counted(settings.retention.keep, "version")
        log.info("retention", f"Of each model, the newest {kept} stay; 'gatecast clean --dry-run' shows what goes.")
    if pool and settings.webhook:
        log.info("webhook", f"Workers tell the webhook of their runs where {WEBHOOK} is set in their own environment.")
    log.info("serving", f"Ctrl-C stops the dashboard{'' if pool else ' and what runs'}.")

    ended = threading.Event()
    keeper = threading.Thread(target=keep_going, args=(workspace, server, watch, run_log, log, ended), daemon=True)
    keeper.start()
    try:
        wait() if runner is None else asyncio.run(runner.start())
    except KeyboardInterrupt:
        log.info("stopping", "")
    finally:
        ended.set()
        keeper.join()
        if runner is not None:
            record_stopped(workspace, run_log, log)
        write_overview(workspace, due={})


def link_overview(deployments: Sequence[RunnerDeployment], server: Server | None) -> None:
    """Let the description of each deployment lead to the overview, if the server shows it."""
    from gatecast.flows.engine.login import has_password
    from gatecast.flows.engine.server import OVERVIEW

    if server is not None and not has_password():
        for deployment in deployments:
            deployment.description = f"{deployment.description}\n\n[Overview of all models]({OVERVIEW})"


def tell_start(
    log: Log,
    deployments: Sequence[RunnerDeployment],
    paused: Sequence[str],
    workspace: Workspace,
    server: Server | None,
) -> None:
    """Tell where the dashboard and the overview are, and what is served when."""
    from gatecast.flows.reporting.overview import due_of, overview_address, write_overview

    address = server.address if server else os.environ["PREFECT_API_URL"].removesuffix("/api")
    log.info("dashboard", address)
    write_overview(workspace, due=due_of(workspace))
    log.info("overview", f"all models: {overview_address(workspace)}")
    for deployment in deployments:
        schedule = deployment.schedules[0].schedule if deployment.schedules else None
        when = f"{schedule.cron}, {schedule.timezone}" if schedule else "on demand"  # type: ignore[union-attr]
        is_paused = ", paused on the dashboard" if deployment.name in paused else ""
        about: About = {"flow": str(deployment.flow_name), "deployment": deployment.name}
        log.tell("INFO", "deployment", f"{when}{is_paused}", about)


def record_stopped(workspace: Workspace, run_log: RunLog, log: Log) -> None:
    """Record the runs that the stop has ended, in no more time than a supervisor leaves before it kills."""
    from gatecast.flows.engine.runs import STOP_SECONDS, crash_stopped_runs

    def record() -> None:
        if crash_stopped_runs(workspace):
            run_log.poll()

    recording = threading.Thread(target=record, daemon=True)
    recording.start()
    recording.join(STOP_SECONDS + 1)
    if recording.is_alive():
        log.warn("Prefect's server is too slow to record what was under way; the next start does it.")


def interrupt(*signal_and_frame: object) -> None:
    """Treat SIGTERM like Ctrl-C; Prefect's own handler would stop nothing.

    A process that a shell without job control starts with ``&`` ignores Ctrl-C, so the default handler is set first.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def wait() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, interrupt)
    threading.Event().wait()


def runner_of(deployments: Sequence[RunnerDeployment], at_once: int) -> Runner:
    """Register deployments, and return the runner that runs them in processes of this machine."""
    from gatecast.flows.engine.alarm import answer
    from gatecast.flows.engine.orchestration import Runner

    runner = Runner(name="gatecast", limit=at_once, query_seconds=POLL_SECONDS, pause_on_shutdown=False)
    for deployment in deployments:
        answer(deployment, runner.add_deployment(deployment))
    runner.handle_sigterm = interrupt  # type: ignore[method-assign]
    return runner


def keep_going(
    workspace: Workspace,
    server: Server | None,
    watch: Watch | None,
    run_log: RunLog,
    log: Log,
    ended: threading.Event,
) -> None:
    """Keep restarting the server if it ends, telling of runs, and looking for those that nobody else can tell of."""
    import httpx

    from gatecast.flows.deployments import TAG
    from gatecast.flows.engine.runs import crash_dead_runs
    from gatecast.flows.engine.turned_away import TurnedAway

    turned_away = TurnedAway(TAG)
    swept = time.monotonic()
    while not ended.wait(POLL_SECONDS):
        try:
            if server is not None and server.revive():
                log.warn(f"Prefect's server had ended and runs again; {server.log} may say why.")
                _forget(watch)
            run_log.poll()
            if time.monotonic() - swept < SWEEP_SECONDS:
                continue
            swept = time.monotonic()
            if crash_dead_runs(workspace):
                workspace.tidy_up()
            turned_away.tell()
            if watch is not None:
                watch.crash_silent_runs()
            run_log.poll_schedules()
        except (httpx.HTTPError, RuntimeError, InputError) as error:
            log.warn(f"Prefect's server does not answer ({error or type(error).__name__}); trying again.")
            _forget(watch)


def _forget(watch: Watch | None) -> None:
    if watch is not None:
        watch.forget()
