from __future__ import annotations

from pathlib import Path

import pytest

from gatecast.data.errors import InputError
from gatecast.flows.settings.workspace import Workspace


def test_the_workspace_is_absolute_and_not_made_by_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATECAST_HOME", raising=False)
    workspace = Workspace.from_environment()
    assert workspace.root == tmp_path / "workspace"
    assert not workspace.root.exists()
    assert workspace.prefect == tmp_path / "workspace" / "prefect"


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("")
    monkeypatch.setenv("GATECAST_HOME", str(path))
    with pytest.raises(InputError, match="is a file"):
        Workspace.from_environment()


def test_a_workspace_is_no_url_with_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATECAST_HOME", "s3://me:hunter2@bucket/workspace")
    with pytest.raises(InputError, match="cannot be the workspace") as refused:
        Workspace.from_environment()
    assert "hunter2" not in str(refused.value)


def test_paths_inside_the_workspace_are_stored_without_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "here")
    inside = workspace.bars / "sales-0123456789ab"
    outside = tmp_path / "elsewhere" / "bars"
    assert workspace.stored(inside) == "bars/sales-0123456789ab"
    assert Workspace(tmp_path / "there").found("bars/sales-0123456789ab") == tmp_path / "there" / "bars" / inside.name
    assert workspace.stored(str(outside)) == str(outside)
    (workspace.root / "bars").mkdir(parents=True)
    assert workspace.found(str(outside)) == outside


@pytest.mark.parametrize("folder", ["bars", "texts", "tagged"])
def test_absolute_paths_of_earlier_versions_are_found_in_a_moved_workspace(tmp_path: Path, folder: str) -> None:
    stored = str(tmp_path / "bars" / "old" / folder / "one")
    workspace = Workspace(tmp_path / "new")
    assert workspace.found(stored) == Path(stored)
    (workspace.root / folder / "one").mkdir(parents=True)
    assert workspace.found(stored) == workspace.root / folder / "one"
