from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from gatecast import Forecaster
from gatecast.data.sequences.sequences import read_sequences
from gatecast.data.store import read_json, write_json
from gatecast.flows import monitor as module
from gatecast.flows.cli import app
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.engine.runs import WEBHOOK
from gatecast.flows.judging import promotion
from gatecast.flows.judging.checks import check_coverage, check_skill, read_reference
from gatecast.flows.judging.targets import series_frame
from gatecast.flows.judging.yardsticks import Yardstick
from gatecast.flows.monitor import errors_by_night, monitor
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting.last_runs import last_runs
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.forecasting.baselines import Baseline, LastValue, SeasonalNaive
from gatecast.lstm.forecasting.seasons import Seasons
from gatecast.lstm.training.checkpoint import fingerprint
from tests.flows.life import DAYS, NAME, Life, forecast_daily, live
from tests.lstm.frames import PLAIN
from tests.webhook import listening

# The small model may lose against a baseline; where that is not the point, it is allowed to.
LENIENT = {"skill_limit": -5.0, "rollback": False}


def gatecast(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["monitor", *arguments], env={"COLUMNS": "200"})


def watch(life: Life, **settings: Any) -> dict[str, Any]:
    return monitor(MonitorSettings(path=life.path, **settings))


def by_name(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in read_json(Path(result["check"]["report"]))["checks"]}


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be the evening after the last bar of `live`."""
    monkeypatch.setattr("gatecast.flows.ingest.utc_now", lambda: pd.Timestamp("2015-08-26 20:00", tz="UTC"))


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Events that the monitor emits, kept from the server."""
    emitted: list[dict[str, Any]] = []
    monkeypatch.setattr(module, "emit_event", lambda event, **rest: emitted.append({"event": event, **rest}))
    return emitted


def test_quiet_days_breach_nothing(copied: Workspace, tmp_path: Path, events: list[dict[str, Any]]) -> None:
    result = watch(live(copied, tmp_path), **LENIENT)
    assert result["check"]["breaches"] == []
    assert events == []
    found = by_name(result)
    assert set(found) == {
        "age of data", "live skill", "coverage of 80 %", "coverage of 95 %", "drift of errors",
        "the champion's own skill",
        "stuck values",
        *(f"drift of {name}" for name in ("y", "log_return", "log_volume", "log_range")),
        *(f"level of {name}" for name in ("y", "log_return", "log_volume", "log_range")),
    }  # fmt: skip
    assert all(each["value"] is not None for each in found.values())
    assert result["score_live"]["summary"].startswith(f"{DAYS} of {DAYS} forecasts")


def test_a_planted_shift_raises_the_alarm(copied: Workspace, tmp_path: Path, events: list[dict[str, Any]]) -> None:
    life = live(copied, tmp_path, shifted=True)
    result = watch(life, **LENIENT)
    breached = {each["name"] for each in result["check"]["breaches"]}
    # The errors need not drift: windows that are scaled by their own rows take the shift along.
    assert breached >= {"drift of y", "level of y", "level of log_range"}
    (event,) = events
    assert event["event"] == "gatecast.monitor.breach"
    assert event["resource"]["prefect.resource.id"] == f"gatecast.model.{NAME}"
    settings = event["payload"]["parameters"]["settings"]
    assert settings["data"]["path"] == str(life.path)
    assert settings["name"] == NAME
    assert json.loads(json.dumps(event["payload"])) == event["payload"]


