from __future__ import annotations

import signal

import pytest

from flows.commands.serve import interrupt


@pytest.mark.parametrize("disposition", [signal.default_int_handler, signal.SIG_IGN], ids=["heard", "ignored"])
def test_sigterm_is_answered_as_ctrl_c_even_where_that_is_ignored(disposition: signal.Handlers) -> None:
    former = signal.signal(signal.SIGINT, disposition)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    finally:
        signal.signal(signal.SIGINT, former)
