from __future__ import annotations

from pathlib import Path

import pytest

from gatecast.data.errors import InputError
from gatecast.flows.deployments import (
    TAG,
    DeploymentSettings,
    ServeSettings,
    build,
    offered,
    parameters,
    read_settings,
)
from gatecast.flows.settings.runs import RetrainSettings

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "gatecast.toml"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_example_is_valid_and_names_settings_that_are_there() -> None:
    settings = read_settings(EXAMPLE)
    assert settings.timezone == "America/New_York"
    nightly = settings.deployments["indices-nightly"]
    retrain = RetrainSettings.model_validate(parameters(nightly, "here")["settings"])
    assert (retrain.name, retrain.data.symbols) == ("indices", ("sp500", "nasdaq"))


def test_the_example_shows_every_setting_of_the_file() -> None:
    text = EXAMPLE.read_text()
    shown = {name for name in ServeSettings.model_fields if f"{name} = " in text or f"[{name}" in text}
    assert shown == set(ServeSettings.model_fields)


def test_a_file_nested_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gatecast.toml"
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(InputError, match="is not TOML"):
        read_settings(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timezone = 'New York'", r"gatecast.toml: timezone is wrong: 'New York' is no time zone"),
        ("time zone = 1", r"gatecast.toml is not TOML: .*line 1"),
        ("port = 1", r"gatecast.toml: port is no setting; leave it out"),
        ("time_limit_minutes = 0", "time_limit_minutes is wrong: input should be greater than 0"),
        ("webhook = 'example.com'", "webhook is wrong"),
        ("[deployments.a]\nflow = 'train'", r"deployments.a.flow is wrong: 'train' is no flow; choose from retrain"),
        ("[deployments.a]\nflow = 'retrain'\ncron = '0 25 * * *'", "'0 25 \\* \\* \\*' is no cron schedule"),
        ("[deployments.'a/b']\nflow = 'retrain'", "'a/b' is no name"),
        (
            "[deployments.a]\nflow = 'retrain'\n[deployments.a.settings.model]\nlookback = -1",
            r"gatecast.toml: deployments.a.settings.model.lookback is wrong: greater than 0, or 'auto'",
        ),
        (
            "[deployments.a]\nflow = 'retrain'\n[deployments.a.settings]\ntargt = 'range'",
            r"deployments.a.settings.targt is no setting",
        ),
        (
            "[deployments.a]\nflow = 'retrain'\n[deployments.a.settings]\nhorizon = 2",
            r"deployments.a.settings.horizon is no setting; write deployments.a.settings.model.horizon\.",
        ),
        (
            "[deployments.a]\nflow = 'retrain'\n[deployments.a.settings]\nname = 'b c'",
            r"deployments.a.settings.name is wrong: it should be letters, digits",
        ),
        (
            "[deployments.'bad name ü']\nflow = 'retrain'",
            "gatecast.toml: 'bad name ü' is no name for a deployment; use",
        ),
        (
            "[deployments.a]\nflow = 'forecast'\n[deployments.a.settings]\ntarget = 'range'",
            r"deployments.a.settings: forecast takes name, path, n_samples, seed, level, quantiles, not target",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_settings(write(tmp_path / "gatecast.toml", text))


def test_a_missing_file_is_an_error_and_no_file_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_settings(tmp_path / "gatecast.toml")
    assert set(read_settings(None).all_deployments()) == set(offered())


def test_names_in_settings_are_parameters_of_the_flow_or_of_its_settings() -> None:
    deployment = DeploymentSettings(flow="retrain", settings={"resume": False, "name": "a", "data": {"symbols": ["b"]}})
    assert parameters(deployment, "here", "wait") == {
        "resume": False,
        "when_busy": "wait",
        "settings": {"name": "a", "data": {"symbols": ["b"]}},
    }


@pytest.mark.parametrize("kind", offered())
def test_every_flow_runs_on_demand_with_a_form_that_explains_itself(kind: str) -> None:
    (deployment,) = (deployment for deployment in build(ServeSettings()) if deployment.name == kind)
    # Only what is old is removed on a schedule of its own.
    assert [each.schedule.cron for each in deployment.schedules] == (["0 4 * * *"] if kind == "clean" else [])
    assert deployment.description == offered()[kind].about
    assert TAG in deployment.tags
    schema = deployment._parameter_openapi_schema
    for name, described in schema.properties.items():
        assert described.get("description"), f"{kind}: {name}"
    for model, described in schema.definitions.items():
        for name, setting in described["properties"].items():
            assert setting.get("description"), f"{kind}: {model}.{name}"


def test_what_the_file_names_has_a_schedule_a_limit_and_defaults(tmp_path: Path) -> None:
    settings = read_settings(EXAMPLE)
    built = {deployment.name: deployment for deployment in build(settings)}
    nightly = built["indices-nightly"]
    assert nightly.schedules is not None
    schedule = nightly.schedules[0].schedule
    assert (schedule.cron, schedule.timezone) == ("30 18 * * mon-fri", "America/New_York")
    assert nightly.concurrency_limit == 1
    assert nightly.concurrency_options.collision_strategy == "CANCEL_NEW"
    assert nightly.tags == ["gatecast", "retrain", "indices"]
    assert nightly.entrypoint == "gatecast.flows.retrain.retrain"
    assert nightly.parameters["resume"] is True
    assert built["retrain"].concurrency_limit is None


def test_the_webhook_may_be_in_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "https://example.com/hook?token=hunter2")
    monkeypatch.setenv("TOKEN", "hunter2")
    for text in ("$HOOK", "https://example.com/hook?token=${TOKEN}"):
        settings = read_settings(write(tmp_path / "gatecast.toml", f"webhook = '{text}'"))
        assert str(settings.webhook) == "https://example.com/hook?token=hunter2"
    monkeypatch.delenv("HOOK")
    with pytest.raises(InputError, match="webhook is wrong: the environment variable HOOK is not set"):
        read_settings(write(tmp_path / "gatecast.toml", "webhook = '$HOOK'"))


def test_workers_are_not_given_the_webhook_which_all_could_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATECAST_WEBHOOK", "https://example.com/hunter2")
    for deployment in build(ServeSettings(webhook="https://example.com/hunter2"), "pool"):
        assert "hunter2" not in str(deployment.model_dump())


def test_workers_are_given_the_environment_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATECAST_TIME_LIMIT_MINUTES", "30")
    for deployment in build(ServeSettings(), "pool"):
        assert deployment.work_pool_name == "pool"
        environment = deployment.job_variables["env"]
        assert environment["GATECAST_TIME_LIMIT_MINUTES"] == "30"
        assert environment["PREFECT_RESULTS_DEFAULT_SERIALIZER"] == "json"


def test_retention_is_one_table_of_the_file(tmp_path: Path) -> None:
    text = "timezone = 'Europe/Berlin'\n[retention]\nkeep = 7\nkeep_days = 14\ncron = '30 3 * * *'"
    settings = read_settings(write(tmp_path / "gatecast.toml", text))
    (deployment,) = (deployment for deployment in build(settings) if deployment.name == "clean")
    assert deployment.parameters == {"keep": 7, "keep_days": 14}
    (schedule,) = deployment.schedules
    assert (schedule.schedule.cron, schedule.schedule.timezone) == ("30 3 * * *", "Europe/Berlin")


def test_retention_can_be_left_to_a_person(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path / "gatecast.toml", "[retention]\ncron = ''"))
    (deployment,) = (deployment for deployment in build(settings) if deployment.name == "clean")
    assert deployment.schedules == []


@pytest.mark.parametrize(
    ("line", "message"),
    [("keep = 0", "retention.keep is wrong"), ("kep = 3", "retention.kep is no setting"), ("cron = '1'", "cron")],
)
def test_a_mistake_in_retention_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_settings(write(tmp_path / "gatecast.toml", f"[retention]\n{line}"))
