from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
from data.text import sample_text
from lstm import CharLM

text = sample_text()[:1_000_000]
model = CharLM(hidden_size=512, batch_size=64, seq_len=128, max_minutes=1e-9, validation_fraction=0.01).fit(text)
assert model.history[-1].step == 1
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_megabyte_of_text_at_hidden_512_takes_less_than_600_megabytes():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    kilobytes = int(result.stdout) / (1024 if sys.platform == "darwin" else 1)
    assert kilobytes < 600_000
