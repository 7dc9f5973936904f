"""What forecasts are scored by, and how rows are kept."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from benchmarks.accuracy.naive2 import Naive2
from benchmarks.accuracy.published import PUBLISHED
from benchmarks.accuracy.rows import Row, Table, keep, measure, processor_limit, read_table, score_forecasts
from benchmarks.accuracy.systems import System, systems_for
from benchmarks.accuracy.task import QUANTILES, Budget, Forecasts
from benchmarks.measure import OutOfTimeError
from gatecast.data.errors import InputError
from tests.benchmarks.accuracy.excerpts import small_task
from tests.benchmarks.accuracy.oracle import naive2

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results" / "accuracy.json"


def row(system: str = "ridge", seed: int | None = None, **changes) -> Row:
    facts = {"task": "tourism", "task_title": "Tourism", "ranked_by": "MASE", "title": system.title()}
    scores = {"MASE": 1.0} if "not_run" not in changes else {}
    return Row(
        **{**facts, "system": system, "seed": seed, "scores": scores, "processor": "a processor", "threads": 1}
        | {"versions": {}}
        | changes
    )


def system(forecast, *, is_random: bool = False) -> System:
    return System("some", "Some system", forecast, is_random)


# ---------------------------------------------------------------- scores


def test_scores_of_the_seasonal_naive_forecast_are_those_of_the_competitions_formulas():
    task = small_task()
    (seasonal,) = (system for system in systems_for(task) if system.name == "seasonal_naive_6")
    scores = score_forecasts(seasonal.forecast(task, Budget(), 0), task)
    errors = []
    for rows, trained in task.panel.each():
        known, y = task.panel.y[rows][:trained], task.panel.y[rows][trained:]
        scale = np.mean([abs(known[row] - known[row - 6]) for row in range(6, trained)])
        forecasts = np.stack([np.tile(known[-6:], 4), naive2(known, 6, 24)])
        smape = np.mean(200 * np.abs(y - forecasts) / (np.abs(y) + np.abs(forecasts)), axis=1)
        errors.append([smape, np.mean(np.abs(y - forecasts), axis=1) / scale])
    (smape, smape_naive2), (mase, mase_naive2) = np.mean(errors, axis=0)
    expected = {"sMAPE": smape, "MASE": mase, "OWA": (smape / smape_naive2 + mase / mase_naive2) / 2}
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert expected == pytest.approx({"sMAPE": 4.7509, "MASE": 0.9546, "OWA": 0.9480}, abs=1e-4)


def test_whole_m4_hourly_gives_the_official_figures_of_the_seasonal_naive_forecast():
    measured = {row.system: row.scores for row in read_table(RESULTS).rows if row.task == "m4_hourly"}
    (official,) = (other.scores for other in PUBLISHED["m4_hourly"] if "sMAPE" in other.scores)
    assert measured["seasonal_naive_24"]["sMAPE"] == pytest.approx(official["sMAPE"], abs=5e-4)
    assert measured["seasonal_naive_24"]["MASE"] == pytest.approx(official["MASE"], abs=5e-4)
    assert measured["seasonal_naive_24"]["OWA"] == pytest.approx(official["OWA"], abs=5e-5)
    assert measured["naive2"]["OWA"] == pytest.approx(1)


def test_naive2_is_what_owa_is_a_share_of():
    task = small_task()
    y_hat = Naive2(6).forecast(task.panel, task.origins, task.horizon).ravel()
    assert score_forecasts(Forecasts(y_hat), task)["OWA"] == pytest.approx(1)


def test_a_point_forecast_is_its_own_quantiles_and_covers_nothing():
    task = small_task()
    y = task.keys["y"].to_numpy()
    scores = score_forecasts(Forecasts(y + 3), task)
    assert scores["weighted quantile loss"] == pytest.approx(3 * len(y) / np.abs(y).sum())
    assert "coverage" not in scores


def test_quantiles_are_scored_as_they_are():
    task = small_task()
    y = task.keys["y"].to_numpy()
    inside = np.arange(len(y)) % 4 > 0
    quantiles = y[:, None] + np.linspace(-1, 1, len(QUANTILES)) + np.where(inside, 0, 10)[:, None]
    scores = score_forecasts(Forecasts(quantiles[:, 4], quantiles), task)
    assert scores["coverage"] == pytest.approx(0.75)
    error = y[:, None] - quantiles
    losses = np.maximum(np.array(QUANTILES) * error, (np.array(QUANTILES) - 1) * error)
    assert scores["weighted quantile loss"] == pytest.approx(2 * losses.mean(axis=1).sum() / np.abs(y).sum())


# ---------------------------------------------------------------- rows


def test_a_row_says_what_the_system_came_to():
    task = small_task(measures=("MASE", "sMAPE"))
    seeds = []

    def forecast(task, budget, seed):
        seeds.append(seed)
        return Forecasts(task.keys["y"].to_numpy(), note="a note", bound="5 steps")

    measured = measure(system(forecast, is_random=True), task, Budget(), threads=1, seed=7)
    assert seeds == [7]
    assert measured.scores == {"MASE": 0, "sMAPE": 0}
    assert (measured.seed, measured.ranked_by, measured.not_run) == (7, "MASE", "")
    assert (measured.note, measured.bound) == ("a note", "5 steps")
    assert measure(system(forecast), task, Budget(), threads=1).seed is None


def test_seconds_are_those_of_the_processor_child_processes_included(monkeypatch):
    own, children = iter([1.0, 3.0]), iter([(5.0, 0.25), (7.0, 0.75)])
    monkeypatch.setattr("benchmarks.accuracy.rows.time.process_time", lambda: next(own))
    monkeypatch.setattr("benchmarks.accuracy.rows.resource.getrusage", lambda who: Usage(*next(children)))
    measured = measure(system(lambda task, *_: Forecasts(task.keys["y"].to_numpy())), small_task(), Budget(), threads=1)
    assert measured.seconds == 2 + 2 + 0.5


class Usage(NamedTuple):
    """Of child processes."""

    ru_utime: float
    ru_stime: float


def test_what_cannot_be_run_is_a_row_with_the_reason():
    def refuse(task, budget, seed):
        raise InputError("Something is missing; get it.")

    measured = measure(system(refuse), small_task(), Budget(), threads=1)
    assert measured.not_run == "Something is missing; get it."
    assert measured.scores == {}


def test_what_takes_too_long_is_stopped():
    def spin(task, budget, seed):
        while True:
            pass

    measured = measure(system(spin), small_task(), Budget(), threads=1, minutes=0.001)
    assert measured.not_run == "It takes more than 0.001 minutes of the processor."


def test_no_limit_is_left_behind():
    with processor_limit(0.002):
        pass
    with pytest.raises(OutOfTimeError), processor_limit(0.001):
        while True:
            pass
    sum(range(3_000_000))  # longer than the limits above


def test_a_row_takes_the_place_of_the_older_one_of_its_key(tmp_path):
    path = tmp_path / "results" / "accuracy.json"
    keep(path, row(seed=0))
    keep(path, row(seed=1))
    newer = row(seed=0, scores={"MASE": 2.0})
    keep(path, newer)
    assert read_table(path) == Table(rows=(row(seed=1), newer))


def test_what_could_not_be_run_here_removes_no_figures(tmp_path):
    reason = row(not_run="It is not installed.")
    assert Table().with_row(reason).rows == (reason,)
    assert Table(rows=(row(),)).with_row(reason).rows == (row(),)
    assert Table(rows=(reason,)).with_row(row()).rows == (row(),)


def test_an_absent_file_has_no_rows(tmp_path):
    assert read_table(tmp_path / "none.json").rows == ()
