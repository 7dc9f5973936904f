"""What needs no POSIX: the library, also where `fcntl`, `pwd` and their like do not exist, as on Windows."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POSIX_ONLY = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")

PROGRAM = """
import sys
for name in sys.argv[2:]:
    sys.modules[name] = None  # importing it raises ImportError

from gatecast import Forecaster, load
from tests.lstm.frames import SPLIT, SMALL, sine_frame

model = Forecaster(**SMALL).fit(sine_frame(), SPLIT)
model.save(sys.argv[1])
model.save(sys.argv[1], overwrite=True)
assert load(sys.argv[1]).predict().equals(model.predict())
"""


def test_a_forecaster_is_trained_saved_and_loaded_without_posix(tmp_path):
    # The interpreter itself has imported posix by then, as nt on Windows.
    blocked = [name for name in POSIX_ONLY if name != "posix"]
    run = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / "model"), *blocked]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", ["data", "flows", "kernels", "lstm"])
def test_no_module_imports_what_only_posix_has(room):
    imported = {
        (path.name, name.split(".")[0])
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not [found for found in imported if found[1] in POSIX_ONLY]
