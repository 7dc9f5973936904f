from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.sequences.features import TARGETS
from gatecast.flows.judging.intervals import bounds_in_unit, score_intervals
from gatecast.flows.judging.tables import interval_table

N = 4_000
LOW, HIGH = 1.2815515655446004, 1.959963984540054  # of a normal distribution, for 80 and 95 %


def predictions(width: float = 1.0, steps: int = 2) -> pd.DataFrame:
    """Normal errors, forecast with intervals that are `width` times as wide as they should be."""
    rng = np.random.default_rng(1)
    step = np.tile(np.arange(1, steps + 1), N // steps)
    y = 10 + step * rng.normal(size=N)
    frame = pd.DataFrame({"unique_id": np.repeat(["a", "b"], N // 2), "step": step, "y": y})
    bounds = {"80": LOW, "95": HIGH}
    for level, bound in bounds.items():
        frame[f"y_hat-lo-{level}"] = 10 - width * bound * step
        frame[f"y_hat-hi-{level}"] = 10 + width * bound * step
    return frame.assign(lstm=10.0)


def test_intervals_that_hold_are_said_to_hold() -> None:
    found = score_intervals(predictions(), "lstm", N)
    assert found is not None
    assert [each["level"] for each in found["levels"]] == [80, 95]
    for each, bound in zip(found["levels"], (LOW, HIGH), strict=True):
        assert each["coverage"] == pytest.approx(each["level"] / 100, abs=0.02)
        assert each["width"] == pytest.approx(2 * bound * 1.5)
        assert [step["step"] for step in each["steps"]] == [1, 2]
        assert each["steps"][1]["width"] == pytest.approx(2 * each["steps"][0]["width"])
        assert each["holds"] is True
        assert each["interval_score"] > each["width"]
    assert found["quantiles"] == [0.025, 0.1, 0.5, 0.9, 0.975]
    assert 0 < found["weighted_quantile_loss"] < 0.2
    assert found["sentence"].startswith("On the test rows, the interval of 80 % holds (it covers ")


@pytest.mark.parametrize(("width", "word"), [(0.8, "too narrow"), (1.3, "too wide")])
def test_intervals_that_do_not_hold_are_said_to_be_wrong(width: float, word: str) -> None:
    found = score_intervals(predictions(width), "lstm", N)
    exact = score_intervals(predictions(), "lstm", N)
    assert found is not None
    assert exact is not None
    assert found["sentence"].count(word) == 2
    assert not any(each["holds"] for each in found["levels"])
    for ours, best in zip(found["levels"], exact["levels"], strict=True):
        assert ours["interval_score"] > best["interval_score"]
    assert found["weighted_quantile_loss"] > exact["weighted_quantile_loss"]


def test_what_few_rows_leave_to_chance_is_no_fault() -> None:
    for rows, calibrated_on in ((predictions(0.8), 20), (predictions(0.8).head(40), N)):
        found = score_intervals(rows, "lstm", calibrated_on)
        assert found is not None
        assert all(each["holds"] for each in found["levels"])


def test_forecasts_without_intervals_have_no_scores() -> None:
    assert score_intervals(predictions()[["unique_id", "step", "y", "lstm"]], "lstm", N) is None
    assert interval_table({}) == interval_table({"intervals": None}) == []


def test_scores_are_rows_of_a_table() -> None:
    first, second = interval_table({"intervals": score_intervals(predictions(), "lstm", N)})
    assert (first["interval"], second["interval"]) == ("80 %", "95 %")
    assert first["covers"].endswith("%")
    assert set(first) == {"interval", "covers", "least at a step", "width", "interval score", "holds"}


def test_bounds_are_put_into_the_unit_of_the_target() -> None:
    ds = pd.bdate_range("2020-01-01", periods=4)
    bars = pd.DataFrame({"unique_id": "a", "ds": ds, "close": [100.0, 110, 105, 108]})
    raw = pd.DataFrame(
        {"unique_id": "a", "cutoff": ds[:3], "ds": ds[1:], "step": 1, "y": 0.0, "y_hat": 0.0, "y_hat-lo-80": -0.1}
    )
    bounds = bounds_in_unit(raw, bars, TARGETS["close"])
    assert bounds["y_hat-lo-80"] == pytest.approx(np.array([100.0, 110, 105]) * np.exp(-0.1))
    assert bounds_in_unit(raw.assign(step=[1, 2, 3]), bars, TARGETS["close"]) == {}
    assert bounds_in_unit(raw, bars, TARGETS["range"])["y_hat-lo-80"].tolist() == [-0.1] * 3
