"""Each example runs, on a small budget where it takes one, and does what it says."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))


def main_of(name: str) -> Callable[..., Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]


def test_the_forecast_is_of_the_next_session_and_scored_against_naive(capsys):
    forecast = main_of("forecast")(start=date(2017, 1, 1), n_windows=5, max_epochs=1)
    assert list(forecast["unique_id"]) == ["nasdaq", "sp500"]
    assert {f"{day:%Y-%m-%d}" for day in forecast["ds"]} == {"2019-01-02"}
    assert np.isfinite(forecast["y_hat"]).all()
    assert capsys.readouterr().out.count(", naive ") == 2


def test_own_data_is_forecast_at_the_level_of_each_shop():
    forecast = main_of("own_data")(days=200, max_epochs=10)
    assert (
        forecast.groupby("unique_id")["ds"].agg(["min", "count"]).to_numpy().tolist()
        == [[np.datetime64("2024-07-19"), 7]] * 3
    )
    levels = forecast.groupby("unique_id")["y_hat"].mean()
    np.testing.assert_allclose(levels, [80, 48, 160], rtol=0.2)


def test_the_text_model_writes_with_what_it_has_read():
    written = main_of("text")(characters=20_000, max_epochs=1)
    assert len(written) == 300
    assert " " in written
    assert "\0" not in written


def test_the_tagger_finds_a_new_person():
    tags = main_of("tagging")()
    assert len(tags) == 9
    assert tags[3:5] == ["B-PERSON", "I-PERSON"]
    assert set(tags[5:]) == {"O"}


def test_the_own_network_learns_to_add():
    assert main_of("own_network")(steps=800) < 0.05  # 1/6 is the error of always answering 1


@pytest.mark.parametrize("name", NAMES)
def test_an_example_fits_on_a_page(name):
    assert len((EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 40


def test_there_is_a_test_of_each_example():
    assert NAMES == ["forecast", "own_data", "own_network", "tagging", "text"]
