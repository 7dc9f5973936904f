"""A retrain on panels as they are: gaps, missing and refused values, short and empty series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from gatecast.data.store import read_json, read_parquet
from gatecast.flows.ingest import read_data
from gatecast.flows.judging.live import score_forecasts
from gatecast.flows.judging.yardsticks import Yardstick
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.workspace import Workspace
from tests.flows.conftest import small_settings


def series(unique_id: str, rows: int, start: str = "2020-01-01") -> pd.DataFrame:
    rng = np.random.default_rng(rows)
    days = pd.date_range(start, periods=rows)
    y = 10 + np.sin(np.arange(rows) * 2 * np.pi / 7) + 0.1 * rng.normal(size=rows)
    return pd.DataFrame({"unique_id": unique_id, "ds": days, "y": y}).astype({"y": object})


def written(path: Path) -> Path:
    """Write a panel: a gap of nine days, a refused value and a missing one among the test rows, and odd series."""
    long = series("long", 300)
    long.loc[290, "y"] = "?"
    long.loc[280, "y"] = None
    parts = [
        long.drop(index=range(100, 109)),
        series("new", 40),
        series("short", 4),
        series("empty", 50).assign(y=None),
    ]
    pd.concat(parts).to_csv(path, index=False)
    return path


def test_rows_are_put_on_their_calendar_where_they_are_read(workspace: Workspace, tmp_path: Path) -> None:
    settings = DataSettings(path=str(written(tmp_path / "panel.csv")), bad_rows="quarantine")
    found = read_data(settings, workspace)
    assert found["notices"][-1] == "10 rows of 1 series were missing; they are masked."
    assert "1 of 385 rows were put in quarantine" in found["notices"][0]
    (long,) = (file for file in Path(found["directory"]).glob("long*.parquet"))
    rows, _ = read_parquet(long)
    assert (rows["ds"].diff().dropna() == pd.Timedelta(days=1)).all()
    assert np.flatnonzero(rows["y"].isna()).tolist() == [*range(100, 109), 280, 290]


def test_a_retrain_takes_the_panel_and_says_what_it_lacks(server: str, workspace: Workspace, tmp_path: Path) -> None:
    data = DataSettings(path=str(written(tmp_path / "panel.csv")), bad_rows="quarantine")
    done = retrain(small_settings(data=data, name="panel", model={"horizon": 2}))
    for sentence in (
        "11 of 344 rows, in 1 of 3 series, have no value; they are masked.",
        "1 series left out, since fewer than two of their values are known before the test: empty.",
    ):
        assert sentence in done["build_sequences"]["summary"]
        assert sentence in read_json(Path(done["evaluate"]["evaluation"]))["notes"]
        assert sentence in Path(done["publish"]["report"]).read_text()
    notes = read_json(Path(done["evaluate"]["evaluation"]))["notes"]
    assert "4 of 128 test forecasts are not scored, since their rows have no value." in notes
    predictions, _ = read_parquet(Path(done["evaluate"]["predictions"]))
    assert set(predictions["unique_id"]) == {"long", "new"}
    assert np.isfinite(predictions.select_dtypes("number")).all(axis=None)
    forecasts, _ = read_parquet(Path(done["forecast"]["path"]))
    assert set(forecasts["unique_id"]) == {"long", "new", "short"}
    assert np.isfinite(forecasts["y_hat"]).all()


def test_forecasts_of_rows_without_a_value_are_not_scored(workspace: Workspace) -> None:
    settings = small_settings(data=DataSettings(path="x.csv")).resolved("series")
    frame = series("a", 60).astype({"y": float})
    frame.loc[51, "y"] = np.nan
    forecasts = pd.DataFrame(
        {"unique_id": "a", "cutoff": frame["ds"].iloc[49], "step": [1, 2, 3], "y_hat": 1.0, "version": "v"}
    )
    scored = score_forecasts(forecasts, frame, settings, Yardstick.of(frame, settings, frame["ds"].iloc[40]))
    assert scored["step"].tolist() == [1, 3]
    assert scored["ds"].tolist() == frame["ds"].iloc[[50, 52]].tolist()
