"""One Prefect server for all tests of the flows, and a small run that most of them look at."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

# Prefect reads its environment when it is first imported, and again in `prepare`.
DEFAULT_WORKSPACE = os.environ["GATECAST_HOME"] = tempfile.mkdtemp(prefix="gatecast-tests-")
os.environ["PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL"] = "1"
os.environ["PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS"] = "0"

from gatecast.flows.engine.orchestration import prefect, prepare
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.config import ForecasterSettings
from tests.fixtures import copy_workspace

prepare()


def small_settings(**changes: Any) -> RetrainSettings:
    """Settings of a run of a second or two on a part of the sample."""
    model = {"lookback": 8, "hidden_size": 4, "max_epochs": 3, **changes.pop("model", {})}
    data = DataSettings(symbols=("sp500",), start=date(2010, 1, 1), end=date(2015, 6, 30))
    return RetrainSettings(**{"data": data, "model": ForecasterSettings(**model), **changes})


def contents(root: Path) -> dict[str, bytes]:
    """Bytes of every file of a workspace but Prefect's own."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and "prefect" not in path.parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def restore(root: Path, whole: dict[str, bytes]) -> None:
    """Make every file of a workspace what it was when `contents` read it; Prefect's own stay as they are."""
    for path in contents(root).keys() - whole.keys():
        (root / path).unlink()
    for path, content in whole.items():
        if not (root / path).is_file() or (root / path).read_bytes() != content:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=90):
        yield str(PREFECT_API_URL.value())


@pytest.fixture(autouse=True)
def default_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test find in the environment what another has left there: ``--workspace``, and what serve passes on."""
    monkeypatch.setenv("GATECAST_HOME", DEFAULT_WORKSPACE)
    for name in ("GATECAST_TIME_LIMIT_MINUTES", "GATECAST_WEBHOOK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("GATECAST_HOME", str(tmp_path / "workspace"))
    return Workspace.from_environment()


@pytest.fixture(scope="session")
def trained(server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict[str, Any]]:
    """A workspace after one small retrain, and what it returned; tests must not change it."""
    from gatecast.flows.retrain import retrain

    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATECAST_HOME", str(root))
        return Workspace(root), retrain(small_settings())


@pytest.fixture
def in_trained(
    trained: tuple[Workspace, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> tuple[Workspace, dict[str, Any]]:
    """The same, for what runs in it once more; it has to leave every file as it was."""
    monkeypatch.setenv("GATECAST_HOME", str(trained[0].root))
    return trained


@pytest.fixture
def copied(trained: tuple[Workspace, dict[str, Any]], workspace: Workspace) -> Workspace:
    """A workspace of its own with the trained model in it."""
    import shutil

    shutil.copytree(trained[0].root, workspace.root)
    return workspace


@pytest.fixture
def every_kind(workspace: Workspace) -> Workspace:
    """A workspace that 71c2ad0 wrote, with two versions of each of four models, the second the champion.

    ``names`` is a tagger, ``range`` (of bars) and ``sales`` (of series) are forecasters, ``rhyme`` is a language model.
    """
    copy_workspace("71c2ad0", workspace.root)
    return workspace


__all__ = ["contents", "prefect", "restore", "small_settings"]
