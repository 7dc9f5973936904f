"""The tasks: a loader for each set of data, which says what is forecast, how it is scored, and who set it so.

The data lie in a folder of the caller's; nothing of them is part of the project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.accuracy.task import Measure, Task
from gatecast.data.errors import InputError

__all__ = ["DATASETS", "Dataset", "load_tasks"]

_HOUR, _DAY = pd.Timedelta(hours=1), pd.Timedelta(days=1)
_PANEL_MEASURES: tuple[Measure, ...] = ("MASE", "sMAPE", "weighted quantile loss", "coverage")


def m4_hourly(folder: Path) -> Iterator[Task]:
    """Give the hourly series of the M4 competition.

    414 series of 700 to 960 values; the 48 that follow each are forecast, from its own end, once. Scored by sMAPE, by
    MASE with a season of 24 over the training values, and by OWA, their mean share of those of Naive2 (Makridakis,
    Spiliotis & Assimakopoulos 2020, "The M4 Competition"; files of the repository Mcompetitions/M4-methods). The
    weighted quantile loss is that of the GIFT-Eval leaderboard. The competition gives no dates: each series keeps its
    length, and hours are counted back from one last hour, which is the same for all. The last four days of the training
    values validate.
    """
    train, test = (_wide(folder / "m4_hourly" / f"{part}.csv") for part in ("train", "test"))
    test["number"] += train.groupby("unique_id")["number"].max().reindex(test["unique_id"]).to_numpy() + 1
    frame = pd.concat([train, test], ignore_index=True).sort_values(["unique_id", "number"], kind="stable")
    last = pd.Timestamp("2020-01-31 23:00")
    before_last = frame.groupby("unique_id")["number"].transform("max") - frame["number"]
    frame = frame.assign(ds=last - pd.to_timedelta(before_last, unit="h"))[["unique_id", "ds", "y"]]
    test_begins = last - 48 * _HOUR
    yield Task(
        "m4_hourly", "M4 Hourly, 48 steps", frame.reset_index(drop=True), "h", 48, (24,), 336,
        test_begins - 4 * _DAY, test_begins, test_begins,
        ("MASE", "sMAPE", "OWA", "weighted quantile loss", "coverage"),
    )  # fmt: skip


def etth1(folder: Path) -> Iterator[Task]:
    """Give the hourly transformer data ETTh1, at 24, 48 and 168 steps.

    All seven columns are forecast, each as a series of its own. Training is rows 0 to 8640, validation up to 11520,
    the test up to 14400, forecast from every row; the columns are standardised by the training rows, and scored by the
    mean squared error over all of them (Zhou et al. 2021, "Informer", arXiv 2012.07436, multivariate setting). MASE has
    a season of 24 over the training rows.
    """
    table = _read(folder / "etth1.csv", "date")[:14400]
    columns = table.columns.drop("date")
    training = table[columns][:8640]
    table[columns] = (table[columns] - training.mean()) / training.std(ddof=0)
    frame = table.rename(columns={"date": "ds"}).melt("ds", var_name="unique_id", value_name="y")
    ends = [table["date"].iloc[row - 1] for row in (8640, 11520)]
    for horizon in (24, 48, 168):
        yield Task(
            f"etth1-{horizon}", f"ETTh1, {horizon} steps", frame[["unique_id", "ds", "y"]], "h", horizon, (24,), 336,
            ends[0], ends[1], fitted_until=ends[0], measures=("MSE", "MASE", "weighted quantile loss", "coverage"),
        )  # fmt: skip


def stocks(folder: Path) -> Iterator[Task]:
    """Give the next day's range of the S&P 500 and of the NASDAQ, as the README has it.

    Daily bars from 1999 to 2018; what is forecast is the log of the Garman-Klass variance of the next day. Training
    ends with 2011, validation with 2013, and 2014 to 2018 are the test, forecast from every day and scored by the root
    mean squared error. Gatecast's covariates are those of its default: return, volume and range.
    """
    from gatecast.data.bars.prices import validate_bars
    from gatecast.data.sequences.features import FEATURE_SETS, TARGETS, build_series_frame
    from gatecast.data.sequences.splits import SAMPLE_SPLIT

    for name, title in (("sp500", "S&P 500"), ("nasdaq", "NASDAQ")):
        table = _read(folder / f"{name}.csv", "Date", "Open", "High", "Low", "Close", "Volume")
        bars = table.rename(columns=str.lower).rename(columns={"date": "ds"}).assign(unique_id=name)
        frame = build_series_frame(validate_bars(bars, name), TARGETS["range"], FEATURE_SETS["returns"])
        train_end, validation_end = (
            pd.Timestamp(str(SAMPLE_SPLIT.train_end)),
            pd.Timestamp(str(SAMPLE_SPLIT.validation_end)),
        )
        yield Task(
            f"{name}-range", f"{title}, next day's range", frame, "B", 1, (), 22, train_end, validation_end, train_end,
            ("RMSE", "MASE", "weighted quantile loss", "coverage"),
        )  # fmt: skip


def bike_sharing(folder: Path) -> Iterator[Task]:
    """Give the hourly users of bicycles in Washington, D.C., at 24 and 168 steps.

    The last 90 days are the test, forecast from every midnight, and the 60 days before validate (Fanaee-T, UCI Machine
    Learning Repository, doi 10.24432/C5W894; the protocol is this project's). From the users alone, without weather and
    calendar. MASE has a season of 24.
    """
    table = _read(folder / "bike_sharing.csv", "date_time", "users").rename(columns={"date_time": "ds", "users": "y"})
    frame = table.assign(unique_id="users")[["unique_id", "ds", "y"]]
    test_begins = frame["ds"].iloc[-1] - 90 * _DAY
    for horizon in (24, 168):
        yield Task(
            f"bike-{horizon}", f"Bike sharing, {horizon} hours", frame, "h", horizon, (24, 168), 336,
            test_begins - 60 * _DAY, test_begins, test_begins, _PANEL_MEASURES, step_size=24,
        )  # fmt: skip


def tourism(folder: Path) -> Iterator[Task]:
    """Give the quarterly overnight trips in Australia, 8 quarters ahead.

    304 series of region and purpose, 1998 to 2017; the last 8 quarters are the test, forecast once, and the 8 before
    validate (Wang, Cook & Hyndman 2020, package tsibble; the protocol is this project's). MASE has a season of 4.
    """
    table = _read(folder / "australia_tourism.csv", "date_time", "Region", "State", "Purpose", "Trips")
    unique_id = table["Region"] + " / " + table["State"] + " / " + table["Purpose"]
    frame = pd.DataFrame({"unique_id": unique_id, "ds": table["date_time"], "y": table["Trips"]})
    quarters = pd.DatetimeIndex(frame["ds"].unique()).sort_values()
    yield Task(
        "tourism", "Australian tourism, 8 quarters", frame.sort_values(["unique_id", "ds"], ignore_index=True), "QS", 8,
        (4,), 16, quarters[-17], quarters[-9], quarters[-9], _PANEL_MEASURES,
    )  # fmt: skip


class Dataset(NamedTuple):
    """Where the tasks of a set of data come from, and their names."""

    load: Callable[[Path], Iterator[Task]]
    tasks: tuple[str, ...]


DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        "m4_hourly": Dataset(m4_hourly, ("m4_hourly",)),
        "etth1": Dataset(etth1, ("etth1-24", "etth1-48", "etth1-168")),
        "stocks": Dataset(stocks, ("sp500-range", "nasdaq-range")),
        "bike_sharing": Dataset(bike_sharing, ("bike-24", "bike-168")),
        "tourism": Dataset(tourism, ("tourism",)),
    }
)


def load_tasks(folder: Path, names: Sequence[str] = ()) -> list[Task]:
    """Read tasks by their names or those of their sets of data; all of them where no name is given.

    Raises
    ------
    InputError
        A name is unknown, or a file cannot be read.
    """
    known = {name for dataset, (_, tasks) in DATASETS.items() for name in (dataset, *tasks)}
    for name in names:
        if name not in known:
            raise InputError(f"There is no task {name}; choose {', '.join(sorted(known))}.")
    chosen = []
    for dataset, (load, tasks) in DATASETS.items():
        if not names or {dataset, *tasks} & set(names):
            chosen += [task for task in load(folder) if not names or {dataset, task.name} & set(names)]
    return chosen


def _read(path: Path, date: str, *columns: str) -> pd.DataFrame:
    """Read a column of dates and others of a file; all of them where none is named."""
    return _table(path, parse_dates=[date], usecols=[date, *columns] if columns else None)


def _wide(path: Path) -> pd.DataFrame:
    """Read a file of a series a row: its name, then its values; return ``unique_id``, ``number`` from 0, and ``y``."""
    table = _table(path).rename(columns=lambda name: "unique_id" if name == "V1" else int(name[1:]) - 2)
    rows = table.melt("unique_id", var_name="number", value_name="y").dropna()
    return rows.astype({"number": np.int64})


def _table(path: Path, **options: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(path, **options)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); name the folder of the data with --data."
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is not the file that its task describes ({error}); get it anew.") from error
