from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gatecast.data.store import read_parquet, write_parquet
from gatecast.flows.judging.live import hindcast, read_forecasts, rows_between_origins, score_forecasts
from gatecast.flows.judging.yardsticks import Yardstick
from gatecast.flows.settings.workspace import Workspace
from tests.damage import HARM_NAMES, HARMS, Harm
from tests.flows.conftest import small_settings
from tests.flows.life import DAYS, NAME, Life, live, log_variance

SETTINGS = small_settings().resolved("bars")


@pytest.fixture
def life(copied: Workspace, tmp_path: Path) -> Life:
    return live(copied, tmp_path)


def scored_in(forecasts: pd.DataFrame, bars: pd.DataFrame) -> pd.DataFrame:
    yardstick = Yardstick.of(bars, SETTINGS, pd.Timestamp("2013-12-31"))
    return score_forecasts(forecasts, bars, SETTINGS, yardstick)


def forecasts_of(life: Life) -> pd.DataFrame:
    return read_forecasts(life.workspace.forecasts / NAME, "range")


def test_each_forecast_meets_what_came(life: Life) -> None:
    scored = scored_in(forecasts_of(life), life.bars)
    came = life.bars.tail(DAYS)
    # The retrain itself forecast the first of these days, and the file was written again by the same version.
    assert scored["ds"].tolist() == came["ds"].tolist()
    assert np.allclose(scored["y"], log_variance(came))
    assert np.allclose(scored["naive"], log_variance(life.bars.iloc[-DAYS - 1 : -1]))
    for row in scored.itertuples():
        file, _ = read_parquet(life.workspace.forecasts / NAME / f"{row.cutoff:%Y-%m-%d}.parquet")
        assert row.lstm == file["y_hat"].iloc[0]


def test_what_has_not_come_yet_is_not_scored(life: Life) -> None:
    scored = scored_in(forecasts_of(life), life.bars.iloc[:-3])
    assert len(scored) == DAYS - 3
    assert len(scored_in(forecasts_of(life), life.bars.iloc[: -DAYS - 5])) == 0
    assert len(scored_in(forecasts_of(life), life.bars.assign(unique_id="other"))) == 0


def test_a_holiday_moves_the_actual_and_not_the_step(life: Life) -> None:
    holiday = life.bars["ds"].iloc[-5]
    bars = life.bars[life.bars["ds"] != holiday]
    scored = scored_in(forecasts_of(life), bars).set_index("cutoff")
    before = life.bars["ds"].iloc[-6]
    assert scored.loc[before, "ds"] == life.bars["ds"].iloc[-4]
    assert holiday not in scored.index


def test_intervals_are_held_against_what_came(life: Life) -> None:
    forecasts = forecasts_of(life)
    y = scored_in(forecasts, life.bars).set_index("cutoff")["y"]
    middle = forecasts["cutoff"].map(y).fillna(0)
    side = np.where(np.arange(len(forecasts)) % 4 == 0, 1.0, -1.0)
    forecasts = forecasts.assign(**{"y_hat-lo-80": middle + side, "y_hat-hi-80": middle + 2})
    scored = scored_in(forecasts, life.bars)
    assert scored["covered-80"].mean() == pytest.approx(0.75, abs=0.03)
    # Forecasts of before had no intervals, and say nothing of coverage.
    half = forecasts.index < len(forecasts) // 2
    bounds = ["y_hat-lo-80", "y_hat-hi-80"]
    forecasts.loc[half, bounds] = np.nan
    later = scored_in(forecasts, life.bars)["covered-80"]
    assert 0 < later.notna().sum() < len(later)
    assert later.dropna().mean() == pytest.approx(0.75, abs=0.05)


def of_something_else(path: Path) -> None:
    write_parquet(pd.DataFrame({"unique_id": ["a"], "y_hat": [1.0]}), path, read_parquet(path)[1])


def of_nobody(path: Path) -> None:
    write_parquet(read_parquet(path)[0], path)


def test_files_of_another_target(life: Life) -> None:
    directory = life.workspace.forecasts / NAME
    assert len(read_forecasts(directory, "close")) == 0
    assert len(read_forecasts(directory / "none", "range")) == 0


@pytest.mark.parametrize("harm", [*HARMS, of_something_else, of_nobody], ids=[*HARM_NAMES, "something", "nobody"])
def test_damaged_forecasts_are_set_aside(life: Life, caplog: pytest.LogCaptureFixture, harm: Harm) -> None:
    whole = forecasts_of(life)
    directory = life.workspace.forecasts / NAME
    first = min(directory.glob("*.parquet"))
    harm(first)
    damaged = first.read_bytes()
    rest = forecasts_of(life)
    assert rest.equals(whole[whole["cutoff"] > whole["cutoff"].min()].reset_index(drop=True))
    aside = first.with_name(f"{first.name}.damaged")
    assert aside.read_bytes() == damaged
    (message,) = caplog.messages
    assert message.startswith(str(first))
    assert message.endswith(f"It was set aside as {aside.name}.")
    assert forecasts_of(life).equals(rest)
    assert len(caplog.messages) == 1


def test_a_hindcast_is_what_was_forecast(life: Life) -> None:
    scored = scored_in(forecasts_of(life), life.bars)
    version = str(life.registry.champion())
    assert np.allclose(hindcast(life.registry, version, life.bars, scored), scored["lstm"], atol=1e-5)
    unknown = scored.assign(unique_id="other")
    assert hindcast(life.registry, version, life.bars, unknown).isna().all()


def test_rows_between_origins_are_those_of_the_series() -> None:
    hours = pd.date_range("2024-01-01", periods=240, freq="h")
    series = pd.concat([pd.DataFrame({"unique_id": name, "ds": hours}) for name in "ab"], ignore_index=True)
    # Every midnight, once an hour later, and two steps from each.
    origins = hours[::24].insert(3, hours[49])
    live = pd.DataFrame({"unique_id": "b", "cutoff": origins.repeat(2)})
    assert rows_between_origins(live, series) == 24
    assert rows_between_origins(live.head(2), series) == 1
