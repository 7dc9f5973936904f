"""What starts quickly and leaves nothing behind: the help of each command, and the import of each module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gatecast.flows.cli import ENTRIES

ROOT = Path(__file__).parents[2]
HEAVY = ("numba", "llvmlite", "numpy", "pandas", "pyarrow", "prefect", "sklearn", "scipy", "matplotlib", "seqeval")
OF_GROUPS = {
    "data": ["check"],
    "models": ["list", "show", "compare", "promote", "rollback", "prune"],
    "text": ["train", "evaluate", "generate"],
    "tag": ["train", "evaluate", "predict"],
}
COMMANDS = [[], *([name] for name in ENTRIES), *([group, name] for group in OF_GROUPS for name in OF_GROUPS[group])]


def python(code: str, folder: Path, **environment: str) -> Any:
    """What a fresh process prints last, as JSON; it starts in a folder, with a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "GATECAST", "DO_NOT"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(["gatecast", *command]))
def test_help_imports_nothing_heavy(command: list[str], tmp_path: Path) -> None:
    code = f"""
import json, sys
from typer.testing import CliRunner
from gatecast.flows.cli import app
assert CliRunner().invoke(app, {[*command, "--help"]}).exit_code == 0
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""
    assert python(code, tmp_path) == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "module",
    ["gatecast.lstm.config", "gatecast.data.sequences.splits"]
    + [f"gatecast.flows.settings.{name}" for name in ("runs", "champion", "tagging", "text")],
)
def test_settings_import_nothing_heavy(module: str, tmp_path: Path) -> None:
    code = f"import json, sys, {module}; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    assert python(code, tmp_path) == []


def test_the_list_of_commands_imports_none_of_them(tmp_path: Path) -> None:
    code = """
import json, sys
from typer.testing import CliRunner
from gatecast.flows.cli import app
assert CliRunner().invoke(app, []).exit_code == 2
print(json.dumps([name for name in sys.modules if name.startswith(("gatecast.flows.commands", "pydantic"))]))
"""
    assert python(code, tmp_path) == []


@pytest.mark.parametrize(
    "command",
    ["retrain --path none.csv", "fetch --path none.csv", "backtest --path none.csv", "forecast --path none.csv",
     "monitor --path none.csv", "text train none.txt", "tag train none.conll"],
)  # fmt: skip
def test_a_wrong_path_is_told_before_prefect_starts(tmp_path: Path, command: str) -> None:
    code = f"""
import json, sys
from typer.testing import CliRunner
from gatecast.flows.cli import app
done = CliRunner().invoke(app, {command.split()!r})
print(json.dumps([done.exit_code, done.output, "prefect" in sys.modules]))
"""
    status, output, has_started = python(code, tmp_path)
    assert (status, has_started) == (2, False)
    assert "does not exist; check the path." in output


IMPORT_ALL = """
import importlib, json, os, pkgutil
before = dict(os.environ)
from gatecast import flows
names = [module.name for module in pkgutil.walk_packages(flows.__path__, "gatecast.flows.")]
for name in names:
    importlib.import_module(name)
from prefect.settings import get_current_settings
telemetry = get_current_settings().server.analytics_enabled
print(json.dumps({"names": names, "unchanged": dict(os.environ) == before, "telemetry": telemetry}))
"""


def test_importing_the_flows_does_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    home = tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    package = sorted((ROOT / "flows").glob("*"))
    found = python(IMPORT_ALL, folder, HOME=str(home))
    assert {"gatecast.flows.retrain", "gatecast.flows.engine.server", "gatecast.flows.commands.serve"} <= set(
        found["names"]
    )
    assert found["unchanged"]
    assert found["telemetry"] is False
    assert not list(folder.iterdir())
    assert not (home / ".prefect").exists()
    assert sorted((ROOT / "flows").glob("*")) == package


def test_what_the_user_has_set_is_read_by_the_import_too(tmp_path: Path) -> None:
    code = """
import json, os
import gatecast.flows.engine.orchestration
from prefect.settings import get_current_settings
settings = get_current_settings()
print(json.dumps([str(settings.home), settings.tasks.default_retry_delay_seconds, os.environ["PREFECT_HOME"]]))
"""
    home = tmp_path / "my-prefect"
    given = {"PREFECT_HOME": str(home), "PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS": "3"}
    assert python(code, tmp_path, **given) == [str(home), 3, str(home)]


CALL = """
import json, os
from gatecast.flows.engine.orchestration import Output, Steps, flow, task
from gatecast.flows.settings.workspace import Workspace

@task("write", cached=True)
def write() -> Output:
    return {"files": {}, "summary": "written"}

@flow
def small() -> str:
    with Steps(Workspace.from_environment()) as step:
        return step(write)["summary"]

before = dict(os.environ)
assert not os.path.exists("workspace")
assert small() == "written"
from prefect.settings import get_current_settings
settings = get_current_settings()
print(json.dumps({
    "home": str(settings.home),
    "telemetry": settings.server.analytics_enabled,
    "set": {name: value for name, value in os.environ.items() if before.get(name) != value},
    "kept": sorted(os.listdir("workspace/prefect")),
}))
"""


def test_a_flow_that_is_called_uses_the_workspace(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    home = tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    found = python(CALL, folder, HOME=str(home))
    workspace = folder / "workspace"
    assert found["home"] == found["set"]["PREFECT_HOME"] == str(workspace / "prefect")
    assert found["telemetry"] is False
    assert found["set"]["DO_NOT_TRACK"] == "1"
    assert {"prefect.db", "storage"} <= set(found["kept"])
    assert not (home / ".prefect").exists()


def test_a_flow_tells_of_a_workspace_that_cannot_be_written_to(tmp_path: Path) -> None:
    code = """
import json
from gatecast.data.errors import InputError
from gatecast.flows.ingest import ingest_data
try:
    ingest_data()
except InputError as error:
    print(json.dumps(str(error)))
"""
    (tmp_path / "file").write_text("")
    told = python(code, tmp_path, GATECAST_HOME=str(tmp_path / "file"))
    assert told == f"{tmp_path / 'file'} is a file, so it cannot be the workspace; name a folder with --workspace."
