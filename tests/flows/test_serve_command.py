from __future__ import annotations

import signal

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.commands import serve
from flows.commands.serve import interrupt


@pytest.mark.parametrize("disposition", [signal.default_int_handler, signal.SIG_IGN], ids=["heard", "ignored"])
def test_sigterm_is_answered_as_ctrl_c_even_where_that_is_ignored(disposition: signal.Handlers) -> None:
    former = signal.signal(signal.SIGINT, disposition)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    finally:
        signal.signal(signal.SIGINT, former)


def test_windows_is_told_that_serve_does_not_run_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "ON_WINDOWS", True)
    result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == 2
    assert "needs Linux or macOS; run it in the Windows Subsystem for Linux." in result.stderr
