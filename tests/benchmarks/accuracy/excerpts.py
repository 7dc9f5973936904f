"""Small files in the form of the data sets, and a small task, all made by seeded functions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.accuracy.task import Measure, Task

HOURLY = {"H1": 96, "H2": 240}
"""Training values of the hourly series; 48 more follow"""


def hourly(rows: int, seed: int, season: int = 24) -> np.ndarray:
    """Return positive values with a multiplicative season, a trend and noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(rows)
    shape = 1 + 0.4 * np.sin(2 * np.pi * time / season) + 0.1 * np.cos(4 * np.pi * time / season)
    return (100 * (seed + 1) + 0.1 * time) * shape * np.exp(rng.normal(0, 0.05, rows))


def write_folder(folder: Path) -> Path:
    """Write an excerpt of each data set."""
    (folder / "m4_hourly").mkdir()
    _write_m4(folder / "m4_hourly")
    _write_etth1(folder / "etth1.csv")
    for seed, name in enumerate(("sp500", "nasdaq")):
        _write_bars(folder / f"{name}.csv", seed)
    dates = pd.date_range("2011-01-01", periods=200 * 24, freq="h")
    bikes = pd.DataFrame({"date_time": dates, "weather": "clear", "users": hourly(len(dates), 0)})
    bikes.to_csv(folder / "bike_sharing.csv", index=False)
    _write_tourism(folder / "australia_tourism.csv")
    return folder


def small_task(measures: tuple[Measure, ...] = ("MASE", "OWA", "sMAPE", "weighted quantile loss", "coverage")) -> Task:
    """Return two series of 20 short days, of which the last two hours are forecast once."""
    ds = pd.date_range("2024-01-01", periods=24 * 20, freq="h")
    parts = [pd.DataFrame({"unique_id": f"s{seed}", "ds": ds, "y": hourly(len(ds), seed, season=6)}) for seed in (0, 1)]
    frame = pd.concat(parts, ignore_index=True)
    validation_end = pd.Timestamp("2024-01-19 23:00")
    return Task(
        "small", "A small task", frame, "h", 24, (6,), 12, pd.Timestamp("2024-01-14 23:00"), validation_end,
        fitted_until=validation_end, measures=measures,
    )  # fmt: skip


def _write_m4(folder: Path) -> None:
    values = {name: np.round(hourly(rows + 48, seed), 2) for seed, (name, rows) in enumerate(HOURLY.items())}
    longest = max(HOURLY.values())
    train = [[name, *of_series[:-48], *[""] * (longest - len(of_series) + 48)] for name, of_series in values.items()]
    test = [[name, *of_series[-48:]] for name, of_series in values.items()]
    for part, rows in (("train", train), ("test", test)):
        columns = [f"V{number}" for number in range(1, len(rows[0]) + 1)]
        pd.DataFrame(rows, columns=columns).to_csv(folder / f"{part}.csv", index=False)


def _write_etth1(path: Path) -> None:
    dates = pd.date_range("2016-07-01", periods=14_500, freq="h")
    columns = {name: np.round(hourly(len(dates), seed), 3) for seed, name in enumerate(("HUFL", "OT"))}
    pd.DataFrame({"date": dates, **columns}).to_csv(path, index=False)


def _write_bars(path: Path, seed: int) -> None:
    dates = pd.date_range("2011-06-01", "2014-03-31", freq="B")
    rng = np.random.default_rng(seed)
    close = 1000 * np.exp(np.cumsum(rng.normal(0, 0.01, len(dates))))
    opening = close * np.exp(rng.normal(0, 0.004, len(dates)))
    high = np.maximum(opening, close) * np.exp(rng.uniform(0.001, 0.01, len(dates)))
    low = np.minimum(opening, close) * np.exp(-rng.uniform(0.001, 0.01, len(dates)))
    columns = {"Date": dates, "Open": opening, "High": high, "Low": low, "Close": close, "Adj Close": close}
    pd.DataFrame({**columns, "Volume": 1_000_000 + np.arange(len(dates))}).to_csv(path, index=False)


def _write_tourism(path: Path) -> None:
    dates = pd.date_range("2008-01-01", periods=40, freq="QS")
    parts = [
        pd.DataFrame(
            {
                "date_time": dates, "Region": "Adelaide", "State": "South Australia", "Purpose": purpose,
                "Trips": hourly(len(dates), seed, season=4),
            }
        )
        for seed, purpose in enumerate(("Holiday", "Business"))
    ]  # fmt: skip
    pd.concat(parts).to_csv(path, index=False)
