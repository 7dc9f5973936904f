from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatecast.data.store import read_parquet
from gatecast.flows.judging.evaluation import MODEL
from gatecast.flows.judging.tables import short_score_table, worst_series
from gatecast.flows.judging.targets import DISPLAYS
from gatecast.flows.reporting.errors import autocorrelation, draw_errors, typical_origins
from gatecast.flows.settings.workspace import Workspace
from tests.flows.judging.test_evaluation import evaluated, frame_of


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_the_autocorrelation_is_that_within_series(rng: np.random.Generator) -> None:
    """Two autoregressions of coefficient 0.8 whose ends do not belong together."""
    parts = []
    for _ in range(2):
        y = rng.normal(size=4000)
        for t in range(1, len(y)):
            y[t] += 0.8 * y[t - 1]
        parts.append(y)
    r, bound = autocorrelation(np.concatenate(parts), np.repeat([0, 1], 4000), 3)
    assert r == pytest.approx([0.8, 0.64, 0.512], abs=0.05)
    assert bound == pytest.approx(2 / 8000**0.5)
    r, bound = autocorrelation(rng.normal(size=4000), np.zeros(4000, int))
    assert np.mean(np.abs(r) < bound) > 0.85
    short, _ = autocorrelation(np.array([1.0, -1.0, 2.0, np.nan]), np.array([0, 0, 1, 1]))
    assert len(short) == 1
    assert len(autocorrelation(np.zeros(5), np.zeros(5, int))[0]) == 0


def test_good_median_and_bad_origins_are_in_order(rng: np.random.Generator) -> None:
    cutoffs = pd.date_range("2022-01-01", periods=101)
    rows = pd.DataFrame({"unique_id": "a", "cutoff": cutoffs, "step": 1, "y": rng.normal(size=101)})
    rows[MODEL] = rows["y"] + rng.permutation(101)
    chosen = typical_origins(rows)
    error = (rows[MODEL] - rows["y"]).abs().set_axis(cutoffs)
    assert [(kind, round(error[cutoff])) for kind, _, cutoff in chosen] == [("good", 10), ("median", 50), ("bad", 90)]


def test_the_worst_series_are_shown(rng: np.random.Generator, tmp_path: Path) -> None:
    frame = frame_of(*(rng.normal(size=220) for _ in range(13)))
    offset = frame["unique_id"].drop_duplicates().reset_index(drop=True)
    sizes = {unique_id: 2.0**number for number, unique_id in enumerate(offset)}
    evaluation, rows = evaluated(frame, lambda rows: rows["y"] + rows["unique_id"].map(sizes), 3)
    worst = worst_series(evaluation)
    assert worst == [f"s{number}" for number in range(12, 2, -1)]
    table = short_score_table(evaluation)
    assert list(dict.fromkeys(row["series"] for row in table)) == ["all series", *worst]
    drawn = draw_errors(rows, evaluation, frame, DISPLAYS["y"], tmp_path)
    assert set(drawn) == {"origins", "residuals", "steps", "worst"}
    for path in drawn.values():
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("level", [0.0, 5.0])
def test_what_never_changes_can_be_drawn(tmp_path: Path, level: float) -> None:
    frame = frame_of(np.full(220, level))
    evaluation, rows = evaluated(frame, lambda rows: rows["y"])
    drawn = draw_errors(rows, evaluation, frame, DISPLAYS["y"], tmp_path)
    assert set(drawn) == {"origins"}, "residuals that are all zero make an empty picture"


def test_a_retrain_draws_its_errors(trained: tuple[Workspace, dict[str, Any]]) -> None:
    evaluated = trained[1]["evaluate"]
    for kind in ("origins", "residuals"):
        assert Path(evaluated["errors"][kind]).exists()
    rows, _ = read_parquet(Path(evaluated["predictions"]))
    assert {MODEL, "naive", "ridge", "har"} <= set(rows)
