from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from gatecast import Forecaster
from gatecast.data.errors import InputError
from gatecast.data.store import read_json, read_parquet
from gatecast.flows.backtest import backtest, by_period, of_champion, predict_rolling
from gatecast.flows.cli import app
from gatecast.flows.commands.backtest import BacktestOptions
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.runs import BacktestSettings
from gatecast.flows.settings.workspace import Workspace
from tests.flows.conftest import contents, small_settings
from tests.flows.typed import parsed

OPTIONS = "--symbols sp500 --start 2010-01-01 --end 2015-06-30 --lookback 8 --hidden-size 4 --epochs 3".split()  # noqa: SIM905


def settings(**changes: Any) -> BacktestSettings:
    origins = {"n_windows": 6, "step_size": 2, "refit": 3, **changes}
    return BacktestSettings.model_validate({**dict(small_settings()), **origins})


def gatecast(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["backtest", *arguments], env={"COLUMNS": "120"})


@pytest.fixture
def frame(trained: tuple[Workspace, dict[str, Any]]) -> pd.DataFrame:
    return read_ingested(Path(trained[1]["ingest"]["directory"]))


def test_the_flow_scores_model_and_baselines_from_each_origin(server: str, workspace: Workspace) -> None:
    result = backtest(settings())
    rows, _ = read_parquet(Path(result["roll"]["predictions"]))
    assert rows.columns.tolist() == [
        "unique_id",
        "cutoff",
        "ds",
        "step",
        "y",
        "lstm",
        "naive",
        "mean",
        "drift",
        "ridge",
        "har",
        "ewma",
    ]
    assert rows["cutoff"].nunique() == len(rows) == 6
    assert result["roll"]["summary"] == "6 forecasts from 6 origins, 2 trainings"
    evaluation = read_json(Path(result["score"]["evaluation"]))
    expected = float(np.sqrt(np.mean((rows["lstm"] - rows["y"]) ** 2)))
    assert evaluation["scores"][0]["rmse"] == pytest.approx(expected)
    assert evaluation["verdict"].startswith("The model ")
    assert evaluation["judged"]["best_label"] in evaluation["verdict"]
    assert set(evaluation["labels"]) == set(rows.columns[5:])
    assert [period["origins"] for period in evaluation["periods"]] == [3, 3]
    assert Path(result["score"]["picture"]).stat().st_size > 1000
    again = backtest(settings())
    assert {step["name"]: step["cached"] for step in again["steps"]} == {"ingest": False, "roll": True, "score": True}


def test_prices_come_in_their_unit_several_steps_ahead(frame: pd.DataFrame) -> None:
    wanted = settings(target="close", model={"lookback": 8, "hidden_size": 4, "max_epochs": 1, "horizon": 3})
    rows = predict_rolling(frame, wanted.resolved("bars"), None)  # type: ignore[arg-type]
    closes = frame.set_index("ds")["close"]
    assert rows["step"].tolist() == [1, 2, 3] * 6
    assert np.allclose(rows["y"], closes.loc[rows["ds"]])
    assert np.allclose(rows["naive"], closes.loc[rows["cutoff"]])


def test_the_baselines_are_fitted_on_what_was_known(frame: pd.DataFrame) -> None:
    wanted = settings(step_size=1).resolved("bars")
    rows = predict_rolling(frame, wanted, None)  # type: ignore[arg-type]
    later = frame.copy()
    moment = rows["cutoff"].iloc[-3]  # the second training
    numbers = ["open", "high", "low", "close"]
    later.loc[later["ds"] > moment, numbers] *= np.array([1.0, 1.5, 0.5, 1.0])
    other = predict_rolling(later, wanted, None)  # type: ignore[arg-type]
    known = rows["cutoff"] <= moment
    assert known.sum() == 4
    for name in ("lstm", "naive", "har", "ewma"):
        assert rows.loc[known, name].tolist() == other.loc[known, name].tolist()


def test_the_champion_is_taken_as_it_is_on_rows_it_has_not_seen(copied: Workspace, frame: pd.DataFrame) -> None:
    result = backtest(settings(refit=0, n_windows=400, step_size=1))
    rows, _ = read_parquet(Path(result["roll"]["predictions"]))
    assert rows["cutoff"].min() >= pd.Timestamp("2013-12-31")
    evaluated, _ = read_parquet(next(copied.reports.glob("sample-range/*/predictions.parquet")))
    both = evaluated.merge(rows, on=["unique_id", "cutoff", "ds", "step"])
    assert len(both) > 300
    assert np.allclose(both["lstm_x"], both["lstm_y"], atol=1e-5)
    assert np.allclose(both["y_x"], both["y_y"], atol=1e-5)


def test_a_champion_that_has_seen_everything_is_no_test(
    trained: tuple[Workspace, dict[str, Any]], tmp_path: Path, frame: pd.DataFrame
) -> None:
    model = Forecaster(**small_settings().model.model_dump())
    series = frame.rename(columns={"close": "y"})[["unique_id", "ds", "y"]]
    model.fit(series).save(tmp_path / "model")
    wanted = settings(refit=0).model_copy(update={"target": None})
    with pytest.raises(InputError, match="was trained on all of these rows"):
        predict_rolling(series, wanted, str(tmp_path / "model"))


def test_taking_the_champion_needs_one(server: str, workspace: Workspace) -> None:
    with pytest.raises(InputError, match="no champion to take as it is"):
        backtest(settings(refit=0))


