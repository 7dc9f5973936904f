from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gatecast.flows.judging.targets import DISPLAYS
from gatecast.flows.reporting.pictures import largest_series, plot_forecasts, plot_losses, time_axis
from gatecast.lstm.training.loop import EpochRecord

SMALL = 100_000


def predictions(series: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    ds = pd.bdate_range("2014-01-01", periods=1250)
    frames = [
        pd.DataFrame(
            {
                "unique_id": f"series {n}",
                "ds": ds,
                "step": 1,
                "y": rng.normal(-9, 1, 1250),
                "lstm": rng.normal(-9, 0.3, 1250),
            }
        )
        for n in range(series)
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize(("series", "height"), [(1, 352), (2, 583), (40, 1276)])
def test_a_picture_is_small_whatever_the_number_of_series(tmp_path: Path, series: int, height: int) -> None:
    path = plot_forecasts(predictions(series), DISPLAYS["range"], "title", tmp_path / "forecast.png")
    assert path.stat().st_size < SMALL
    with Image.open(path) as picture:
        assert picture.size == (990, height)


def test_the_ten_largest_series_are_drawn() -> None:
    names = pd.Series([f"s{number}" for number in range(20)]).repeat(2)
    values = pd.Series(np.repeat(np.arange(20.0), 2), names.index)
    assert largest_series(names, -values) == [f"s{number}" for number in range(10, 20)]
    assert largest_series(names[:6], values[:6]) == ["s0", "s1", "s2"]


def test_a_single_point_is_seen(tmp_path: Path) -> None:
    """A line of one point has no length; of a test with one origin the picture would be empty."""
    rows = predictions(1).head(1)
    path = plot_forecasts(rows, DISPLAYS["close"], "title", tmp_path / "forecast.png")
    with Image.open(path) as picture:
        colours = {colour for _, colour in picture.convert("RGB").crop((60, 60, 900, 300)).getcolors(1000)}
    assert any(red > 150 > green + 50 > blue for red, green, blue in colours)


def test_the_same_forecasts_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = (
        plot_forecasts(predictions(1), DISPLAYS["close"], "title", tmp_path / name).read_bytes()
        for name in ("1.png", "2.png")
    )
    assert one == two


def test_losses_are_drawn(tmp_path: Path) -> None:
    history = [EpochRecord(n, 10 * n, 1 / n, 1 / n + 0.1, 1e-3, 1.0, True) for n in range(1, 6)]
    path = plot_losses(history, 5, tmp_path / "losses.png")
    assert 0 < path.stat().st_size < SMALL


def test_numbered_rows_have_whole_numbers_below_their_axis() -> None:
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    time_axis(axis, pd.Series([0, 1, 2, 3]))
    axis.set_xlim(0, 3)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "1", "2", "3"]
