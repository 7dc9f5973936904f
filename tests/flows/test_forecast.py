from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatecast import Forecaster, load
from gatecast.data.errors import InputError
from gatecast.data.store import read_parquet
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.engine.runs import WEBHOOK
from gatecast.flows.forecast import choose_model, file_stem, forecast_latest, predict_next, shown
from gatecast.flows.judging.targets import series_frame
from gatecast.flows.registry.kinds import ModelKind
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from tests.flows.conftest import small_settings
from tests.webhook import listening


def test_the_champion_forecasts_from_where_it_was_trained(
    in_trained: tuple[Workspace, dict[str, Any]],
) -> None:
    result = forecast_latest()
    assert (result["name"], result["version"]) == ("sample-range", in_trained[1]["checkpoint"]["version"])
    assert result["forecast"]["path"] == in_trained[1]["forecast"]["path"]
    forecasts, _ = read_parquet(Path(result["forecast"]["path"]))
    assert forecasts["ds"].tolist() == [pd.Timestamp("2015-07-01")]
    assert np.allclose(forecasts["value"], 100 * np.exp(forecasts["y_hat"] / 2))


def test_newer_data_give_a_further_forecast(copied: Workspace, tmp_path: Path) -> None:
    frame = read_ingested(next(copied.bars.iterdir()))
    frame.tail(40).head(30).to_csv(tmp_path / "bars.csv", index=False)
    result = forecast_latest("sample-range", tmp_path / "bars.csv")
    assert Path(result["forecast"]["path"]).name == f"{frame['ds'].iloc[-11]:%Y-%m-%d}.parquet"


