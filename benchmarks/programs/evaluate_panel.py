"""Evaluate forecasts of many series, in a fresh process.

Arguments: the number of series, of origins of each, and of steps ahead. Prints the seconds of the evaluation and of the
baselines' forecasts before it, and the most memory that the process held during the evaluation beyond what it held
before, which is the forecasts themselves and the libraries; in bytes.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.processes import most_memory
from gatecast.flows.judging.evaluation import MODEL, evaluate
from gatecast.flows.judging.yardsticks import Yardstick
from gatecast.flows.settings.runs import RetrainSettings

_TRAINED = 24 * 14


def main(series: int, origins: int, steps: int) -> None:
    """Make the series, let the baselines forecast, and evaluate."""
    generator = np.random.default_rng(0)
    rows = _TRAINED + origins + steps
    hours = pd.date_range("2024-01-01", periods=rows, freq="h")
    day = np.sin(np.arange(rows) / 24 * 2 * np.pi)
    y = 5 * day + generator.normal(size=(series, rows))
    names = np.repeat([f"s{number:04d}" for number in range(series)], rows).astype(object)
    frame = pd.DataFrame({"unique_id": names, "ds": np.tile(hours, series), "y": y.ravel()})
    settings = RetrainSettings(name="panel", model={"lookback": 48, "horizon": steps}).resolved("series")
    predictions = _keys(frame, hours, series, origins, steps, y)

    started = time.perf_counter()
    yardstick = Yardstick.of(frame, settings, hours[_TRAINED - 1])
    forecasts = yardstick.forecast(predictions)
    predictions = predictions.join(forecasts.values)
    predictions[MODEL] = predictions["y"] + generator.normal(size=len(predictions))
    forecast_seconds = time.perf_counter() - started

    Path("/proc/self/clear_refs").write_text("5")  # from now on, the most is that of the evaluation
    before = most_memory()
    started = time.perf_counter()
    evaluation = evaluate(predictions, yardstick, settings, forecasts.notes)
    seconds = time.perf_counter() - started
    print(
        json.dumps(
            {
                "seconds": seconds,
                "memory": most_memory() - before,
                "forecast_seconds": forecast_seconds,
                "rows": len(predictions),
                "verdict": evaluation["verdict"],
            }
        )
    )


def _keys(
    frame: pd.DataFrame, hours: pd.DatetimeIndex, series: int, origins: int, steps: int, y: np.ndarray
) -> pd.DataFrame:
    origin = _TRAINED - 1 + np.arange(origins)
    target = origin[:, None] + np.arange(1, steps + 1)
    names = frame["unique_id"].to_numpy()[:: len(hours)]
    each = origins * steps
    return pd.DataFrame(
        {
            "unique_id": np.repeat(names, each),
            "cutoff": np.tile(np.repeat(hours.to_numpy()[origin], steps), series),
            "ds": np.tile(hours.to_numpy()[target].ravel(), series),
            "step": np.tile(np.arange(1, steps + 1), series * origins),
            "y": y[:, target].reshape(-1),
        }
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
