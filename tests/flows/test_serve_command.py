from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from prefect.settings import PREFECT_SERVER_API_AUTH_STRING, temporary_settings
from typer.testing import CliRunner

from gatecast.data.errors import InputError
from gatecast.flows.cli import app
from gatecast.flows.commands import serve
from gatecast.flows.commands.serve import ServeOptions, connect, interrupt
from gatecast.flows.engine.guard import Guard, read_allowed
from gatecast.flows.settings.workspace import Workspace

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("disposition", [signal.default_int_handler, signal.SIG_IGN], ids=["heard", "ignored"])
def test_sigterm_is_answered_as_ctrl_c_even_where_that_is_ignored(disposition: signal.Handlers) -> None:
    former = signal.signal(signal.SIGINT, disposition)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    finally:
        signal.signal(signal.SIGINT, former)


OPEN = "--host 0.0.0.0 lets other machines run commands on this one; set PREFECT_SERVER_API_AUTH_STRING"


@pytest.mark.parametrize(
    ("options", "password", "says"),
    [
        ({"host": "0.0.0.0"}, None, OPEN),
        ({"host": "0.0.0.0"}, "", OPEN),
        ({"host": "::"}, None, "--host :: lets other machines"),
        ({"host": "0"}, None, "--host 0 lets other machines"),
        ({"host": ""}, None, "'' is no address to listen on"),
        ({"host": "", "insecure": True}, None, "'' is no address to listen on"),
        ({}, "user:secret", "PREFECT_API_AUTH_STRING, with which commands and runs log in, is not"),
        ({"allowed_host": ["https://a"]}, None, "--allowed-host 'https://a' is no host"),
        ({"host": "0.0.0.0", "allowed_host": ["*"], "insecure": True}, None, "--allowed-host '*' is no host"),
    ],
)
def test_it_is_not_open_to_other_machines_by_accident(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], password: str | None, says: str
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with (
        temporary_settings({PREFECT_SERVER_API_AUTH_STRING: password}),
        pytest.raises(InputError, match=re.escape(says)),
        ExitStack() as stack,
    ):
        connect(ServeOptions(**options), workspace, stack)
    assert not workspace.prefect.exists()


def test_what_a_person_types_is_refused_in_one_sentence(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    done = subprocess.run(
        [sys.executable, "-m", "gatecast.flows.cli", "serve", "--host", "0.0.0.0"],
        env={**kept, "GATECAST_HOME": str(tmp_path), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert OPEN in done.stderr
    assert done.stderr.count("\n") == 1


def test_compose_lets_its_workers_in_and_asks_for_a_password() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    dashboard = services["dashboard"]["command"]
    given = [dashboard[position + 1] for position, word in enumerate(dashboard) if word == "--allowed-host"]
    guard = Guard(None, "0.0.0.0", read_allowed(given))  # type: ignore[arg-type]
    asked = urlsplit(services["worker"]["environment"]["PREFECT_API_URL"]).netloc
    assert guard.refusal({"type": "http", "headers": [(b"host", asked.encode())]}) is None
    assert services["dashboard"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"].startswith("${DASHBOARD_LOGIN:?")
    assert "--insecure" not in [*dashboard, *(ROOT / "Dockerfile").read_text().split()]


def test_windows_is_told_that_serve_does_not_run_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "ON_WINDOWS", True)
    result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == 2
    assert "needs Linux or macOS; run it in the Windows Subsystem for Linux." in result.stderr