@pytest.mark.parametrize("days", [1, 30])
def test_a_forecast_from_old_data_is_told_to_the_webhook(
    copied: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    frame = read_ingested(next(copied.bars.iterdir())).tail(200)
    frame.to_csv(tmp_path / "bars.csv", index=False)
    now = frame["ds"].iloc[-1].tz_localize("UTC") + pd.Timedelta(days=days)
    monkeypatch.setattr("gatecast.flows.ingest.utc_now", lambda: now)
    with listening() as (address, told):
        monkeypatch.setenv(WEBHOOK, address)
        forecast_latest("sample-range", tmp_path / "bars.csv")
    assert [(message["flow"], message["state"]) for message in told] == [("forecast", "Old data")] * (days == 30)
    assert all("bars.csv: old data: the last row is of 2015-06-30, 20 are overdue." in each["message"] for each in told)


@pytest.mark.parametrize(
    ("cutoff", "stem"),
    [
        (pd.Timestamp("2020-01-31"), "2020-01-31"),
        (pd.Timestamp("2020-01-31 15:30"), "2020-01-31T15-30-00"),
        (pd.Timestamp("2020-01-31 15:30", tz="America/New_York"), "2020-01-31T20-30-00Z"),
    ],
)
def test_forecasts_within_a_day_do_not_overwrite_each_other(cutoff: pd.Timestamp, stem: str) -> None:
    assert file_stem(cutoff) == stem


def test_files_of_numbered_rows_are_in_order() -> None:
    stems = [file_stem(pd.Timestamp("2000-01-01") + pd.Timedelta(days=step), True) for step in (9, 199, 20_000)]
    assert stems == ["step-00009", "step-00199", "step-20000"]


def test_newer_data_are_read_as_those_of_the_training(tmp_path: Path) -> None:
    given = {"decimal": ",", "id_column": "store", "target_column": "sales", "exclude": ("note",), "freq": "D"}
    data = DataSettings(path=tmp_path / "old.csv", start="2020-01-01", **given).from_file(tmp_path / "new.csv")
    assert {name: getattr(data, name) for name in given} == given
    assert (data.path, data.start) == (tmp_path / "new.csv", None)


def test_closes_are_forecast_as_prices(trained: tuple[Workspace, dict[str, Any]]) -> None:
    settings = small_settings(target="close").resolved("bars")
    frame = read_ingested(Path(trained[1]["ingest"]["directory"]))
    model = load(Path(trained[1]["checkpoint"]["path"]))
    forecasts, (sentence,) = predict_next(model, frame, settings)
    last = frame["close"].iloc[-1]
    assert forecasts["value"].iloc[0] == pytest.approx(last * np.exp(forecasts["y_hat"].iloc[0]))
    assert f"last {last:,.1f}" in sentence


def test_a_model_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no trained forecaster"):
        choose_model(Workspace(tmp_path), None)


def test_several_models_have_to_be_chosen_from(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "champion.json").write_text("{}")
    with pytest.raises(InputError, match="--name: a, b"):
        choose_model(Workspace(tmp_path), None)
    with pytest.raises(InputError, match="no trained forecaster 'c'"):
        choose_model(Workspace(tmp_path), "c")
    assert choose_model(Workspace(tmp_path), "b") == "b"


def test_a_long_list_of_models_says_how_many_it_leaves_out(tmp_path: Path) -> None:
    for number in range(24):
        (tmp_path / "models" / f"m{number:02d}").mkdir(parents=True)
        (tmp_path / "models" / f"m{number:02d}" / "champion.json").write_text("{}")
    with pytest.raises(InputError, match=r"There are 24 forecasters; .* --name: m00, .*m09 and 14 more\."):
        choose_model(Workspace(tmp_path), None)


def test_forecast_last_value_and_last_step_are_told_apart() -> None:
    settings = small_settings(model={"lookback": 8, "hidden_size": 4, "max_epochs": 2, "horizon": 3})
    settings = settings.model_copy(update={"target": None, "features": None})
    walk = 1e12 + np.random.default_rng(0).normal(scale=1e3, size=80).cumsum()
    frame = pd.DataFrame({"unique_id": "s", "ds": pd.date_range("2020-01-01", periods=80), "y": walk})
    forecasts, (sentence,) = predict_next(Forecaster.from_settings(settings.model).fit(frame), frame, settings)
    pattern = (
        r"s: expected daily value ([\d,]+), last ([\d,]+) \(80 % interval [\d,]+ to [\d,]+\);"
        r" step 3, 2020-03-23: ([\d,]+)"
    )
    first, last, third = (float(text.replace(",", "")) for text in re.fullmatch(pattern, sentence).groups())  # type: ignore[union-attr]
    assert first == pytest.approx(forecasts["value"].iloc[0], abs=100)
    assert third == pytest.approx(forecasts["value"].iloc[2], abs=100)
    assert last == pytest.approx(frame["y"].iloc[-1], abs=100)
    assert first != last != third


@pytest.mark.parametrize("horizon", [1, 3])
def test_bounds_of_prices_are_those_of_the_sums_of_returns(
    trained: tuple[Workspace, dict[str, Any]], horizon: int
) -> None:
    frame = read_ingested(Path(trained[1]["ingest"]["directory"])).tail(300)
    settings = small_settings(
        target="close", model={"lookback": 8, "hidden_size": 4, "max_epochs": 1, "horizon": horizon}
    )
    settings = settings.resolved("bars")
    model = Forecaster.from_settings(settings.model).fit(series_frame(frame, settings.target, settings.features))
    forecasts, (sentence,) = predict_next(model, frame, settings, level=(50, 80), quantiles=(0.9,))
    assert "(50 % interval" in sentence
    columns = ["value-lo-80", "value-lo-50", "value-hi-50", "value-hi-80"]
    assert (np.diff(forecasts[columns].to_numpy(), axis=1) > 0).all()
    assert forecasts["value-q-90"].tolist() == forecasts["value-hi-80"].tolist()
    last = frame["close"].iloc[-1]
    assert forecasts["value-lo-80"][0] == pytest.approx(last * np.exp(forecasts["y_hat-lo-80"][0]), rel=0.01)
    if horizon > 1:  # narrower than the sum of bounds
        assert forecasts["value-hi-80"][2] < last * np.exp(forecasts["y_hat-hi-80"].sum())
    plain, (sentence,) = predict_next(model, frame, settings, level=())
    assert not [name for name in plain if "-" in name]
    assert "interval" not in sentence


def test_courses_make_the_bounds_where_they_are_asked_for(trained: tuple[Workspace, dict[str, Any]]) -> None:
    settings = small_settings().resolved("bars")
    frame = read_ingested(Path(trained[1]["ingest"]["directory"]))
    model = load(Path(trained[1]["checkpoint"]["path"]))
    plain, _ = predict_next(model, frame, settings)
    drawn, _ = predict_next(model, frame, settings, n_samples=4_000, level=(80, 95))
    assert list(drawn) == list(plain)
    assert drawn["value-lo-80"].to_numpy() == pytest.approx(plain["value-lo-80"].to_numpy(), rel=0.05)


def test_series_that_are_not_shown_are_counted() -> None:
    sentences = [f"s{number}" for number in range(24)]
    assert shown(sentences) == [*sentences[:20], "and 4 more series, which are in the file"]
    assert shown(sentences[:20]) == sentences[:20]


def test_an_unfitted_model_cannot_forecast(trained: tuple[Workspace, dict[str, Any]]) -> None:
    frame = read_ingested(Path(trained[1]["ingest"]["directory"]))
    with pytest.raises(InputError, match="not been fitted"):
        predict_next(Forecaster(), frame, small_settings().resolved("bars"))


def test_newer_data_are_read_at_the_interval_the_model_was_trained_on(
    copied: Workspace, trained: tuple[Workspace, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def weekly(registry: Registry, version: str, kind: ModelKind) -> RetrainSettings:
        return small_settings(data={"interval": "1wk", "symbols": ("sp500",)}).resolved("bars")

    monkeypatch.setattr(Registry, "settings", weekly)
    read_ingested(Path(trained[1]["ingest"]["directory"])).to_csv(tmp_path / "bars.csv", index=False)
    result = forecast_latest("sample-range", tmp_path / "bars.csv")
    bars = read_ingested(Path(result["ingest"]["directory"]))
    assert bars["unique_id"].unique().tolist() == ["sp500"]
    assert bars["ds"].dt.day_of_week.unique().tolist() == [6]


def test_a_value_that_is_no_finite_number_is_refused_and_names_its_series(
    every_kind: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(every_kind, "range")
    version = registry.versions()[0]
    frame = read_ingested(next(every_kind.bars.glob("sample-*")))
    # The logarithm that the network forecasts is finite; the volatility that it stands for is not.
    forecast = pd.DataFrame({"unique_id": ["sp500"], "ds": [pd.Timestamp("2017-07-03")], "y_hat": [2000.0]})
    monkeypatch.setattr(Forecaster, "predict", lambda self, series, **options: forecast)
    with pytest.raises(InputError, match=r"^The forecast of sp500 is not a finite number"):
        predict_next(load(registry.path(version)), frame, registry.settings(version))
