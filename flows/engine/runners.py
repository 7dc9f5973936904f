"""Where the models of a fleet are trained: processes or threads of this machine, or a cluster."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gatecast.data.errors import InputError
from gatecast.flows.settings.runs import FleetSettings

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

TASKS_PER_PROCESS = 2
"""Task runs in flight for each process, so that no process waits while Prefect handles the last one and the next"""


@contextmanager
def task_runner(settings: FleetSettings) -> Iterator[tuple[TaskRunner[Any], Executor | None]]:
    """Start the task runner that the settings name, and stop it at the end.

    Yields
    ------
    runner : TaskRunner
        Prefect's, which the tasks are submitted to.
    pool : Executor or None
        Processes in which a task does its work, if the runner itself has no processes. Prefect then runs once, in
        threads of this process; in each process of its own process runner, it costs half as much as a small model.

    Raises
    ------
    InputError
        The extra that provides it is not installed.
    """
    from prefect.task_runners import ThreadPoolTaskRunner

    made: TaskRunner[Any]
    workers = settings.workers or os.cpu_count() or 1
    runner = settings.runner
    require_runner(runner)
    if runner == "processes":
        # Forking after a parallel region would hang; a spawned process starts afresh.
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _end_with_parent)
        try:
            made = ThreadPoolTaskRunner(max_workers=TASKS_PER_PROCESS * workers)
            with made:
                yield made, pool
        finally:
            pool.shutdown(cancel_futures=True)
        return
    if runner == "threads":
        made = ThreadPoolTaskRunner(max_workers=workers)
    elif runner == "dask":
        made = _dask(workers, settings.cluster)
    else:
        made = _ray(workers, settings.cluster)
    with made:
        yield made, None


def _end_with_parent() -> None:
    """Let this process of a pool end when its parent is killed, instead of waiting for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def require_runner(runner: str) -> None:
    """Raise InputError unless what a runner needs is installed."""
    package = {"dask": "prefect_dask", "ray": "prefect_ray"}.get(runner)
    if package is not None and importlib.util.find_spec(package) is None:
        raise InputError(
            f"--runner {runner} needs an extra that is not installed; run: pip install 'gatecast[{runner}]'."
        )


def _dask(workers: int, address: str | None) -> TaskRunner[Any]:
    from prefect_dask import DaskTaskRunner

    if address is not None:
        return DaskTaskRunner(address=address)
    # A process for each model, since the interpreter lock is held between kernels.
    return DaskTaskRunner(cluster_kwargs={"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None})


def _ray(workers: int, address: str | None) -> TaskRunner[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it tells its makers
    from prefect_ray import RayTaskRunner

    if address is not None:
        return RayTaskRunner(address=address)
    # Its own ways to find the address ask an outside host; each model uses one thread.
    local = {"num_cpus": workers, "_node_ip_address": "127.0.0.1", "include_dashboard": False}
    return RayTaskRunner(init_kwargs=local)
