"""Where the models of a fleet are trained: processes or threads of this machine, or a cluster. All are Prefect's."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from data.errors import InputError
from flows.settings import FleetSettings

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner


@contextmanager
def task_runner(settings: FleetSettings) -> Iterator[TaskRunner[Any]]:
    """Start the task runner that the settings name, and stop it.

    Raises
    ------
    InputError
        The extra that brings it is not installed.
    """
    from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

    workers, runner = settings.workers or os.cpu_count() or 1, settings.runner
    made: TaskRunner[Any]
    if runner == "processes":
        made = ProcessPoolTaskRunner(max_workers=workers)
    elif runner == "threads":
        made = ThreadPoolTaskRunner(max_workers=workers)
    elif runner == "dask":
        made = _dask(workers, settings.cluster)
    else:
        made = _ray(workers, settings.cluster)
    try:
        with made:
            yield made
    finally:
        _let_go(made)


def _let_go(runner: TaskRunner[Any]) -> None:
    """Let the program end although a killed process may have taken the lock of the runner's queue along.

    Prefect leaves the queue open then, and Python would wait for it at the end, for ever.
    """
    queue = getattr(runner, "_subprocess_message_queue", None)
    if queue is not None:
        queue.cancel_join_thread()


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
    from prefect_ray import RayTaskRunner

    return RayTaskRunner(address=address) if address is not None else RayTaskRunner(init_kwargs={"num_cpus": workers})
