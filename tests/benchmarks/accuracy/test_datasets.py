"""Each loader keeps the protocol of its docstring; read from excerpts that have the form of the files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.accuracy.datasets import DATASETS, load_tasks
from gatecast.data.errors import InputError
from tests.benchmarks.accuracy.excerpts import HOURLY


def load(folder, *names):
    return load_tasks(folder, names)


def test_every_task_is_listed_under_the_name_that_it_has(folder):
    for name, dataset in DATASETS.items():
        assert tuple(task.name for task in load(folder, name)) == dataset.tasks


def test_all_tasks_are_read_where_none_is_named_and_one_where_it_is(folder):
    assert len(load(folder)) == sum(len(dataset.tasks) for dataset in DATASETS.values())
    assert [task.name for task in load(folder, "etth1-48")] == ["etth1-48"]


def test_hourly_series_keep_their_lengths_and_are_forecast_from_their_own_ends(folder):
    (task,) = load(folder, "m4_hourly")
    test = pd.read_csv(folder / "m4_hourly" / "test.csv").set_index("V1")
    lengths = dict(zip(task.panel.unique_ids, np.diff(task.panel.offsets), strict=True))
    assert lengths == {name: rows + 48 for name, rows in HOURLY.items()}
    assert dict(zip(task.panel.unique_ids, task.panel.trained, strict=True)) == HOURLY
    for name, rows in task.keys.groupby("unique_id"):
        np.testing.assert_array_equal(rows["y"], test.loc[name])


def test_columns_are_standardised_by_the_training_rows_and_forecast_from_every_row(folder):
    for task in load(folder, "etth1"):
        for _, column in task.frame.groupby("unique_id")["y"]:
            assert len(column) == 14_400
            assert column[:8640].mean() == pytest.approx(0, abs=1e-9)
            assert column[:8640].std(ddof=0) == pytest.approx(1)
        assert len(task.keys) == 2 * (2880 - task.horizon + 1) * task.horizon
        assert task.keys["ds"].min() == pd.Timestamp("2016-07-01") + pd.Timedelta(hours=11_520)
        assert (task.panel.trained == 8640).all()


def test_indices_are_forecast_one_day_ahead_after_2013_and_fitted_until_2011(folder):
    for task in load(folder, "stocks"):
        assert task.keys["ds"].dt.year.unique().tolist() == [2014]
        assert (task.keys["step"] == 1).all()
        assert task.panel.ds[task.panel.trained[0] - 1] <= pd.Timestamp("2011-12-31")
        assert len(task.frame.columns) > 3, "Gatecast has covariates"


def test_bicycles_are_forecast_from_every_midnight_of_the_last_90_days(folder):
    for task, origins in zip(load(folder, "bike_sharing"), (90, 84), strict=True):
        assert len(task.origins) == origins
        first_hours = task.keys.loc[task.keys["step"] == 1, "ds"]
        assert (first_hours.dt.hour == 0).all()
        assert first_hours.diff().dropna().unique().tolist() == [pd.Timedelta(days=1)]
        assert task.validation_end - task.train_end == pd.Timedelta(days=60)


def test_quarters_are_forecast_once(folder):
    (task,) = load(folder, "tourism")
    assert task.keys.groupby("unique_id").size().tolist() == [8, 8]
    assert (task.keys["cutoff"] == task.validation_end).all()
    assert task.keys["ds"].max() == task.frame["ds"].max()


@pytest.mark.parametrize("name", [name for dataset in DATASETS.values() for name in dataset.tasks])
def test_the_test_rows_are_behind_all_others(folder, name):
    (task,) = load(folder, name)
    assert task.train_end < task.validation_end < task.keys["ds"].min()
    assert task.fitted_until in (task.train_end, task.validation_end)
    assert task.keys["cutoff"].min() <= task.validation_end


def test_a_part_has_the_first_series_alone(folder):
    (task,) = load(folder, "tourism")
    assert list(task.part(1).panel.unique_ids) == ["Adelaide / South Australia / Business"]


def test_wrong_names_and_files_are_told_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"There is no task weather; choose .*tourism"):
        load(tmp_path, "weather")
    with pytest.raises(InputError, match=r"bike_sharing.csv cannot be read .* --data"):
        load(tmp_path, "bike_sharing")
    (tmp_path / "bike_sharing.csv").write_text("date_time,riders\n2011-01-01,3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"not the file that its task describes .*users"):
        load(tmp_path, "bike_sharing")
