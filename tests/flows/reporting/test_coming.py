from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gatecast.flows.reporting.coming import plot_coming, with_interval
from gatecast.flows.settings.runs import RetrainSettings

SETTINGS = RetrainSettings()


def frame(series: int, rows: int = 50) -> pd.DataFrame:
    ds = pd.date_range("2024-01-01", periods=rows)
    parts = [
        pd.DataFrame({"unique_id": f"s{k}", "ds": ds, "y": np.sin(np.arange(rows) / 3) + k}) for k in range(series)
    ]
    return pd.concat(parts, ignore_index=True)


def forecasts(series: int, steps: int = 7) -> pd.DataFrame:
    ds = pd.date_range("2024-02-20", periods=steps)
    parts = [
        pd.DataFrame({"unique_id": f"s{k}", "cutoff": pd.Timestamp("2024-02-19"), "ds": ds, "y_hat": float(k)})
        for k in range(series)
    ]
    return pd.concat(parts, ignore_index=True).assign(value=lambda rows: rows["y_hat"], unit="")


def colours(path: Path) -> set[tuple[int, int, int]]:
    with Image.open(path) as picture:
        return {colour for _, colour in picture.convert("RGB").getcolors(1000) or ()}  # type: ignore[misc]


@pytest.mark.parametrize(("series", "steps"), [(1, 1), (1, 7), (3, 1), (40, 7)])
def test_the_forecast_is_drawn_with_what_came_before(tmp_path: Path, series: int, steps: int) -> None:
    path = plot_coming(forecasts(series, steps), frame(series), SETTINGS, tmp_path / "coming.png")
    found = colours(path)
    assert any(red > 150 > 100 > green > blue for red, green, blue in found), "the forecast"
    assert any(max(colour) < 120 for colour in found), "the actual values"
    assert path.stat().st_size < 200_000


def test_an_interval_changes_the_picture(tmp_path: Path) -> None:
    plain = forecasts(2)
    bounded = plain.assign(**{"y_hat-lo-80": plain["y_hat"] - 1, "y_hat-hi-80": plain["y_hat"] + 1})
    assert {"value-lo-80", "value-hi-80"} <= set(with_interval(bounded, SETTINGS))
    one = plot_coming(plain, frame(2), SETTINGS, tmp_path / "plain.png")
    other = plot_coming(bounded, frame(2), SETTINGS, tmp_path / "bounded.png")
    assert one.read_bytes() != other.read_bytes()


def test_the_bounds_of_returns_are_not_those_of_a_price() -> None:
    own = forecasts(1).assign(**{"y_hat-lo-80": 0.0, "y_hat-hi-80": 1.0})
    assert "value-lo-80" not in with_interval(own, RetrainSettings(target="close"))
    of_volatility = with_interval(own, RetrainSettings(target="range"))
    assert of_volatility["value-lo-80"].iloc[0] == pytest.approx(100)
