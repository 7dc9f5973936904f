"""Train a large character model on the sample text for a while, in a fresh process: how much memory does it take?

Argument: the minutes. Prints the seconds and the most memory that the process ever held, in bytes.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.processes import most_memory

BATCH_SIZE = 64
SEQ_LEN = 128
HIDDEN_SIZE = 512


def main() -> None:
    """Run the program; see the module."""
    from gatecast import CharLM
    from gatecast.data.language.text import sample_text

    begun = time.perf_counter()
    model = CharLM(hidden_size=HIDDEN_SIZE, batch_size=BATCH_SIZE, seq_len=SEQ_LEN, max_minutes=float(sys.argv[1]))
    model.fit(sample_text())
    print(json.dumps({"seconds": time.perf_counter() - begun, "memory": most_memory()}))


if __name__ == "__main__":
    main()
