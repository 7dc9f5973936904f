from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatecast.flows.judging.evaluation import LABELS, baseline_names, overall, score, verdict
from gatecast.flows.judging.tables import score_table
from gatecast.flows.settings.runs import RetrainSettings

RANGE = RetrainSettings().resolved("bars")
CLOSE = RetrainSettings(target="close").resolved("bars")


def predictions(unique_ids: tuple[str, ...] = ("a",), **errors: float) -> pd.DataFrame:
    """Forecasts that miss y by a constant each."""
    y = np.array([1.0, 2.0, 4.0, 8.0])
    frames = [
        pd.DataFrame({"unique_id": unique_id, "y": y, **{name: y + error for name, error in errors.items()}})
        for unique_id in unique_ids
    ]
    return pd.concat(frames, ignore_index=True)


def test_scores_are_those_of_the_errors() -> None:
    scores = overall(score(predictions(lstm=0.5, naive=-1.0, har=2.0, ewma=0.0), RANGE))
    assert {name: row["rmse"] for name, row in scores.items()} == {"lstm": 0.5, "naive": 1.0, "har": 2.0, "ewma": 0.0}
    assert scores["lstm"]["mse"] == 0.25
    assert scores["lstm"]["mae"] == 0.5
    assert scores["lstm"]["skill"] == 0.5
    assert scores["lstm"]["r2"] == pytest.approx(1 - 0.25 / np.var([1, 2, 4, 8]))
    assert "mape" not in scores["lstm"]


def test_prices_are_scored_in_percent_too() -> None:
    rows = score(predictions(lstm=0.0, naive=1.0), CLOSE)
    assert overall(rows)["naive"]["mape"] == pytest.approx(100 * np.mean([1, 1 / 2, 1 / 4, 1 / 8]))
    assert baseline_names(CLOSE) == ("naive",)


def test_several_series_are_scored_one_by_one_and_together() -> None:
    rows = score(predictions(("a", "b"), lstm=1.0, naive=2.0), CLOSE)
    assert list(dict.fromkeys(row["unique_id"] for row in rows)) == ["a", "b", "all"]
    assert overall(rows)["lstm"]["rows"] == 8


def test_what_has_no_value_is_none_and_prints() -> None:
    constant = predictions(lstm=1.0, naive=0.0).assign(y=1.0, naive=1.0)
    rows = score(constant, CLOSE)
    assert rows[0]["r2"] is None
    assert rows[0]["skill"] is None
    assert score_table(rows)[0]["R²"] == "–"


def test_a_baseline_without_forecasts_is_left_out() -> None:
    rows = score(predictions(lstm=1.0, naive=2.0, har=0.0, ewma=0.0).assign(har=np.nan), RANGE)
    assert [row["forecast"] for row in rows] == ["lstm", "naive", "ewma"]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({"lstm": 0.5, "naive": 1.0, "har": 2.0, "ewma": 0.6}, "beats the naive forecast: RMSE 0.5000 against 1.000"),
        ({"lstm": 1.0, "naive": 1.0, "har": 2.0, "ewma": 2.0}, "does not beat the naive forecast"),
        ({"lstm": 0.5, "naive": 1.0, "har": 0.4, "ewma": 0.6}, "it does not beat HAR(1,5,22) (0.4000)"),
        ({"lstm": 0.5, "naive": 1.0, "har": 0.6, "ewma": 0.6}, "it beats HAR(1,5,22) (0.6000) and exp. weighted mean"),
    ],
)  # fmt: skip
def test_the_verdict_says_who_wins(errors: dict[str, Any], expected: str) -> None:
    assert expected in verdict(score(predictions(**errors), RANGE))


def test_every_forecast_has_a_name_for_people() -> None:
    assert set(LABELS) == {"lstm", *baseline_names(RANGE)}
