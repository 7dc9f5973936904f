"""What it costs a forecaster that rows are missing, and that a series was not trained on.

``python -m benchmarks.accuracy.panels --data FOLDER [--only gaps|unseen]``: on ETTh1, 24 steps, a fifth of the values
of the training and validation rows is removed at random, and one week besides, and the test is forecast as from
complete rows; of the hourly series of M4 every tenth is left out of the training, and forecast all the same. Both are
held against the same rows forecast by a model that had everything. The exit status is 1 where an error is more than 5 %
above that.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.accuracy.datasets import load_tasks
from benchmarks.accuracy.task import Task
from gatecast.data.sequences.splits import SplitSettings
from gatecast.lstm.forecasting.forecaster import Forecaster

__all__ = ["missing_rows", "unseen_series"]

_SHARE = 0.2
_GAP = 24 * 7
_MOST = 1.05


def missing_rows(task: Task, seed: int, **settings: object) -> tuple[float, float]:
    """Return the mean squared error of a model whose training lacks rows, and that of one whose training does not.

    The windows that are forecast, those of the test, are complete in both cases but for those that reach back.
    """
    generator = np.random.default_rng(seed)
    holed = task.frame.copy()
    known = holed["ds"] <= task.validation_end
    holed.loc[known & (generator.random(len(holed)) < _SHARE), "y"] = np.nan
    days = pd.DatetimeIndex(holed.loc[known, "ds"].unique())
    begin = days[len(days) // 2]
    holed.loc[(holed["ds"] >= begin) & (holed["ds"] < begin + _GAP * pd.Timedelta(hours=1)), "y"] = np.nan
    errors = [_squared_error(_trained(task, frame, seed, **settings), frame, task) for frame in (holed, task.frame)]
    return errors[0], errors[1]


def unseen_series(task: Task, seed: int, **settings: object) -> tuple[float, float]:
    """Return the mean absolute scaled error of series that a model was not trained on, and by one that was."""
    unique_ids = task.frame["unique_id"].unique()
    left_out = set(unique_ids[::10])
    some = task.frame[~task.frame["unique_id"].isin(left_out)]
    wanted = task.frame[task.frame["unique_id"].isin(left_out)]
    errors = [_scaled_error(_trained(task, frame, seed, **settings), wanted, task) for frame in (some, task.frame)]
    return errors[0], errors[1]


def _trained(task: Task, frame: pd.DataFrame, seed: int, **settings: object) -> Forecaster:
    model = Forecaster(horizon=task.horizon, seed=seed, fit_until="training", **settings)
    split = SplitSettings(train_end=task.train_end.date(), validation_end=task.validation_end.date(), purge=0)
    return model.fit(frame, split, gaps="keep")


def _forecast(model: Forecaster, frame: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Forecast the test of a task, day by day, and put the actual values next to it."""
    origins = pd.DatetimeIndex(frame.loc[frame["ds"] >= task.validation_end, "ds"].unique())[:: task.horizon]
    parts = []
    for origin in origins:
        known = frame[frame["ds"] <= origin].groupby("unique_id").tail(model.chosen.window)
        parts.append(model.predict(known, level=()))
    return pd.concat(parts).merge(task.frame, on=["unique_id", "ds"])


def _squared_error(model: Forecaster, frame: pd.DataFrame, task: Task) -> float:
    rows = _forecast(model, frame, task)
    return float(((rows["y_hat"] - rows["y"]) ** 2).mean())


def _scaled_error(model: Forecaster, frame: pd.DataFrame, task: Task) -> float:
    rows = _forecast(model, frame, task)
    errors = (rows["y_hat"] - rows["y"]).abs() / rows["unique_id"].map(task.scales.absolute)
    return float(errors.groupby(rows["unique_id"]).mean().mean())


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.panels", description=__doc__)
    parser.add_argument("--only", choices=["gaps", "unseen"])
    parser.add_argument("--data", type=Path, default=Path("datasets"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    failed = False
    for what, name, measure in (("gaps", "etth1-24", missing_rows), ("unseen", "m4_hourly", unseen_series)):
        if arguments.only in (None, what):
            task = load_tasks(arguments.data, [name])[0]
            without, with_all = measure(task, arguments.seed)
            print(
                f"{task.title}, {what}: error {without:.4f}, with everything {with_all:.4f}, {without / with_all:.3f}×"
            )
            failed |= without > _MOST * with_all
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
