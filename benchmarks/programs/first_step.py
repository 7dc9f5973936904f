"""Train one step on a small frame, in a fresh process: how soon is training under way?

Prints the seconds from the import of Gatecast to the end of that step. pandas is imported before, to make the frame.
"""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd

_ROWS = 120
_LOOKBACK = 60


def main() -> None:
    """Run the program; see the module."""
    frame = pd.DataFrame(
        {
            "unique_id": "series",
            "ds": pd.date_range("2020-01-01", periods=_ROWS, freq="D"),
            "y": np.random.default_rng(0).normal(size=_ROWS),
        }
    )
    begun = time.perf_counter()
    from gatecast import Forecaster

    Forecaster(lookback=_LOOKBACK, hidden_size=64, batch_size=64, max_epochs=1).fit(frame)
    print(json.dumps({"seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main()
