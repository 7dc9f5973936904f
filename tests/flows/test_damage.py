"""Every kind of file of a workspace, cut in half: what runs next works, or names the file in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gatecast.data.errors import InputError
from gatecast.flows.forecast import forecast_latest
from gatecast.flows.monitor import monitor
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.champion import MonitorSettings
from gatecast.flows.settings.runs import Workspace
from tests.flows.conftest import small_settings
from tests.flows.test_cli import gatecast

MADE_AGAIN = [
    "bars/*/overview.json",
    "bars/*/*.parquet",
    "sequences/*/*.parquet",
    "sequences/*/*.arrow",
    "sequences/.*/*.arrow",
    "models/*/champion.json",
    "models/*/promotions.jsonl",
    "models/*/v*/lineage.json",
    "forecasts/*/*.parquet",
    "reports/*/*/evaluation.json",
    "reports/*/*/predictions.parquet",
    "reports/*/*/*.png",
]
NEEDED = [
    "models/*/v*/model.json",
    "models/*/v*/model.safetensors",
    "models/*/v*/settings.json",
    "models/*/v*/evaluation.json",
]
RUNS: list[Callable[[], Any]] = [
    lambda: forecast_latest("small"),
    lambda: monitor(MonitorSettings(name="small")),
    lambda: retrain(small_settings(name="small")),
]


@pytest.fixture
def harmed(server: str, workspace: Workspace, request: pytest.FixtureRequest) -> list[str]:
    """Names of the files that were cut in half after a small retrain."""
    retrain(small_settings(name="small"))
    found = sorted(path for path in workspace.root.glob(request.param) if path.is_file())
    assert found, f"a retrain leaves nothing at {request.param}"
    for path in found:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return [path.name for path in found]


@pytest.mark.parametrize("harmed", MADE_AGAIN, indirect=True)
def test_what_can_be_made_again_stops_nothing(harmed: list[str]) -> None:
    for run in RUNS:
        run()
    assert gatecast("models", "list").exit_code == 0


@pytest.mark.parametrize("harmed", NEEDED, indirect=True)
def test_what_is_needed_is_named_in_one_sentence_and_a_retrain_heals_it(harmed: list[str]) -> None:
    for run in RUNS[:2]:
        try:
            run()
        except InputError as error:
            assert any(name in str(error) for name in harmed), error
            assert "\n" not in str(error)
    retrain(small_settings(name="small"))
    for run in RUNS:
        run()
    assert gatecast("models", "list").exit_code == 0
