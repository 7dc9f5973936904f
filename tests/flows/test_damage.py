"""Every kind of file of a workspace, cut in half: what runs next works, or names the file in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gatecast.data.errors import InputError
from gatecast.flows.forecast import forecast_latest
from gatecast.flows.monitor import monitor
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.champion import MonitorSettings
from tests.damage import truncated
from tests.flows.conftest import contents, restore, small_settings
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


@pytest.fixture(scope="module")
def whole(server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A workspace after a small retrain, and what was in it then."""
    root = tmp_path_factory.mktemp("damage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATECAST_HOME", str(root))
        retrain(small_settings(name="small"))
    return root, contents(root)


@pytest.fixture
def harmed(
    whole: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[list[str]]:
    """Names of the files that were cut in half; in place, since paths are in them, and whole again after the test."""
    root, before = whole
    monkeypatch.setenv("GATECAST_HOME", str(root))
    found = sorted(path for path in root.glob(request.param) if path.is_file())
    assert found, f"a retrain leaves nothing at {request.param}"
    for path in found:
        truncated(path)
    yield [path.name for path in found]
    restore(root, before)


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
    for run in reversed(RUNS):
        run()
    assert gatecast("models", "list").exit_code == 0
