"""A model is not replaced, and not used, as what it is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from gatecast import CharLM
from gatecast.data.errors import CheckpointError, DamagedError, FormatError, KindError
from gatecast.data.store import write_json
from gatecast.flows.backtest import backtest
from gatecast.flows.cli import app
from gatecast.flows.forecast import forecast_latest
from gatecast.flows.judging import promotion
from gatecast.flows.judging.comparison import Comparison, meet_language_model
from gatecast.flows.judging.live import hindcast
from gatecast.flows.member import members_of, train_one
from gatecast.flows.monitor import monitor
from gatecast.flows.registry.kinds import FORECASTER, KINDS, LANGUAGE_MODEL, TAGGER, ModelKind
from gatecast.flows.registry.measures import RMSE
from gatecast.flows.registry.registry import Decision, Registry
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.flows.settings.runs import BacktestSettings, GateSettings
from gatecast.flows.settings.tagging import TaggingSettings
from gatecast.flows.settings.text import TextSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.flows.tagging import train_tagger
from gatecast.flows.text import train_text
from tests.flows.conftest import contents, small_settings
from tests.flows.life import of_another_gatecast

# A whole model whose settings this Gatecast cannot read.
UNKNOWN_SETTINGS = {"settings.json": json.dumps({"unknown": 1})}


def gatecast(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def train_text_as(name: str, workspace: Workspace) -> Any:
    return train_text(TextSettings(name=name, paths=tuple(workspace.texts.iterdir())))


def train_tagger_as(name: str, workspace: Workspace) -> Any:
    return train_tagger(TaggingSettings(name=name, train=next(workspace.tagged.glob("*/train.conll"))))


def train_member_as(name: str, workspace: Workspace) -> Any:
    """What a fleet does for one of its models."""
    shared = small_settings(name=name).resolved("bars")
    (directory,) = workspace.bars.glob("sample-*")
    (member,) = members_of([], shared, directory)
    settings = member.settings.model_copy(update={"name": name})
    return train_one(settings, GateSettings(), [Path(file) for file in member.files], {}, workspace)


def backtest_as(refit: int) -> Callable[[str, Workspace], Any]:
    values = {**dict(small_settings()), "n_windows": 4, "refit": refit}
    return lambda name, _: backtest(BacktestSettings.model_validate({**values, "name": name}))


TRAININGS: dict[str, tuple[Callable[[str, Workspace], Any], ModelKind]] = {
    "retrain": (lambda name, _: retrain(small_settings(name=name)), FORECASTER),
    "fleet": (train_member_as, FORECASTER),
    "text": (train_text_as, LANGUAGE_MODEL),
    "tagging": (train_tagger_as, TAGGER),
}
USES: dict[str, tuple[Callable[[str, Workspace], Any], ModelKind]] = {
    "backtest": (backtest_as(2), FORECASTER),
    "backtest of the champion": (backtest_as(0), FORECASTER),
    "forecast": (lambda name, _: forecast_latest(name), FORECASTER),
    "monitor": (lambda name, _: monitor(MonitorSettings(name=name)), FORECASTER),
}
NAMES = {FORECASTER: "range", LANGUAGE_MODEL: "rhyme", TAGGER: "names"}


FOREIGN = [
    (flow, kind) for flow, (_, own) in {**TRAININGS, **USES}.items() for kind in KINDS.values() if kind is not own
]


@pytest.mark.parametrize(("flow", "kind"), FOREIGN, ids=lambda value: value if isinstance(value, str) else value.called)
def test_no_flow_takes_a_model_of_another_kind(server: str, every_kind: Workspace, flow: str, kind: ModelKind) -> None:
    run, own = {**TRAININGS, **USES}[flow]
    before = contents(every_kind.models)
    with pytest.raises(KindError, match=f"The model {NAMES[kind]} is a {kind.called}, not a {own.called}; .*--name"):
        run(NAMES[kind], every_kind)
    assert contents(every_kind.models) == before
    assert not every_kind.sequences.exists(), "something was prepared for a training"


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["retrain", "--name", "names", "--symbols", "sp500"], TAGGER),
        (["retrain", "--name", "rhyme", "--symbols", "sp500"], LANGUAGE_MODEL),
        (["backtest", "--name", "names"], TAGGER),
        (["backtest", "--name", "names", "--symbols", "sp500"], TAGGER),
        (["forecast", "--name", "rhyme"], LANGUAGE_MODEL),
        (["monitor", "--name", "names"], TAGGER),
        (["text", "train", "--name", "range"], FORECASTER),
        (["text", "generate", "--name", "names"], TAGGER),
        (["tag", "predict", "--name", "sales"], FORECASTER),
    ],
)
def test_no_command_takes_a_model_of_another_kind(
    server: str, every_kind: Workspace, arguments: list[str], kind: ModelKind
) -> None:
    before = contents(every_kind.models)
    done = gatecast(*arguments)
    assert done.exit_code == 2, done.output
    assert f"is a {kind.called}, not a" in done.output
    assert contents(every_kind.models) == before


def test_the_other_models_of_a_fleet_are_trained(server: str, every_kind: Workspace, tmp_path: Path) -> None:
    from gatecast.flows.fleet import fleet
    from gatecast.flows.settings.data import DataSettings
    from gatecast.flows.settings.runs import FleetSettings, RetrainSettings

    every_kind.models.joinpath("names").rename(every_kind.models / "fleet-a")
    y = [float(day % 7) for day in range(120)]
    days = pd.date_range("2020-01-01", periods=120)
    frames = [pd.DataFrame({"unique_id": name, "ds": days, "y": y}) for name in ("a", "b")]
    pd.concat(frames).to_csv(tmp_path / "load.csv", index=False)
    shared = RetrainSettings(name="fleet", data=DataSettings(path=tmp_path / "load.csv"), model=small_settings().model)
    result = fleet(FleetSettings(retrain=shared, runner="threads", workers=1))
    errors = {each["name"]: each["error"] for each in result["outcomes"]}
    assert errors["fleet-b"] is None
    assert "The model fleet-a is a tagger, not a forecaster" in errors["fleet-a"]


@pytest.mark.parametrize("flow", TRAININGS)
@pytest.mark.parametrize("cause", ["settings", "format"])
def test_no_training_replaces_what_another_gatecast_wrote(
    server: str, every_kind: Workspace, flow: str, cause: str
) -> None:
    run, kind = TRAININGS[flow]
    registry = Registry(every_kind, NAMES[kind])
    champion = (
        of_another_gatecast(registry, UNKNOWN_SETTINGS)
        if cause == "settings"
        else of_another_gatecast(registry, format=3)
    )
    before = contents(every_kind.models)
    with pytest.raises(FormatError, match="Gatecast") as caught:
        run(registry.name, every_kind)
    assert champion in str(caught.value)
    assert "\n" not in str(caught.value)
    assert contents(every_kind.models) == before
    assert not every_kind.sequences.exists(), "something was prepared for a training"


def meet(model: Any, settings: Any) -> Comparison:
    """A challenger that beats whom it meets."""
    return Comparison(RMSE, 1.0, 2.0, "3 rows")


def test_a_champion_that_cannot_meet_the_challenger_stays(every_kind: Workspace) -> None:
    registry = Registry(every_kind, "rhyme")

    def meet(model: CharLM, settings: TextSettings) -> Comparison:
        return meet_language_model(model, "ΑΒΓΔ", 1.0)

    decision = promotion.decide(registry, "v0009-000000000000", LANGUAGE_MODEL, meet)
    assert not decision.promoted
    assert decision.winner == registry.champion()
    assert "cannot be compared with v0009-000000000000: The model knows no token of this text" in decision.reason
    assert decision.reason.endswith("; give the new model another --name.")


def test_a_tagger_without_dev_sentences_replaces_what_it_can_read(every_kind: Workspace) -> None:
    registry = Registry(every_kind, "names")
    decision = promotion.decide(registry, "v0009-000000000000", TAGGER, lambda model, settings: None)
    assert decision.promoted
    assert f"replaces {registry.champion()}: there is no data to compare them on." in decision.reason
    of_another_gatecast(registry, training={})
    with pytest.raises(FormatError, match="cannot read its Tagger"):
        promotion.decide(registry, "v0009-000000000000", TAGGER, lambda model, settings: None)


def second_of(registry: Registry, other: Registry) -> str:
    """Let a version of another model be the newest version of this one, and its champion, as 71c2ad0 did."""
    version = other.versions()[1].replace("v0002", "v0003")
    shutil.copytree(other.path(other.versions()[1]), registry.path(version))
    registry.record(Decision(version, registry.champion(), True, "its settings cannot be read.", version))
    return version


@pytest.fixture
def mixed(every_kind: Workspace) -> Registry:
    """A tagger in whose place 71c2ad0 put a forecaster."""
    registry = Registry(every_kind, "names")
    second_of(registry, Registry(every_kind, "range"))
    return registry


def test_the_gate_replaces_neither_another_kind_nor_another_gatecasts_champion(every_kind: Workspace) -> None:
    registry = Registry(every_kind, "names")
    with pytest.raises(KindError, match="is a tagger, not a forecaster"):
        promotion.decide(registry, "v0009-000000000000", FORECASTER, meet)
    of_another_gatecast(registry, UNKNOWN_SETTINGS)
    with pytest.raises(FormatError, match="older or newer Gatecast"):
        promotion.decide(registry, "v0009-000000000000", TAGGER, meet)


def test_only_a_version_of_the_same_kind_takes_the_place_of_a_damaged_champion(mixed: Registry) -> None:
    _, tagger, champion = mixed.versions()
    newest = of_another_gatecast(mixed, format=3)
    write_json(mixed.directory / "champion.json", {"version": champion})
    (mixed.path(champion) / "model.safetensors").write_bytes(b"damaged")
    decision = promotion.decide(mixed, "v0009-000000000000", FORECASTER, meet)
    assert decision.promoted
    assert f"replaces the champion ({champion} cannot be read: " in decision.reason
    # With its model.json, nobody knows any more that it was a forecaster.
    (mixed.path(champion) / "model.json").write_bytes(b"damaged")
    met = promotion.decide(mixed, "v0009-000000000000", TAGGER, meet)
    assert f"is not worse than {tagger} and replaces it: RMSE 1 against 2 on 3 rows ({champion}" in met.reason
    assert newest not in met.reason


@pytest.mark.parametrize("harm", ["weights", "document"])
def test_a_damaged_tagger_is_still_no_forecaster(server: str, every_kind: Workspace, harm: str) -> None:
    registry = Registry(every_kind, "names")
    damaged = {"weights": "model.safetensors", "document": "model.json"}[harm]
    (registry.path(str(registry.champion())) / damaged).write_bytes(b"{")
    with pytest.raises(KindError, match="is a tagger, not a forecaster"):
        retrain(small_settings(name="names"))
    assert len(registry.versions()) == 2


@pytest.mark.parametrize("arguments", [("promote", "names", "2"), ("rollback", "names")])
def test_a_dethroned_tagger_is_brought_back(mixed: Registry, arguments: tuple[str, ...]) -> None:
    assert "forecaster" in gatecast("models", "list").output
    shown = gatecast("models", "show", "names")
    assert shown.exit_code == 0
    assert all(score in shown.output for score in ("F1 80.00%", "RMSE 0.93693"))
    done = gatecast("models", *arguments)
    assert done.exit_code == 0, done.output
    assert mixed.champion() == mixed.versions()[1]
    assert "tag predict --text --name names" in done.output
    assert gatecast("tag", "evaluate", str(next(mixed.directory.parents[1].glob("tagged/*/dev.conll")))).exit_code == 0


def test_versions_of_two_kinds_are_not_compared(mixed: Registry) -> None:
    done = gatecast("models", "compare", "names", "2", "3")
    assert done.exit_code == 2
    assert "is a tagger, not a forecaster" in done.output


def test_a_rollback_passes_over_what_cannot_be_read_and_says_so(every_kind: Workspace) -> None:
    registry = Registry(every_kind, "range")
    first, second = registry.versions()
    third = of_another_gatecast(registry, format=3)
    promotion.promote(registry, first)
    (registry.path(second) / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError):
        promotion.promote(registry, third)
    with pytest.raises(ValueError, match="no former champion to go back to") as caught:
        promotion.roll_back(registry)
    assert all(part in str(caught.value) for part in ("newer Gatecast", "SHA-256 differs", second, third))


def test_the_monitor_goes_back_to_no_other_kind(mixed: Registry, every_kind: Workspace) -> None:
    with pytest.raises(KindError, match="is a tagger, not a forecaster"):
        hindcast(mixed, mixed.former_champions()[0], pd.DataFrame(), pd.DataFrame())


def test_the_three_troubles_have_three_sentences(every_kind: Workspace) -> None:
    registry = Registry(every_kind, "range")
    damaged, other = registry.versions()
    (registry.path(damaged) / "settings.json").write_text("{}")
    later = of_another_gatecast(registry, UNKNOWN_SETTINGS)
    sentences = {
        DamagedError: (damaged, FORECASTER, "is damaged: its SHA-256 differs"),
        FormatError: (later, FORECASTER, "was written by an older or newer Gatecast"),
        KindError: (other, TAGGER, "is a forecaster, not a tagger"),
    }
    for error, (version, kind, sentence) in sentences.items():
        with pytest.raises(error, match=sentence):
            registry.settings(version, kind)
    listed = gatecast("models", "show", "range")
    assert listed.exit_code == 0


def test_the_list_tells_damage_from_another_gatecast(every_kind: Workspace) -> None:
    (next(every_kind.models.glob("rhyme/v0002-*")) / "evaluation.json").write_text("{}")
    of_another_gatecast(Registry(every_kind, "sales"), format=3)
    listed = gatecast("models", "list")
    assert listed.exit_code == 0, listed.output
    lines = {line.split()[0]: line for line in listed.output.splitlines() if line.strip()}
    assert "damaged" in lines["rhyme"]
    assert "of another Gatecast" in lines["sales"]
    assert "RMSE" in lines["range"]
    examined = gatecast("doctor")
    assert examined.exit_code == 1
    assert "sales" in examined.output
    assert "upgrade Gatecast" in examined.output
