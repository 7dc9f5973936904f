"""What the gate does with models that lose to a baseline, from the flow to the webhook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gatecast.data.errors import InputError
from gatecast.flows.cli import app
from gatecast.flows.engine import runs
from gatecast.flows.fleet import fleet
from gatecast.flows.forecast import forecast_latest
from gatecast.flows.judging import promotion
from gatecast.flows.monitor import roll_back
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting.publication import version_table
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.flows.settings.runs import FleetSettings
from gatecast.flows.settings.workspace import Workspace
from tests.flows.conftest import small_settings
from tests.webhook import listening

NAME = "sample-range"
# Without its linear start, a network of one unit and one epoch loses to every baseline.
POOR = {"linear_skip": "none", "window_scaling": "none", "max_epochs": 1, "hidden_size": 1}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What the webhook was told."""
    with listening() as (address, told):
        monkeypatch.setenv(runs.WEBHOOK, address)
        yield told


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The events that were emitted."""
    emitted: list[dict[str, Any]] = []
    monkeypatch.setattr("prefect.events.emit_event", lambda event, **parts: emitted.append({"event": event, **parts}))
    return emitted


def test_a_losing_first_model_is_promoted_marked_and_alarmed(
    server: str, workspace: Workspace, told: list[dict[str, Any]], events: list[dict[str, Any]]
) -> None:
    result = retrain(small_settings(model=POOR))
    registry = Registry(workspace, NAME)
    version = str(registry.champion())
    marked = f"{version} loses to HAR(1,5,22) (MASE "
    (entry,) = registry.history()
    assert marked in entry["reason"]
    assert entry["loses_to"]["baseline"] == "HAR(1,5,22)"
    assert entry["loses_to"]["value"] > entry["loses_to"]["other"]
    assert marked in result["promote"]["summary"]
    report = Path(result["publish"]["report"]).read_text(encoding="utf-8")
    assert '<p class="alarm">' in report
    assert marked in report
    (message,) = told
    assert (message["state"], message["flow"], message["run"]) == ("Alarm", "retrain", NAME)
    assert marked in message["message"]
    (event,) = [event for event in events if event["event"] == runs.LOSES]
    assert event["resource"]["prefect.resource.name"] == NAME
    assert event["payload"]["loses_to"] == entry["loses_to"]
    for command in (["models", "list"], ["models", "show", NAME]):
        shown = CliRunner().invoke(app, command, env={"COLUMNS": "140"}).output
        assert "%, loses" in shown
    retrain(small_settings(model=POOR))
    assert len(told) == 1  # nothing has changed, and nothing is told again


def test_with_must_beat_a_losing_first_model_leaves_no_champion(
    server: str, workspace: Workspace, told: list[dict[str, Any]]
) -> None:
    settings = small_settings(model=POOR, gate={"must_beat": "naive"})
    result = retrain(settings)
    registry = Registry(workspace, NAME)
    (version,) = registry.versions()
    assert registry.champion() is None
    assert result["forecast"] is None
    assert (
        f"{version} does not become the champion of {NAME}, since it loses to last value (MASE "
        in (result["promote"]["summary"])
    )
    assert Path(result["publish"]["report"]).exists()
    assert "does not become the champion" in told[0]["message"]
    for name in (NAME, None):
        with pytest.raises(InputError, match=f"{NAME} has no champion: {version} does not become") as refused:
            forecast_latest(name)
        assert f"choose a version with 'gatecast models promote {NAME} VERSION'" in str(refused.value)
    good = retrain(small_settings(gate={"must_beat": "best_baseline"}))
    assert good["promote"]["promoted"]
    assert f"is the first champion of {NAME}" in good["promote"]["summary"]
    assert good["forecast"] is not None


def test_a_fleet_tells_once_of_all_that_lose(
    server: str, workspace: Workspace, told: list[dict[str, Any]], events: list[dict[str, Any]]
) -> None:
    shared = small_settings(model=POOR, gate={"must_beat": "best_baseline"})
    shared = shared.model_copy(update={"data": shared.data.model_copy(update={"symbols": None})})
    settings = FleetSettings(retrain=shared, groups=(("sp500",), ("nasdaq",)), runner="threads", workers=1)
    result = fleet(settings)
    assert [each["error"] for each in result["outcomes"]] == [None, None]
    assert [each["champion"] for each in result["outcomes"]] == [None, None]
    assert [each["forecast"] for each in result["outcomes"]] == [None, None]
    (message,) = told
    assert "2 models lose to the best baseline or have no champion: " in message["message"]
    (event,) = [event for event in events if event["event"] == runs.LOSES]
    assert event["payload"]["models"] == [each["name"] for each in result["outcomes"]]


@pytest.mark.parametrize("name", ["names", "range", "sales", "rhyme"])
def test_a_pinned_champion_of_any_kind_stays(every_kind: Workspace, name: str) -> None:
    registry = Registry(every_kind, name)
    first, second = registry.versions()
    promotion.pin(registry, first)
    kind = registry.kind()
    assert kind is not None
    decision = registry.settle(lambda: promotion.decide(registry, second, kind, lambda *_: None))
    assert not decision.promoted
    assert f"{first} stays since it is pinned" in decision.reason
    assert (registry.champion(), registry.is_pinned()) == (first, True)


def test_a_retrain_makes_a_version_beside_a_pinned_champion(copied: Workspace, server: str) -> None:
    registry = Registry(copied, NAME)
    champion = str(registry.champion())
    promotion.pin(registry, champion)
    result = retrain(small_settings(model={"max_epochs": 5}))
    assert len(registry.versions()) == 2
    assert registry.champion() == result["promote"]["champion"] == champion
    assert f"{champion}, which stays since it is pinned: RMSE " in result["promote"]["summary"]
    assert registry.history()[-1]["comparison"]["measure"] == "RMSE"
    roles = [row["role"] for row in version_table(registry, result["checkpoint"]["version"], champion)]
    assert roles == ["this run", "champion, pinned"]


def test_the_monitor_does_not_roll_a_pinned_champion_back(copied: Workspace) -> None:
    registry = Registry(copied, NAME)
    champion = str(registry.champion())
    promotion.pin(registry, champion)
    found = roll_back.fn(copied, NAME, champion, "", "", "it is poor", MonitorSettings())
    assert found == {"champion": champion, "summary": f"{champion} stays, since it is pinned: it is poor"}