def test_old_data_raise_an_alarm_that_starts_no_retrain(
    copied: Workspace, tmp_path: Path, events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    life = live(copied, tmp_path)
    monkeypatch.setattr("gatecast.flows.ingest.utc_now", lambda: pd.Timestamp("2018-07-26", tz="UTC"))
    result = watch(life, **LENIENT)
    (breach,) = result["check"]["breaches"]
    assert breach["name"] == "age of data"
    assert breach["note"] == "old data: the last row is of 2015-08-26, 733 are overdue"
    assert breach["note"] in result["ingest"]["summary"]
    assert [event["event"] for event in events] == ["gatecast.monitor.data"]
    assert "no retrain" in result["raise_alarm"]["summary"]
    assert watch(life, max_overdue=1000, **LENIENT)["check"]["breaches"] == []


def test_a_stuck_meter_raises_an_alarm_that_starts_no_retrain(
    copied: Workspace, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    life = live(copied, tmp_path)
    for column in ("open", "high", "low", "close"):
        life.bars.loc[life.bars.index[-12:], column] = life.bars["close"].iloc[-12]
    life.bars.to_csv(life.path, index=False)
    result = watch(life, **LENIENT)
    found = by_name(result)["stuck values"]
    assert (found["value"], found["breached"]) == (12, True)
    assert found["limit"] < 10
    assert [event["event"] for event in events] == ["gatecast.monitor.data"]
    assert "no retrain, since that would not mend stuck values" in result["raise_alarm"]["summary"]


def test_other_measures_and_windows(copied: Workspace, tmp_path: Path, events: list[dict[str, Any]]) -> None:
    life = live(copied, tmp_path, shifted=True)
    result = watch(life, drift_test="ks", drift_limit=0.2, window=30, minimum_rows=10, **LENIENT)
    assert "drift of y" in {each["name"] for each in result["check"]["breaches"]}
    assert by_name(result)["drift of y"]["note"].startswith("KS of the last 30")
    few = watch(life, minimum_rows=DAYS + 1, window=DAYS + 5, **LENIENT)
    assert by_name(few)["live skill"]["value"] is None
    assert by_name(few)["coverage"]["value"] is None
    assert not by_name(few)["live skill"]["breached"]


def bad_version(life: Life) -> str:
    """A new champion that has learnt nothing, and always says the same."""
    registry = life.registry
    champion = str(registry.champion())
    settings = registry.settings(champion)
    dull = settings.model.model_copy(update={**PLAIN, "season": (), "learning_rate": 1e-9, "max_epochs": 1, "seed": 5})
    sequences = read_sequences(next(life.workspace.sequences.glob(f"{registry.name}-*")))
    model = Forecaster.from_settings(dull).fit_sequences(sequences)
    model.scalers = {
        name: type(scaler)(scaler.kind, scaler.columns, scaler.center + 3 * np.eye(len(scaler.center))[0], scaler.scale)
        for name, scaler in model.scalers.items()
    }
    extra = {name: (registry.path(champion) / name).read_bytes() for name in ("settings.json", "evaluation.json")}
    candidate = registry.directory / "candidate"
    model.save(candidate, extra_files=extra)
    version = registry.add(candidate, fingerprint(candidate), registry.lineage(champion))
    promotion.promote(registry, version)
    return version


def test_a_champion_worse_than_a_baseline_gives_way_to_the_former_one(
    copied: Workspace, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    life = live(copied, tmp_path)
    former = str(life.registry.champion())
    bad = bad_version(life)
    forecast_daily(life, bad, len(life.bars) - DAYS)
    kept = watch(life, rollback=False)
    assert kept["roll_back"] is None
    assert life.registry.champion() == bad
    assert "live skill" in {each["name"] for each in kept["check"]["breaches"]}
    result = watch(life)
    assert life.registry.champion() == former
    assert life.registry.history()[-1]["action"] == "rollback"
    assert "worse than a baseline (MASE " in result["roll_back"]["summary"]
    # Now the former one is judged by its own forecasts, and no such forecast is stored any more.
    again = watch(life)
    assert again["roll_back"] is None
    assert by_name(again)["the champion's own skill"]["value"] is None


def test_a_rollback_needs_a_former_champion_that_does_better(
    copied: Workspace, tmp_path: Path, events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    life = live(copied, tmp_path)
    bad = bad_version(life)
    forecast_daily(life, bad, len(life.bars) - DAYS)
    with monkeypatch.context() as patch:
        patch.setattr(module, "hindcast", lambda *arguments: arguments[-1]["lstm"] + 1000)
        assert "would have done no better" in watch(life)["roll_back"]["summary"]
    with monkeypatch.context() as patch:
        patch.setattr(type(life.registry), "former_champions", lambda registry: [])
        assert "no former champion" in watch(life)["roll_back"]["summary"]
    (life.registry.path(life.registry.former_champions()[0]) / "model.safetensors").write_bytes(b"")
    assert "cannot be compared" in watch(life)["roll_back"]["summary"]
    assert life.registry.champion() == bad


def scored(error: np.ndarray, naive: float = 1.0) -> pd.DataFrame:
    n = len(error)
    rng = np.random.default_rng(1)
    days = pd.date_range("2020-01-01", periods=n)
    return pd.DataFrame(
        {
            "unique_id": "sp500",
            "cutoff": days,
            "ds": days,
            "step": 1,
            "y": 0.0,
            "lstm": error,
            "naive": naive * rng.normal(size=n),
        }
    )


def yardstick_of(*baselines: Baseline) -> Yardstick:
    """Baselines whose forecasts are given, and a year before `scored` to scale errors by."""
    days = pd.date_range("2019-01-01", periods=365)
    y = np.random.default_rng(0).normal(size=365)
    series = pd.DataFrame({"unique_id": "sp500", "ds": days, "y": y})
    return Yardstick(series, days[-1], Seasons((7,), "Season of 7 rows, as set."), (LastValue(), *baselines))


def test_a_skill_is_judged_by_limit_and_luck() -> None:
    rng = np.random.default_rng(2)
    yardstick = yardstick_of()
    settings = MonitorSettings()
    assert not check_skill("skill", scored(rng.normal(size=60)), yardstick, settings).breached
    assert check_skill("skill", scored(3 * rng.normal(size=60)), yardstick, settings).breached
    assert not check_skill("skill", scored(0.5 * rng.normal(size=60)), yardstick, settings).breached
    half = scored(0.5 * rng.normal(size=60))
    strict = check_skill("skill", half, yardstick, MonitorSettings(skill_limit=0.8))
    assert strict.breached
    assert strict.value == pytest.approx(1 - half["lstm"].abs().mean() / half["naive"].abs().mean())
    lenient = MonitorSettings(skill_limit=-5)
    assert not check_skill("skill", scored(3 * rng.normal(size=60)), yardstick, lenient).breached


@pytest.mark.parametrize(("size", "breached"), [(0.7, True), (0.05, False)])
def test_a_skill_is_judged_by_the_best_baseline(size: float, breached: bool) -> None:
    rng = np.random.default_rng(3)
    seasonal = {"seasonal_naive_7": 0.2 * rng.normal(size=60)}
    rows = scored(size * rng.normal(size=60)).assign(**seasonal)
    yardstick = yardstick_of(SeasonalNaive(7))
    found = check_skill("skill", rows, yardstick, MonitorSettings())
    assert found.breached is breached
    assert "of seasonal naive 7, 60 rows, p = " in found.note
    assert found.value == pytest.approx(1 - rows["lstm"].abs().mean() / rows["seasonal_naive_7"].abs().mean())
    against_naive = check_skill("skill", rows, yardstick, MonitorSettings(skill_against="naive"))
    assert not against_naive.breached
    assert "of last value, " in against_naive.note


def test_the_best_of_several_baselines_has_to_be_better_by_more_than_its_own_luck() -> None:
    rng = np.random.default_rng(0)
    names = [f"seasonal_naive_{season}" for season in range(2, 8)]
    yardstick = yardstick_of(*map(SeasonalNaive, range(2, 8)))
    alarms = 0
    for _ in range(200):  # nothing is better than anything else
        errors = {name: rng.normal(size=60) for name in ("lstm", "naive", *names)}
        alarms += check_skill("skill", scored(errors["lstm"]).assign(**errors), yardstick, MonitorSettings()).breached
    assert alarms <= 0.05 * 200


def test_too_few_origins_of_many_steps_are_not_judged() -> None:
    rows = pd.concat([scored(np.full(20, 9.0)).assign(step=step) for step in range(1, 8)])
    found = check_skill("skill", rows, yardstick_of(), MonitorSettings())
    assert (found.value, found.breached) == (None, False)
    assert "20 origins; 28 are needed to judge" in found.note


def test_a_baseline_without_an_error_is_not_lost_to_unseen() -> None:
    rows = scored(np.ones(30)).assign(naive=0.0)
    found = check_skill("skill", rows, yardstick_of(), MonitorSettings())
    assert (found.value, found.breached) == (None, True)


def test_settings_of_earlier_versions_are_read() -> None:
    assert MonitorSettings.model_validate({"window": 30, "skill_limit": 0.1}).skill_against == "best"


def test_coverage_with_and_without_intervals(copied: Workspace) -> None:
    registry = Registry(copied, NAME)
    reference = read_reference(registry, str(registry.champion()))
    settings = MonitorSettings()
    middle = float(reference.errors["error"].median())
    (inside,) = check_coverage(reference, scored(np.full(40, middle)), settings)
    assert (inside.value, inside.breached, inside.limit) == (1.0, False, pytest.approx(0.8))
    (outside,) = check_coverage(reference, scored(np.where(np.arange(40) < 20, middle, middle + 100)), settings)
    assert (outside.value, outside.breached) == (0.5, True)
    rows = scored(np.zeros(40)).assign(**{"covered-50": np.arange(40) < 4, "covered-90": np.arange(40) < 34})
    narrow, wide = check_coverage(reference, rows, settings)
    assert (narrow.value, narrow.breached) == (0.1, True)
    assert (wide.value, wide.breached) == (0.85, False)


def test_the_test_errors_are_those_of_the_evaluation(copied: Workspace) -> None:
    registry = Registry(copied, NAME)
    version = str(registry.champion())
    reference = read_reference(registry, version)
    rmse = float(np.sqrt(np.mean(reference.errors["error"] ** 2)))
    assert rmse == pytest.approx(registry.evaluation(version)["scores"][0]["rmse"])
    (rows,) = (rows.values for rows in reference.features["y"].values())
    frame = read_ingested(registry.data(version))
    series = series_frame(frame, "range", "returns")
    expected = (series["y"] - reference.model.scalers["sp500"].center[0]) / reference.model.scalers["sp500"].scale[0]
    assert np.allclose(rows, expected, atol=1e-5)


def test_a_drift_that_was_there_at_the_training_is_no_news(
    copied: Workspace, tmp_path: Path, events: list[Any]
) -> None:
    life = live(copied, tmp_path, shifted=True)
    file = next(life.registry.data(str(life.registry.champion())).glob("*.parquet"))
    whole = file.read_bytes()  # of the workspace that the tests share
    for column in ("level of y", "level of log_range"):
        assert column in {each["name"] for each in watch(life, **LENIENT)["check"]["breaches"]}
    # As if the champion had been trained on the shifted days as well.
    try:
        life.bars.to_parquet(file)
        found = by_name(watch(life, **LENIENT))
    finally:
        file.write_bytes(whole)
    for column in ("drift of y", "level of y", "level of log_range"):
        assert not found[column]["breached"]


def test_breaches_are_told_to_the_webhook(
    copied: Workspace, tmp_path: Path, events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening() as (address, told):
        monkeypatch.setenv(WEBHOOK, address)
        watch(live(copied, tmp_path), **LENIENT)
        assert told == []
        result = watch(live(copied, tmp_path, shifted=True), **LENIENT)
    (message,) = told
    assert (message["flow"], message["state"]) == ("monitor", "Breach")
    assert message["message"].startswith(f"{NAME} {result['version']}: ")
    assert message["run_id"] in message["url"]
    for breach in result["check"]["breaches"]:
        assert f"{breach['name']}: {breach['note']}" in message["message"]


def test_a_quiet_monitor_ends_with_status_0(copied: Workspace, tmp_path: Path, events: list[dict[str, Any]]) -> None:
    done = gatecast("--path", str(live(copied, tmp_path).path), "--no-rollback", "--skill-limit", "-5")
    assert done.exit_code == 0, done.output


def test_figures_for_prometheus(copied: Workspace, tmp_path: Path, events: list[dict[str, Any]]) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    life = live(copied, tmp_path)
    result = watch(life, prometheus=tmp_path / "textfiles", **LENIENT)
    text = Path(result["export"]["path"]).read_text()
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    report = read_json(Path(result["check"]["report"]))
    labels = (("forecast", "model"), ("model", NAME), ("series", "sp500"))
    assert samples[("gatecast_live_rmse", *labels)] == pytest.approx(report["errors"][0]["rmse"])
    forecasts = [value for (name, *_), value in samples.items() if name == "gatecast_forecast"]
    assert len(forecasts) == 1
    assert 0.01 < forecasts[0] < 20
    breached = [value for (name, *_), value in samples.items() if name == "gatecast_check_breached"]
    assert len(breached) == len(report["checks"])
    ended = {key[1:]: value for key, value in samples.items() if key[0] == "gatecast_last_run_timestamp_seconds"}
    assert {dict(labels)["flow"] for labels in ended} == {"retrain", "forecast", "monitor"}
    assert {dict(labels)["model"] for labels in ended} == {NAME}
    monitored = ended[("flow", "monitor"), ("model", NAME)]
    assert ended[("flow", "retrain"), ("model", NAME)] < monitored
    again = watch(life, prometheus=tmp_path / "textfiles", **LENIENT)
    assert last_runs(copied, NAME)["monitor"].timestamp() > monitored
    text = Path(again["export"]["path"]).with_name("gatecast.prom").read_text()
    assert 'gatecast_failed_runs{flow="retrain"} ' in text


def test_the_command_prints_checks_and_what_was_done(
    copied: Workspace, tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    life = live(copied, tmp_path, shifted=True)
    done = gatecast("--path", str(life.path), "--no-rollback")
    assert done.exit_code == 3, done.output
    for expected in ("drift of log_range", "BREACH", "event gatecast.monitor.breach for", str(copied.reports)):
        assert expected in done.output
    assert len(events) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--name", "other"], "no trained forecaster 'other'"),
        (["--drift-test", "chi"], "--drift-test chi is not allowed"),
        (["--window", "1"], "--window 1 is not allowed"),
        (["--path", "none.csv"], "does not exist"),
        (["--prometheus", "/proc/none"], "/proc/none cannot be written to"),
    ],
)
def test_wrong_input_is_one_sentence(copied: Workspace, server: str, arguments: list[str], expected: str) -> None:
    done = gatecast(*arguments)
    assert done.exit_code == 2, done.output
    assert expected in done.output
    assert "Traceback" not in done.output


def test_data_of_other_series_are_named_as_such(
    copied: Workspace, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = live(copied, tmp_path)
    own = life.registry.settings(str(life.registry.champion()))
    whole = own.model_copy(update={"data": own.data.model_copy(update={"symbols": None})})
    monkeypatch.setattr(Registry, "settings", lambda registry, version, kind: whole)
    life.bars.assign(unique_id="other").to_csv(tmp_path / "other.csv", index=False)
    done = gatecast("--path", str(tmp_path / "other.csv"))
    assert done.exit_code == 2
    assert "The model was not trained on 'other', which is what the data holds; give data of 'sp500'." in done.output


@pytest.mark.parametrize("lost", ["data", "lineage"])
def test_where_the_training_data_are_lost_drift_is_not_judged_and_the_rest_is(
    copied: Workspace, tmp_path: Path, server: str, lost: str
) -> None:
    life = live(copied, tmp_path)
    champion = str(life.registry.champion())
    lineage = life.registry.path(champion) / "lineage.json"
    if lost == "data":
        write_json(lineage, {**life.registry.lineage(champion), "data": str(tmp_path / "gone")})
        expected = f"{tmp_path / 'gone'} holds no Parquet file; retrain to read the data again."
    else:
        lineage.write_text("{")
        expected = "is lost, and with it where its data are; retrain."
    done = gatecast("--path", str(life.path))
    assert done.exit_code == 0, done.output
    assert f"{expected} Until there is another champion, drift is not judged." in done.output
    checks = read_json(copied.reports / NAME / "monitor" / "monitor.json")["checks"]
    judged = {each["name"]: each["value"] is not None for each in checks}
    assert judged.pop("age of data")
    assert judged.pop("live skill")
    assert judged.pop("the champion's own skill")
    assert judged.pop("coverage of 80 %")
    assert judged.pop("coverage of 95 %")
    assert len(judged) > 3
    assert not any(judged.values())
    assert all(expected in each["note"] for each in checks if each["name"] in judged)


def test_checks_are_plain_values() -> None:
    each = check_skill("skill", scored(np.ones(30)), yardstick_of(), MonitorSettings())
    assert json.loads(json.dumps(vars(each))) == vars(each)


def test_the_error_of_a_night_is_in_units_of_the_naive_forecast() -> None:
    days = pd.to_datetime(["2024-01-01", "2024-01-02"])
    large = pd.DataFrame({"unique_id": "large", "cutoff": days, "y": 0.0, "lstm": [100.0, 300.0], "naive": 200.0})
    small = pd.DataFrame({"unique_id": "small", "cutoff": days, "y": 0.0, "lstm": [1.0, 1.0], "naive": [1.0, 3.0]})
    flat = pd.DataFrame({"unique_id": "flat", "cutoff": days, "y": 0.0, "lstm": 1.0, "naive": 0.0})
    nights = errors_by_night(pd.concat([large, small, flat], ignore_index=True))
    assert [night[0] for night in nights] == ["2024-01-01 00:00", "2024-01-02 00:00"]
    assert [night[1:] for night in nights] == [pytest.approx((0.5, 0.75)), pytest.approx((1.0, 1.25))]
    assert errors_by_night(large.head(0)) == []
