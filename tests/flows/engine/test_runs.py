from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from gatecast.data.errors import InputError
from gatecast.flows.engine import runs
from gatecast.flows.engine.orchestration import Steps, cancelled, flow, is_retry, task
from gatecast.flows.engine.turned_away import TurnedAway
from gatecast.flows.settings.workspace import Workspace
from tests.damage import HARM_NAMES, HARMS, Harm
from tests.webhook import listening


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What the webhook was told."""
    with listening() as (address, told):
        monkeypatch.setenv(runs.WEBHOOK, address)
        yield told


@flow(name="failing")
def failing() -> None:
    raise ValueError("broken")


def test_a_failure_is_told_to_the_webhook(server: str, told: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="broken"):
        failing()
    (message,) = told
    assert (message["flow"], message["state"]) == ("failing", "Failed")
    assert "broken" in message["message"]
    assert message["run_id"] in message["url"]


def test_a_chat_shows_names_as_they_are() -> None:
    name = "![p](http://x/p.png) <!channel> <http://x|y> `a` & b\n\u2028https://me:hunter2@host/x"
    told = runs.describe("retrain", "a", "id", "Failed", name, "http://me:hunter2@host/runs/id")
    shown = r"!\[p](http://x/p.png) &lt;!channel&gt; &lt;http://x|y&gt; \`a\` &amp; b\n\u2028https://me:***@host/x"
    assert told["text"] == f"retrain a: Failed. {shown}"
    assert told["message"].endswith(r"& b\n\u2028https://me:***@host/x")
    assert told["url"] == "http://me:***@host/runs/id"


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/hunter2", "http://me:hunter2@host:port/", "hunter2"])
def test_an_address_that_is_wrong_is_not_told(
    server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    monkeypatch.setenv(runs.WEBHOOK, address)
    runs._send(runs.describe("retrain", "a", "id", "Failed", "broken", ""))
    assert "The webhook was not told" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_webhook_that_refuses_changes_nothing(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(status=500) as (address, told):
        monkeypatch.setenv(runs.WEBHOOK, address)
        with pytest.raises(ValueError, match="broken"):
            failing()
    assert len(told) == 1


def test_a_model_is_retrained_by_one_run_at_a_time(tmp_path: Path) -> None:
    def turn(name: str) -> AbstractContextManager[bool]:
        return runs.one_at_a_time(Workspace(tmp_path), name, "cancel")

    with turn("a") as first, turn("a") as second:
        assert (first, second) == (True, False)
        with turn("b") as other:
            assert other
    with turn("a") as again:
        assert again


def test_the_locks_of_runs_follow_no_link_and_truncate_nothing(workspace: Workspace, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    folder = workspace.models / "model"
    folder.mkdir(parents=True)
    (folder / ".retrain.lock").symlink_to(precious)
    with pytest.raises(InputError, match="is a link"), runs.one_at_a_time(workspace, "model", "cancel"):
        pass
    run = str(uuid4())
    workspace.prefect.mkdir(parents=True)
    (workspace.prefect / f"run-{run}").symlink_to(precious)
    with pytest.raises(InputError, match="is a link"), runs.alive(workspace, run):
        pass
    (workspace.prefect / "running" / run).symlink_to(precious)
    with pytest.raises(InputError, match="is a link"):
        runs.crash_dead_runs(workspace)
    assert precious.read_text() == "kept"


def test_what_a_run_left_that_was_killed_as_it_began_is_removed(workspace: Workspace) -> None:
    workspace.prefect.mkdir(parents=True)
    dead, beginning = (workspace.prefect / f"run-{uuid4()}" for _ in range(2))
    for path in (dead, beginning):
        path.touch()
    os.utime(dead, (0, 0))
    assert runs.crash_dead_runs(workspace) == []
    assert list(workspace.prefect.glob("run-*")) == [beginning]


def test_a_run_that_waits_gets_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "POLL_SECONDS", 0.01)
    order = []
    waiting = threading.Event()
    first = runs.one_at_a_time(Workspace(tmp_path), "model", "cancel")
    first.__enter__()

    class Logger:
        def warning(self, text: str, name: str) -> None:
            waiting.set()

    monkeypatch.setattr(runs, "_logger", Logger)

    def wait() -> None:
        with runs.one_at_a_time(Workspace(tmp_path), "model", "wait") as mine:
            order.append(mine)

    thread = threading.Thread(target=wait)
    thread.start()
    assert waiting.wait(10)
    order.append("first ends")
    first.__exit__(None, None, None)
    thread.join(10)
    assert order == ["first ends", True]


@task("step", cached=False)
def step() -> None:
    """Do nothing."""


@flow(name="busy")
def busy(directory: str) -> str:
    with Steps(Workspace(Path(directory))) as step:
        if not step.alone("model", "cancel"):
            return cancelled("busy")
    return "done"


def test_a_run_that_shall_not_wait_ends_as_cancelled(
    server: str, workspace: Workspace, tmp_path: Path, told: list[dict[str, Any]]
) -> None:
    assert busy(str(tmp_path)) == "done"
    with runs.one_at_a_time(Workspace(tmp_path), "model", "cancel"):
        state = busy(str(tmp_path), return_state=True)
    assert (state.name, state.message) == ("Cancelled", "busy")
    assert [(message["flow"], message["state"], message["message"]) for message in told] == [
        ("busy", "Cancelled", "busy")
    ]


def _hold(root: str, run: str, begun: Any) -> None:
    with runs.alive(Workspace(Path(root)), run):
        begun.set()
        signal.pause()


def _running(server: str) -> UUID:
    """Return a flow run that the server believes to be running."""
    from prefect.states import Running

    return _made(Running())


def _made(state: Any, *tags: str) -> UUID:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.create_flow_run(failing, state=state, tags=tags).id


def _state(run: UUID) -> Any:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.read_flow_run(run).state


def test_a_run_whose_process_was_killed_is_marked_as_crashed(
    server: str, workspace: Workspace, told: list[dict[str, Any]]
) -> None:
    run = _running(server)
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=_hold, args=(str(workspace.root), str(run), begun))
    process.start()
    assert begun.wait(60)
    assert runs.crash_dead_runs(workspace) == []
    assert _state(run).is_running()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert runs.crash_dead_runs(workspace) == [run]
    assert _state(run).is_crashed()
    assert [message["state"] for message in told] == ["Crashed"]
    assert runs.crash_dead_runs(workspace) == []


def test_a_run_that_ended_and_one_of_another_server_stay_as_they_are(
    server: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Completed

    ended = _running(server)
    other = uuid4()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(ended, Completed(), force=True)
    for run in (ended, other):
        with runs.alive(workspace, str(run)):
            pass
    monkeypatch.setattr(runs, "RECORD_SECONDS", 0)
    assert runs.crash_dead_runs(workspace) == []
    assert _state(ended).is_completed()
    assert not list((workspace.prefect / "running").iterdir())


def test_a_run_that_ended_just_now_has_time_to_be_recorded(
    server: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _running(server)
    with pytest.raises(KeyboardInterrupt), runs.alive(workspace, str(run)):
        raise KeyboardInterrupt
    assert runs.crash_dead_runs(workspace) == []
    monkeypatch.setattr(runs, "RECORD_SECONDS", 0)
    assert runs.crash_dead_runs(workspace) == [run]
    assert _state(run).is_crashed()


def test_a_stop_marks_the_runs_that_it_ended_and_leaves_others_alone(
    server: str, workspace: Workspace, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Completed

    monkeypatch.setattr(runs, "STOP_SECONDS", 0.2)
    stopped, ended, other = (_running(server) for _ in range(3))
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(ended, Completed(), force=True)
    for run in (stopped, ended):
        with runs.alive(workspace, str(run)):
            pass
    with runs.alive(workspace, str(other)):
        assert runs.crash_stopped_runs(workspace) == [stopped]
    assert _state(stopped).is_crashed()
    assert "Gatecast was stopped" in _state(stopped).message
    assert _state(ended).is_completed()
    assert _state(other).is_running()
    assert [message["run_id"] for message in told] == [str(stopped)]


def test_tasks_of_a_crashed_run_do_not_stay_running_and_the_alert_names_model_and_deployment(
    server: str, told: list[dict[str, Any]]
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Completed, Running

    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(failing), "nightly", entrypoint="failing:failing")
        parameters = {"settings": {"name": "sample-range"}}
        run = client.create_flow_run_from_deployment(deployment, parameters=parameters, state=Running()).id
        states = (Running(), Completed())
        at_work, done = (
            client.create_task_run(step, run, dynamic_key=str(number), state=state).id
            for number, state in enumerate(states)
        )
        assert runs.crash_run(run)
        assert client.read_task_run(at_work).state.is_crashed()
        assert client.read_task_run(done).state.is_completed()
    (message,) = told
    assert (message["model"], message["deployment"]) == ("sample-range", "nightly")
    assert ", model sample-range, deployment nightly: Crashed." in message["text"]


@pytest.mark.parametrize("harm", HARMS, ids=HARM_NAMES)
def test_a_damaged_mark_of_a_run_stops_no_other_run(server: str, workspace: Workspace, harm: Harm) -> None:
    run = uuid4()
    with runs.alive(workspace, str(run)):
        pass
    mark = workspace.prefect / "running" / str(run)
    harm(mark)
    assert runs.crash_dead_runs(workspace) == []  # there is no such run on the server
    assert not mark.exists()


def test_runs_that_nobody_starts_any_more_are_marked_as_crashed(server: str) -> None:
    from prefect.states import Pending, Running, Scheduled

    left = _made(Pending(), "a")
    others = [_made(Pending(), "b"), _made(Running(), "a"), _made(Scheduled(), "a")]
    before = [_state(run).type for run in others]
    assert runs.crash_pending_runs("a") == [left]
    assert _state(left).is_crashed()
    assert [_state(run).type for run in others] == before


@pytest.mark.parametrize(("text", "seconds"), [("", None), ("90", 5400.0), ("0.5", 30.0)])
def test_the_time_limit_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str, seconds: float | None
) -> None:
    monkeypatch.setenv(runs.TIME_LIMIT, text)
    assert runs.time_limit_seconds() == seconds


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan"])
def test_a_time_limit_has_to_be_a_number_above_zero(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(runs.TIME_LIMIT, text)
    with pytest.raises(InputError, match="number of minutes"):
        runs.time_limit_seconds()


@flow(name="endless")
def endless() -> None:
    time.sleep(30)


def test_the_time_limit_is_read_when_a_run_starts(
    server: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert endless.timeout_seconds is None
    monkeypatch.setenv(runs.TIME_LIMIT, "0.01")
    with pytest.raises(TimeoutError, match=r"after 0\.6 second"):
        endless()


def test_a_wrong_time_limit_starts_no_run(server: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runs.TIME_LIMIT, "soon")
    monkeypatch.setattr(endless, "fn", lambda: pytest.fail("a run was started"))
    with pytest.raises(InputError, match="number of minutes"):
        endless()


@task("flaky", cached=False, retries=2)
def flaky(path: str, wrong: bool) -> dict[str, Any]:
    with Path(path).open("a") as file:
        file.write(f"{is_retry()}\n")
    if wrong:
        raise InputError("wrong input")
    if not is_retry():
        raise ValueError("broken")
    return {"summary": "done"}


@flow(name="trying")
def trying(path: str, wrong: bool) -> str:
    with Steps(Workspace.from_environment()) as step:
        return str(step(flaky, path, wrong)["summary"])


def test_a_step_that_fails_is_tried_again_and_knows_it(server: str, workspace: Workspace, tmp_path: Path) -> None:
    assert trying(str(tmp_path / "tries"), wrong=False) == "done"
    assert (tmp_path / "tries").read_text().split() == ["False", "True"]


def test_wrong_input_is_not_tried_again(server: str, workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="wrong input"):
        trying(str(tmp_path / "tries"), wrong=True)
    assert (tmp_path / "tries").read_text().split() == ["False"]


@flow(name="watchful")
def watchful() -> str:
    runs.tell("Old data", "rows.csv: <old> data.")
    return "done"


def test_a_run_that_goes_on_can_tell(server: str, told: list[dict[str, Any]]) -> None:
    runs.tell("Old data", "nobody runs")
    assert told == []
    assert watchful() == "done"
    (message,) = told
    assert (message["flow"], message["state"], message["message"]) == ("watchful", "Old data", "rows.csv: <old> data.")
    assert message["text"] == f"watchful {message['run']}: Old data. rows.csv: &lt;old&gt; data."
    assert message["run_id"] in message["url"]


def test_failed_runs_are_counted_by_flow(server: str) -> None:
    from prefect.states import Completed, Crashed, Failed

    before = runs.failed_runs().get("failing", 0)
    for state in (Failed(), Crashed(), Completed(), Failed()):
        _made(state)
    assert runs.failed_runs()["failing"] == before + 3


def test_more_failed_runs_than_a_page(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.states import Failed

    for _ in range(3):
        _made(Failed())
    whole = runs.failed_runs()
    monkeypatch.setattr(runs, "RUNS_PER_QUERY", 2)
    assert runs.failed_runs() == whole


def test_runs_that_the_server_turns_away_are_told_once(server: str, told: list[dict[str, Any]]) -> None:
    from prefect.states import Cancelled

    tag = f"turned-away-{uuid4().hex}"
    _made(Cancelled(message="Deployment concurrency limit reached."), tag)  # before anybody looked
    looking = TurnedAway(tag)
    assert looking.tell() == []
    run = _made(Cancelled(message="Deployment concurrency limit reached."), tag)
    _made(Cancelled(message="by hand"), tag)
    _made(Cancelled(message="Deployment concurrency limit reached."), "another")
    assert looking.tell() == [run]
    assert looking.tell() == []
    (message,) = told
    assert (message["run_id"], message["state"]) == (str(run), "Cancelled")
    assert message["message"] == "Another run of its deployment is under way, so this one was cancelled."
