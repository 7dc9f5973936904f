from __future__ import annotations

import shutil
from pathlib import Path

from typer.testing import CliRunner, Result

from gatecast.flows.cli import app
from gatecast.flows.settings.workspace import Workspace
from tests.damage import truncated


def gatecast(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": "400"})


def test_check_says_what_is_whole_and_what_to_do_about_damage(every_kind: Workspace) -> None:
    assert gatecast("workspace", "check").exit_code == 0
    weights = sorted((every_kind.models / "sales").glob("v*/model.safetensors"))[0]
    truncated(weights)
    (every_kind.models / "sales" / "lineage.json.damaged").write_text("half")
    done = gatecast("workspace", "check")
    assert done.exit_code == 1
    assert [line.split()[0] for line in done.output.splitlines() if line.startswith(" models")] == ["models"]
    error = next(line for line in done.output.splitlines() if line.startswith("Error:"))
    assert str(weights) in error
    assert "gatecast models promote" in error
    assert "lineage.json.damaged" in done.output


def test_a_workspace_is_moved_by_backup_and_restore(every_kind: Workspace, tmp_path: Path) -> None:
    file = str(tmp_path / "backup.tar.gz")
    assert gatecast("workspace", "backup", file).exit_code == 0
    shutil.rmtree(every_kind.root)
    there = str(tmp_path / "elsewhere" / "workspace")
    restored = gatecast("workspace", "restore", file, "--workspace", there)
    assert restored.exit_code == 0, restored.output
    for command in (("list",), ("show", "sales"), ("compare", "sales", "1", "2"), ("rollback", "sales")):
        done = gatecast("models", *command, "--workspace", there)
        assert done.exit_code == 0, (command, done.output)
    assert gatecast("workspace", "check", "--workspace", there).exit_code == 0


def test_what_is_wrong_is_one_sentence(every_kind: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar.gz"
    file.write_bytes(b"half")
    for arguments in (
        ("backup", str(file)),
        ("restore", str(file)),
        ("restore", str(file), "--workspace", str(tmp_path / "new")),
        ("check", "--workspace", str(tmp_path / "nothing")),
    ):
        done = gatecast("workspace", *arguments)
        assert done.exit_code == 2, done.output
        errors = [line for line in done.output.splitlines() if line.startswith("Error:")]
        assert len(errors) == 1
        assert str(tmp_path) in errors[0]
        assert ";" in errors[0]
