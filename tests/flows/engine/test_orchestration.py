from __future__ import annotations

import os
from uuid import uuid4

import pytest

from gatecast.data.errors import InputError
from gatecast.flows.engine import orchestration
from gatecast.flows.engine.orchestration import Output, Steps, flow, task, wait_until_recorded
from gatecast.flows.engine.server import ENVIRONMENT
from gatecast.flows.settings.workspace import Workspace


def test_prefect_sends_nothing_out() -> None:
    from prefect.settings import get_current_settings

    assert os.environ["DO_NOT_TRACK"] == "1"
    assert get_current_settings().server.analytics_enabled is False
    assert get_current_settings().server.ephemeral.startup_timeout_seconds == int(
        ENVIRONMENT["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"]
    )


def test_a_password_that_only_the_server_would_know_is_one_sentence(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_API_AUTH_STRING, temporary_settings

    monkeypatch.setattr(orchestration, "Server", lambda *arguments: pytest.fail("a server was started"))
    monkeypatch.setattr(orchestration, "prepare", lambda: None)
    changed = {PREFECT_API_URL: "", PREFECT_SERVER_API_AUTH_STRING: "user:secret"}
    with (
        temporary_settings(changed),
        pytest.raises(
            InputError, match="PREFECT_API_AUTH_STRING, with which commands and runs log in, is not"
        ) as wrong,
    ):
        orchestration.start_embedded_server()
    assert "secret" not in str(wrong.value)


@task("fail", cached=False)
def fail() -> Output:
    raise ValueError("broken")


@flow
def failing() -> None:
    with Steps(Workspace.from_environment()) as step:
        step(fail)


def test_the_error_of_a_step_reaches_the_caller(server: str) -> None:
    with pytest.raises(ValueError, match="broken"):
        failing()


def test_waiting_for_a_task_run_that_never_comes_ends(server: str) -> None:
    assert wait_until_recorded([uuid4()], limit_seconds=0.2) == 1


@task("say", cached=False)
def say() -> Output:
    return {"summary": "text"}


@flow
def saying() -> None:
    with Steps(Workspace.from_environment()) as step:
        step(say)


def test_a_step_is_a_line_of_the_log(server: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "prefect.flow_runs"):
        saying()
    (line,) = (message for message in caplog.messages if message.startswith("step="))
    assert line.startswith("step=say seconds=")
    assert "cached=False text" in line
