"""What forecasts: the copy of the champion that has learnt all rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from gatecast.data.store import read_parquet
from gatecast.flows.cli import app
from gatecast.flows.forecast import forecast_latest
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.registry import Registry
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.workspace import Workspace

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two noisy weeks' patterns."""
    days = np.arange(150)
    generator = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "unique_id": name,
                "ds": pd.date_range("2022-01-01", periods=len(days)),
                "y": 20 + 4 * np.sin(2 * np.pi * days / 7) + generator.normal(size=len(days)),
            }
        )
        for name in "ab"
    ]
    pd.concat(parts).to_csv(tmp_path / "shop.csv", index=False)
    return tmp_path / "shop.csv"


def settings(path: Path, **changes: object) -> RetrainSettings:
    model = {"lookback": 14, "hidden_size": 4, "max_epochs": 2, "horizon": 2}
    return RetrainSettings.model_validate(
        {"name": "shop", "data": {"source": "csv", "path": str(path)}, "model": model, **changes}
    )


def learnt_until(path: str) -> str:
    return read_parquet(Path(path))[1]["learnt_until"]


def test_the_champion_is_judged_without_the_newest_rows_and_its_copy_forecasts_with_them(
    path: Path, workspace: Workspace
) -> None:
    first = retrain(settings(path))
    registry = Registry(workspace, "shop")
    version = str(registry.champion())
    assert learnt_until(first["forecast"]["path"]) == "2022-05-30"
    assert registry.model(version, FORECASTER).boundaries["validation_end"] < "2022-05-30"
    copy, is_copy = registry.forecaster(version)
    assert is_copy
    forecasts, metadata = read_parquet(Path(first["forecast"]["path"]))
    assert metadata["version"] == version
    np.testing.assert_allclose(forecasts["y_hat"], copy.predict()["y_hat"], rtol=1e-6)
    assert registry.versions() == [version]  # the copy is no version: it is not compared

    again = retrain(settings(path))
    assert {step["name"] for step in again["steps"] if step["cached"]} >= {"train", "evaluate", "refit", "forecast"}

    # The data go on, and the champion stays: its copy follows.
    longer = pd.read_csv(path, parse_dates=["ds"])
    rows = longer.groupby("unique_id").head(7)
    pd.concat([longer, rows.assign(ds=rows["ds"] + pd.Timedelta("150D"))]).to_csv(path, index=False)
    stays = retrain(settings(path, gate={"minimum_gain": 0.9}))
    assert stays["promote"]["champion"] == version
    assert learnt_until(stays["forecast"]["path"]) == "2022-06-06"
    assert learnt_until(forecast_latest("shop")["forecast"]["path"]) == "2022-06-06"


def test_a_damaged_copy_leaves_the_forecasts_to_the_champion(path: Path, workspace: Workspace) -> None:
    retrain(settings(path))
    registry = Registry(workspace, "shop")
    version = str(registry.champion())
    file = registry.refit_path(version) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    found = forecast_latest("shop")
    assert learnt_until(found["forecast"]["path"]) == registry.model(version, FORECASTER).boundaries["train_end"]


@pytest.mark.parametrize("how", ["window", "none"])
def test_other_final_fits(path: Path, workspace: Workspace, how: str) -> None:
    retrain(settings(path))
    found = retrain(settings(path, final_fit=how))
    registry = Registry(workspace, "shop")
    version = str(registry.champion())
    _, is_copy = registry.forecaster(version)
    model = registry.model(version, FORECASTER)
    if how == "none":
        assert found["refit"] is None
        assert not is_copy
        assert learnt_until(found["forecast"]["path"]) == model.boundaries["train_end"]
        return
    assert is_copy
    assert found["refit"] is not None
    trained = (pd.date_range("2022-01-01", periods=150) <= model.boundaries["train_end"]).sum()
    assert f"trained again on {2 * trained} rows" in found["refit"]["summary"]
    assert learnt_until(found["forecast"]["path"]) == "2022-05-30"


def test_models_show_tells_of_the_copy(path: Path, workspace: Workspace) -> None:
    retrain(settings(path))
    told = CliRunner().invoke(app, ["models", "show", "shop", "1"])
    assert told.exit_code == 0, told.output
    assert "by a copy of it that has learnt all rows up to 2022-05-30" in told.output