def test_periods_cover_all_origins_in_the_order_of_time() -> None:
    ds = pd.date_range("2020-01-01", periods=10)
    rows = pd.DataFrame({"unique_id": "a", "cutoff": ds, "ds": ds + pd.Timedelta(days=1), "step": 1, "y": 0.0})
    rows = rows.assign(lstm=np.arange(10.0), naive=2.0, har=1.0, ewma=1.0)
    periods = by_period(rows, settings(refit=4).resolved("bars"))  # type: ignore[arg-type]
    assert [period["origins"] for period in periods] == [4, 4, 2]
    assert [period["first"] for period in periods] == ["2020-01-01", "2020-01-05", "2020-01-09"]
    assert periods[2]["rmse"] == pytest.approx((0.5 * (64 + 81)) ** 0.5)
    assert periods[2]["skill"] == pytest.approx(1 - periods[2]["rmse"] / 2)


def test_the_command_prints_scores_periods_and_paths(server: str, workspace: Workspace) -> None:
    done = gatecast(*OPTIONS, "--windows", "6", "--refit", "3")
    assert done.exit_code == 0, done.output
    for expected in ("Rolling origins", "HAR(1,5,22)", "Between one training and the next", str(workspace.reports)):
        assert expected in done.output


def test_the_name_of_a_model_stands_for_its_settings(in_trained: tuple[Workspace, dict[str, Any]]) -> None:
    workspace, _ = in_trained
    champions = of_champion(BacktestSettings(name="sample-range", n_windows=7), workspace)
    assert (champions.model.lookback, champions.n_windows, champions.refit) == (8, 7, 30)
    assert champions.data.symbols == ("sp500",)
    own = BacktestSettings(name="sample-range", model={"lookback": 9})
    assert of_champion(own, workspace) is own
    assert of_champion(BacktestSettings(), workspace) == BacktestSettings()


def test_the_flow_takes_the_champions_settings_as_the_command_does(
    in_trained: tuple[Workspace, dict[str, Any]],
) -> None:
    # The dashboard and gatecast.toml give their settings as JSON.
    result = backtest({"name": "sample-range", "n_windows": 4, "refit": 0})  # type: ignore[arg-type]
    assert result["settings"]["model"]["lookback"] == 8
    assert result["settings"]["data"]["symbols"] == ["sp500"]


def test_a_name_alone_has_to_be_that_of_a_model(copied: Workspace) -> None:
    before = contents(copied.root)
    done = gatecast("--name", "sample-rnage", "--windows", "10")
    assert done.exit_code == 2
    assert "There is no trained forecaster 'sample-rnage'; choose from sample-range." in done.output
    assert contents(copied.root) == before
    with pytest.raises(InputError, match="There is no trained forecaster 'sample-rnage'; choose from sample-range"):
        backtest(BacktestSettings(name="sample-rnage", n_windows=10))
    new = parsed(BacktestOptions, "--name", "new", "--path", "x.csv").rolling.settings()
    assert (of_champion(new, copied).name, new.data.source) == ("new", "csv")


def test_several_models_and_versions_stand_in_one_table(copied: Workspace) -> None:
    retrain(small_settings(model={"max_epochs": 1, "lookback": 12}))
    retrain(small_settings(name="other", model={"max_epochs": 2}))
    done = gatecast("--models", "sample-range@1,sample-range@2,other", "--windows", "40")
    assert done.exit_code == 0, done.output
    for expected in ("sample-range@v0001", "sample-range@v0002", "other@v0001", "HAR(1,5,22)", "last value"):
        assert expected in done.output
    folder = max(copied.reports.glob("sample-range/backtest-*"), key=lambda path: path.stat().st_mtime)
    evaluation = read_json(folder / "evaluation.json")
    rows, _ = read_parquet(folder / "predictions.parquet")
    names = ["sample-range@v0001", "sample-range@v0002", "other@v0001"]
    assert rows.columns.tolist()[5:8] == names
    assert all(f"{name} " in evaluation["verdict"] for name in names)
    total = {row["forecast"]: row["mase"] for row in evaluation["scores"]}
    assert evaluation["judged"]["model"] == min(names, key=lambda name: total[name])
    alone, _ = read_parquet(
        Path(backtest(settings(name="other", refit=0, n_windows=40, step_size=1))["roll"]["predictions"])
    )
    assert np.allclose(alone["lstm"], rows["other@v0001"], atol=1e-6)


def test_processes_forecast_what_one_process_forecasts(server: str, workspace: Workspace) -> None:
    alone = backtest(settings(workers=1))
    side_by_side = backtest(settings(workers=2), force=True)
    one, two = (read_parquet(Path(result["roll"]["predictions"]))[0] for result in (alone, side_by_side))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ("none", "There is no model 'none'"),
        ("sample-range@7", "sample-range has no version '7'"),
        ("sample-range,sample-range@1", "names sample-range@v0001 a second time; give each version once."),
        ("sample-range,ahead", "sample-range@v0001 has horizon 1 and ahead@v0001 has horizon 2"),
    ],
)
def test_models_that_cannot_meet_are_one_sentence(copied: Workspace, models: str, expected: str) -> None:
    if "ahead" in models:
        retrain(small_settings(name="ahead", model={"horizon": 2, "max_epochs": 1}))
    done = gatecast("--models", models, "--windows", "5")
    assert done.exit_code == 2, done.output
    assert expected in " ".join(done.output.split())
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--windows", "0"], "--windows 0 is not allowed"),
        (["--refit", "-1"], "--refit -1 is not allowed"),
        (["--source", "csv", "--path", "none.csv"], "does not exist"),
        ([*OPTIONS, "--windows", "9000"], "too few for 9000 windows"),
    ],
)
def test_wrong_input_is_one_sentence(server: str, workspace: Workspace, arguments: list[str], expected: str) -> None:
    done = gatecast(*arguments)
    assert done.exit_code == 2
    assert expected in done.output
    assert "Traceback" not in done.output
