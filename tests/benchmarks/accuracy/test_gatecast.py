"""The best setting is chosen by the validation rows alone, by one rule for all tasks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy import gatecast
from benchmarks.accuracy.gatecast import candidates, chosen_settings, forecast_best, forecast_default, forecast_ensemble
from benchmarks.accuracy.task import Budget, Task
from gatecast.data.errors import InputError
from tests.benchmarks.accuracy.excerpts import small_task
from tests.lstm.frames import PLAIN

BUDGET = Budget(epochs=3)
METHOD = {**PLAIN, "lookback": 12, "fit_until": "training", "weight_average": "none", "schedule": "cosine"}
"""Of 0.1.0, which begins with nothing, so that the rate decides how much is learnt"""
SETTINGS = {"slow": {**METHOD, "learning_rate": 1e-4}, "fast": {**METHOD, "learning_rate": 3e-2}}
REFUSED = {"window_scaling": "mean", "scaling": "standard"}


@pytest.fixture
def task(monkeypatch) -> Task:
    monkeypatch.setattr(gatecast, "candidates", lambda task: SETTINGS)
    return small_task()


def forecast_of(name: str, task: Task) -> np.ndarray:
    model, sequences = gatecast._train(task, SETTINGS[name], BUDGET, seed=0)
    y_hat, _ = gatecast._forecast_test(model, sequences, task)
    return y_hat


def with_test_rows(task: Task, y: np.ndarray) -> Task:
    frame = task.frame.copy()
    frame.loc[frame["ds"] > task.validation_end, "y"] = y
    return replace(task, frame=frame)


def test_the_candidate_that_is_perfect_on_the_test_rows_is_not_chosen_for_it(task):
    honest = forecast_best(task, BUDGET, seed=0)
    assert honest.note == "fast (of 2)"
    assert honest.bound == "at most 3 epochs"
    planted = with_test_rows(task, forecast_of("slow", task))
    np.testing.assert_allclose(planted.keys["y"], forecast_of("slow", planted))  # nothing could be better
    again = forecast_best(planted, BUDGET, seed=0)
    assert again.note == honest.note
    np.testing.assert_array_equal(again.y_hat, honest.y_hat)


def test_the_validation_rows_do_choose(task):
    planted = task.frame.copy()
    is_validation = (planted["ds"] > task.train_end) & (planted["ds"] <= task.validation_end)
    # What changes nothing after the training mean is forecast better by what has learnt nothing but that.
    planted.loc[is_validation, "y"] = planted[~is_validation].groupby("unique_id")["y"].mean()[
        planted.loc[is_validation, "unique_id"]
    ].to_numpy()  # fmt: skip
    assert forecast_best(replace(task, frame=planted), BUDGET, seed=0).note.startswith("slow")


def test_forecasts_stand_in_the_order_of_the_keys(task):
    y_hat = forecast_best(task, BUDGET, seed=0).y_hat.reshape(2, -1)
    levels = task.frame.groupby("unique_id")["y"].mean()
    assert np.abs(y_hat.mean(axis=1) / levels - 1).max() < 0.2


def test_the_rule_knows_no_name_and_stays_small():
    task = small_task()
    settings = candidates(task)
    assert settings == candidates(replace(task, name="another", title="Another"))
    assert settings["default"] == {}
    half = chosen_settings(task).window // 2 // 6 * 6
    assert list(settings) == ["default", "hidden size 64", f"lookback {half}"]
    assert half > 0
    squared = candidates(replace(task, measures=("MSE", "MASE")))
    assert list(squared) == ["default", "hidden size 64", "loss mse"]


def test_no_candidate_has_learnt_the_rows_that_choose(task, monkeypatch):
    trained = []

    def train(task, settings, budget, seed):
        trained.append(settings)
        return forecaster(task, settings, budget, seed)

    forecaster = gatecast._train
    monkeypatch.setattr(gatecast, "_train", train)
    monkeypatch.setattr(gatecast, "candidates", lambda task: {"default": {}, "small": {"hidden_size": 8}})
    forecast_best(task, Budget(epochs=1), seed=0)
    assert [settings.get("fit_until") for settings in trained] == ["training", "training", None]
    trained.clear()
    forecast_best(replace(task, fitted_until=task.train_end), Budget(epochs=1), seed=0)
    assert [settings.get("fit_until") for settings in trained] == ["training", "training"]


def test_a_candidate_that_is_refused_is_left_out(monkeypatch):
    monkeypatch.setattr(gatecast, "candidates", lambda task: {**SETTINGS, "refused": REFUSED})
    assert "(of 2)" in forecast_best(small_task(), Budget(epochs=1), seed=0).note


def test_no_candidate_at_all_is_an_error(task, monkeypatch):
    monkeypatch.setattr(gatecast, "candidates", lambda task: {"refused": REFUSED})
    with pytest.raises(InputError, match="goes by the size of values"):
        forecast_best(task, BUDGET, seed=0)


def test_the_default_needs_no_setting():
    y_hat = forecast_default(small_task(), Budget(epochs=1), seed=0).y_hat
    assert np.isfinite(y_hat).all()


def test_an_ensemble_is_the_mean_of_its_seeds():
    task = replace(small_task(), fitted_until=small_task().train_end)
    several = forecast_ensemble(task, Budget(epochs=1), seed=3).y_hat
    each = [forecast_default(task, Budget(epochs=1), seed).y_hat for seed in range(3, 8)]
    np.testing.assert_allclose(several, np.mean(each, axis=0), rtol=1e-4)
