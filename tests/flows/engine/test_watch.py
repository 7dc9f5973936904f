from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from gatecast.flows.commands.serve import SWEEP_SECONDS
from gatecast.flows.deployments import ServeSettings
from gatecast.flows.engine import runs, watch
from gatecast.flows.engine.orchestration import emit_event, flow
from gatecast.flows.engine.watch import START_LIMIT_SECONDS, Watch
from tests.webhook import listening

FIVE_MINUTES = 300
LOST_AFTER = 100.0


@flow(name="watched")
def watched() -> None:
    pass


class Clock:
    """Stands for the time that the watch reads."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watch, "time", clock)
    return clock


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    with listening() as (address, told):
        monkeypatch.setenv(runs.WEBHOOK, address)
        yield told


@pytest.fixture
def tag() -> str:
    return f"watched-{uuid4().hex}"


def made(state: Any, *tags: str) -> UUID:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.create_flow_run(watched, state=state, tags=tags).id


def name_of_state(run: UUID) -> str:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return str(client.read_flow_run(run).state.name)


def beat(run: UUID) -> None:
    """Send a heartbeat of a run, and wait until the server has it."""
    from prefect.client.orchestration import get_client
    from prefect.events.worker import EventsWorker

    sent = emit_event("prefect.flow-run.heartbeat", resource={"prefect.resource.id": f"prefect.flow-run.{run}"})
    EventsWorker.drain_all()
    until = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        while time.monotonic() < until:
            if watch._last_heartbeat(client, SimpleNamespace(id=run)) == sent.id:
                return
            time.sleep(0.1)
    raise AssertionError("the server has recorded no heartbeat")


def test_a_run_that_falls_silent_is_marked_as_crashed(
    server: str, clock: Clock, tag: str, told: list[dict[str, Any]]
) -> None:
    from prefect.states import Cancelling, Completed, Running

    silent = made(Running(), tag)
    living = made(Running(), tag)
    other = made(Running())
    cancelling = made(Cancelling(), tag)
    ended = made(Completed(), tag)
    watching = Watch(tag, LOST_AFTER)
    for run in (silent, living, cancelling):
        beat(run)
    assert watching.crash_silent_runs() == []
    clock.seconds += LOST_AFTER - 1
    assert watching.crash_silent_runs() == []
    beat(living)
    clock.seconds += 1
    assert set(watching.crash_silent_runs()) == {silent, cancelling}
    assert [name_of_state(run) for run in (silent, cancelling, living, ended, other)] == [
        "Crashed",
        "Crashed",
        "Running",
        "Completed",
        "Running",
    ]
    assert {message["run_id"] for message in told} == {str(silent), str(cancelling)}
    assert watching.crash_silent_runs() == []


def test_a_run_that_was_lost_before_the_restart_is_found_after_it_and_a_living_one_is_spared(
    server: str, clock: Clock, tag: str
) -> None:
    from prefect.states import Running

    lost = made(Running(), tag)
    living = made(Running(), tag)
    beat(lost), beat(living)
    clock.seconds += 10 * LOST_AFTER  # while there was no server
    watching = Watch(tag, LOST_AFTER)
    assert watching.crash_silent_runs() == []
    clock.seconds += LOST_AFTER - 1
    watching.forget()  # the server was away once more
    assert watching.crash_silent_runs() == []
    clock.seconds += LOST_AFTER - 1
    beat(living)
    assert watching.crash_silent_runs() == []
    clock.seconds += 1
    assert watching.crash_silent_runs() == [lost]
    assert name_of_state(living) == "Running"


def test_a_run_that_never_starts_is_marked_as_crashed(server: str, clock: Clock, tag: str) -> None:
    from prefect.states import Pending, Scheduled

    pending = made(Pending(), tag)
    scheduled = made(Scheduled(), tag)
    watching = Watch(tag, LOST_AFTER)
    assert watching.crash_silent_runs() == []
    clock.seconds += START_LIMIT_SECONDS
    assert watching.crash_silent_runs() == [pending]
    assert name_of_state(scheduled) == "Scheduled"


def test_more_runs_than_one_answer_holds_are_watched(
    server: str, clock: Clock, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.states import Running

    monkeypatch.setattr(watch, "RUNS_PER_QUERY", 2)
    silent = {made(Running(), tag) for _ in range(5)}
    watching = Watch(tag, LOST_AFTER)
    watching.crash_silent_runs()
    clock.seconds += LOST_AFTER
    assert set(watching.crash_silent_runs()) == silent


def test_no_run_of_the_dead_lasts_five_minutes() -> None:
    longest = ServeSettings.model_fields["lost_after_seconds"].metadata
    (limit,) = (bound.le for bound in longest if hasattr(bound, "le"))
    assert max(limit, START_LIMIT_SECONDS) + 2 * SWEEP_SECONDS < FIVE_MINUTES
