from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gatecast.flows.reporting.attention import plot_attention
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.workspace import Workspace
from tests.flows.conftest import small_settings
from tests.flows.test_cli import gatecast


@pytest.mark.parametrize(("series", "heads", "windows"), [(1, 1, 1), (2, 3, 300), (9, 1, 5)])
def test_a_heatmap_for_each_series_and_head(tmp_path: Path, series: int, heads: int, windows: int) -> None:
    names = np.repeat([f"s{k}" for k in range(series)], windows)
    cutoff = np.tile(pd.bdate_range("2020-01-01", periods=windows), series)
    weights = np.random.default_rng(0).dirichlet(np.ones(7), size=(series * windows, heads))
    path = plot_attention(pd.DataFrame({"unique_id": names, "cutoff": cutoff}), weights, "shares", tmp_path / "a.png")
    with Image.open(path) as picture:
        assert picture.width > 900
        assert len(set(np.asarray(picture.convert("RGB")).reshape(-1, 3).sum(axis=1))) > 50  # not an empty page
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_a_variant_is_retrained_pictured_and_forecast_with_intervals(server: str, workspace: Workspace) -> None:
    result = retrain(
        small_settings(
            target="close",
            model={"attention": "general", "num_layers": 2, "residual": True, "dropout": 0.2, "horizon": 2},
        )
    )
    assert Path(result["evaluate"]["attention"]).stat().st_size > 1000
    done = gatecast("forecast", "--samples", "300", "--seed", "1")
    assert done.exit_code == 0, done.output
    assert "80 % interval" in done.output
    (path,) = (workspace.forecasts / "sample-close-2-steps").iterdir()
    first = pd.read_parquet(path)
    assert (first["y_hat-lo-80"] < first["y_hat"]).all()
    assert (first["y_hat"] < first["y_hat-hi-80"]).all()
    assert (first["value-lo-80"] < first["value"]).all()
    # The course of a price widens; bounds of returns, if they were summed up, would widen it twice as much.
    width = first["value-hi-80"] - first["value-lo-80"]
    assert 1 < width[1] / width[0] < 1.9
    assert gatecast("forecast", "--samples", "30", "--seed", "2").exit_code == 0
    assert not pd.read_parquet(path)["value"].equals(first["value"])


@pytest.mark.parametrize("arguments", [("--samples", "1"), ("--samples", "-2"), ("--seed", "-1")])
def test_wrong_samples_are_one_sentence(copied: Workspace, arguments: tuple[str, ...]) -> None:
    done = gatecast("forecast", *arguments)
    assert done.exit_code == 2
    assert f"{' '.join(arguments)} is not allowed: it should be " in done.output


def test_a_model_without_dropout_has_samples_too(copied: Workspace, server: str) -> None:
    done = gatecast("forecast", "--samples", "10")
    assert done.exit_code == 0, done.output
    assert "80 % interval" in done.output
