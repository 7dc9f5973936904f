from __future__ import annotations

import subprocess
import sys

PROGRAM = r"""
import pathlib
import re
import resource
import sys
from gatecast.data.language.text import sample_text
from gatecast import CharLM

text = sample_text()[:1_000_000]
sizes = {"hidden_size": int(sys.argv[1]), "batch_size": 64, "seq_len": 128}
model = CharLM(**sizes, max_minutes=1e-9, validation_fraction=0.01).fit(text)
assert model.history[-1].step == 1
status = pathlib.Path("/proc/self/status")
if status.exists():  # there rusage begins with what the parent held when it made this process
    print(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_megabyte_of_text_at_hidden_512_takes_less_than_600_megabytes():
    most_memory(8)  # compiles the kernels, which takes memory of its own
    assert most_memory(512) < 600


def most_memory(hidden_size: int) -> float:
    """Return the most megabytes that a process had while it trained."""
    command = [sys.executable, "-c", PROGRAM, str(hidden_size)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return int(result.stdout) / (1_000_000 if sys.platform == "darwin" else 1000)
