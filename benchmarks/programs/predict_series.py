"""Forecast many series with one model, in a fresh process.

Arguments: the number of series. Prints the seconds of ``predict()`` from what the model has stored, of ``predict(df)``,
and of ``predict()`` with a model of a single series, each the median of several; and the most memory that the process
ever held, in bytes.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.processes import most_memory

ROWS = 100
_REPEATS = 15


def main() -> None:
    """Run the program; see the module."""
    from gatecast import Forecaster

    df = _frame(int(sys.argv[1]))
    model = Forecaster(lookback=24, horizon=7, hidden_size=16, max_epochs=1).fit(df)
    single = Forecaster(lookback=24, horizon=7, hidden_size=16, max_epochs=1).fit(df.head(ROWS))
    found = {
        "stored": _median(model.predict),
        "frame": _median(lambda: model.predict(df)),
        "one": _median(single.predict),
    }
    print(json.dumps({**found, "memory": most_memory()}))


def _frame(count: int) -> pd.DataFrame:
    """Return series of half hours on weekdays, a third of which are an hour later than the others."""
    ds = pd.date_range("2024-01-01", periods=60 * 48, freq="30min", unit="ns")
    ds = ds[ds.day_of_week < 5]
    ds = ds[ds.indexer_between_time("9:30", "15:30")][:ROWS]
    y = np.random.default_rng(0).normal(size=count * ROWS)
    late = pd.to_timedelta(np.repeat(np.arange(count) % 3 == 0, ROWS).astype(int), unit="h")
    names = np.repeat([f"s{number:05d}" for number in range(count)], ROWS)
    return pd.DataFrame({"unique_id": names, "ds": np.tile(ds, count) + late, "y": y})


def _median(work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(_REPEATS):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
