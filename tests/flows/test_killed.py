"""After a kill at any write, the same work once more leaves nothing temporary, and each decision is on record once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gatecast.data.locks import ON_WINDOWS

STEP = 29  # of 97 and 75 writes; with 1, it takes some minutes


@pytest.mark.skipif(ON_WINDOWS, reason="needs fork")
def test_a_rerun_after_a_kill_leaves_nothing_behind_and_decides_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.flows.killed", str(tmp_path), str(STEP)]
    environment = {**os.environ, "NUMBA_THREADING_LAYER": "workqueue"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    outcome = json.loads(found.stdout.splitlines()[-1])
    assert outcome["problems"] == {}
    assert outcome["killed"] > 5
