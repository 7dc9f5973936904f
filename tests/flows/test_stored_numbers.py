"""Each stored file of a workspace is changed a little: what is read is the same, or an error or a warning names it.

`tests.flows.test_damage` and `test_damage_kinds` say what runs do next.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gatecast.data.errors import InputError
from gatecast.data.quality.overview import Record
from gatecast.data.store import content_hash, read_json, read_parquet, write_json, write_parquet
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.judging.live import read_forecasts
from gatecast.flows.registry.kinds import FORECASTER
from gatecast.flows.registry.lineages import LINEAGE
from gatecast.flows.registry.registry import Decision, Registry
from gatecast.flows.reporting.last_runs import last_runs, record_run
from gatecast.flows.settings.workspace import Workspace
from tests.damage import Harm, emptied, garbage, one_bit, truncated
from tests.fixtures import copy_workspace
from tests.flows.conftest import contents, restore

NAME = "sales"
Read = Callable[[Workspace, Path], Any]


def as_list(path: Path) -> None:
    """Replace the content by a list."""
    path.write_text("[1, 2, 3]\n")


def digit(number: int) -> Harm:
    """Return what changes the digit at one of five places of a file by one."""

    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        digits = [match.start() for match in re.finditer(rb"\d", bytes(content))]
        if digits:
            place = digits[(len(digits) - 1) * number // 4]
            content[place] = ord(b"0") + (content[place] - ord(b"0") + 1) % 10
            path.write_bytes(content)

    change.__name__ = f"digit {number}"
    return change


HARMS: tuple[Harm, ...] = (truncated, emptied, garbage, one_bit, as_list, *map(digit, range(5)))


def of_models(workspace: Workspace, _: Path) -> Any:
    registry = Registry(workspace, NAME)
    champion = registry.champion()
    version = registry.versions()[-1]
    return {
        "champion": champion,
        "pinned": registry.is_pinned(),
        "former": registry.former_champions(),
        "rolled back": registry.rolled_back(),
        "history": registry.history(),
        "data": str(registry.data(version)),
        "lineage": registry.lineage(version),
        "settings": registry.settings(version).to_dict(),
        "scores": registry.scores(version),
        "figure": str(registry.figure(version)),
        "model": registry.model(version, FORECASTER).predict().to_dict(),
        "forecasts with": registry.forecaster(version)[0].predict().to_dict(),
        "learnt": registry.learnt_by_copy(version),
    }


def of_forecasts(workspace: Workspace, _: Path) -> Any:
    found = read_forecasts(workspace.forecasts / NAME, "y")
    return found.to_dict()


def of_reports(workspace: Workspace, path: Path) -> Any:
    if path.parent.name == "runs":
        return {kind: moment.isoformat() for kind, moment in last_runs(workspace, NAME).items()}
    if path.suffix == ".json":
        return read_json(path, dict[str, Any])
    rows, metadata = read_parquet(path)
    return content_hash(rows), metadata


def of_data(workspace: Workspace, path: Path) -> Any:
    if path.suffix == ".json":
        return read_json(path, list[Record])
    return content_hash(read_ingested(path.parent))


READS: Mapping[str, Read] = {"models": of_models, "forecasts": of_forecasts, "reports": of_reports, "bars": of_data}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, bytes]]:
    """A workspace whose files this version has written, without a training, and what is in it."""
    workspace = Workspace(tmp_path_factory.mktemp("numbers") / "workspace")
    copy_workspace("71c2ad0", workspace.root)
    registry = Registry(workspace, NAME)
    former, champion = registry.versions()
    shutil.rmtree(registry.path(former))
    for path in (registry.path(champion) / LINEAGE, *workspace.bars.glob("*/*.json")):
        write_json(path, read_json(path))
    for path in (*workspace.bars.glob("*/*.parquet"), *workspace.forecasts.glob("*/*.parquet")):
        rows, metadata = read_parquet(path)
        write_parquet(rows, path, metadata)
    report = workspace.reports / NAME / "0123456789ab"
    write_json(report / "evaluation.json", registry.evaluation(champion))
    write_parquet(read_parquet(next((workspace.forecasts / NAME).iterdir()))[0], report / "predictions.parquet")
    record_run(workspace, NAME, "retrain")
    registry.model(champion, FORECASTER).save(registry.refit_path(champion))
    with registry.locked():
        registry.record(Decision(champion, champion, False, "audited in 2025", champion, "pin", pinned=True))
    return workspace, contents(workspace.root)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_no_number_changes_without_a_word(
    whole: tuple[Workspace, dict[str, bytes]], harm: Harm, caplog: pytest.LogCaptureFixture
) -> None:
    workspace, before = whole
    paths = [workspace.root / name for name in before if not name.endswith("lock") and before[name]]
    looked_at = 0
    for path in paths:
        read = READS.get(path.relative_to(workspace.root).parts[0])
        if read is None or NAME not in str(path.relative_to(workspace.root)):
            continue
        expected = json.dumps(read(workspace, path), default=str)
        harm(path)
        caplog.clear()
        try:
            found = json.dumps(read(workspace, path), default=str)
            told = []
        except InputError as error:
            found = ""
            told = [str(error)]
            assert "\n" not in str(error)
        told += [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        restore(workspace.root, before)
        for aside in workspace.root.rglob("*.damaged*"):
            aside.unlink()
        looked_at += 1
        assert found == expected or _is_named(path, told), (path, told, found[:300])
    assert looked_at > 10


def _is_named(path: Path, told: list[str]) -> bool:
    """Tell whether a sentence names the file; of a lost time of the last run, nobody needs to hear."""
    return any(path.name in sentence for sentence in told) or path.parent.name == "runs"
