from __future__ import annotations

from pathlib import Path

import pytest

from gatecast.flows.engine.caching import code_version, digest, hashes
from gatecast.flows.engine.orchestration import Output, Steps, flow, task
from gatecast.flows.settings.workspace import Workspace
from tests.damage import HARMS, Harm


def test_the_code_version_is_stable() -> None:
    assert code_version() == code_version.__wrapped__()
    assert len(code_version()) == 16


def test_a_digest_depends_on_values_and_not_on_order() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_hashes_list_files_of_directories(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    assert list(hashes(tmp_path / "folder", tmp_path / "b")) == [str(tmp_path / "folder" / "a"), str(tmp_path / "b")]


@task("write {path}", cached=True, ignore=("note",))
def write(path: str, text: str, note: str) -> Output:
    Path(path).write_text(text)
    return {"files": hashes(Path(path)), "summary": f"{text} {note}"}


@flow
def write_once(path: str, text: str, note: str = "", force: bool = False) -> tuple[str, bool]:
    with Steps(Workspace.from_environment()) as step:
        summary = step(write, path, text, note)["summary"]
    return summary, step.records[0]["cached"]


def test_a_step_is_cached_by_its_inputs(server: str, tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    assert write_once(path, "one", "first") == ("one first", False)
    assert write_once(path, "one", "second") == ("one first", True)
    assert write_once(path, "two") == ("two ", False)


def test_a_step_runs_again_when_its_file_is_gone_or_damaged_or_it_is_forced(server: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_once(str(path), "text")
    path.unlink()
    assert write_once(str(path), "text")[1] is False
    path.write_text("damaged")
    assert write_once(str(path), "text")[1] is False
    assert path.read_text() == "text"
    assert write_once(str(path), "text")[1] is True
    assert write_once(str(path), "text", force=True)[1] is False


def result_file(path: Path) -> Path:
    """The file in which Prefect keeps the result of the step that wrote `path`."""
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

    results = PREFECT_LOCAL_STORAGE_PATH.value().glob("write-*")
    (found,) = (result for result in results if str(path) in result.read_text())
    return found


def edited(path: Path) -> None:
    path.write_text(path.read_text().replace("text ", "next "))


@pytest.mark.parametrize("harm", [*HARMS, edited])
def test_a_step_runs_again_when_its_stored_result_is_damaged_or_edited(
    server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Harm
) -> None:
    path = tmp_path / "file"
    write_once(str(path), "text")
    result = result_file(path)
    harm(result)
    assert write_once(str(path), "text") == ("text ", False)
    assert f"{result} is damaged, so the step write runs again." in caplog.messages
    assert write_once(str(path), "text") == ("text ", True)


def test_a_file_of_a_step_that_changed_or_is_gone_is_named_in_a_warning(
    server: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    write_once(str(path), "text")
    path.write_text("else")
    write_once(str(path), "text")
    path.unlink()
    write_once(str(path), "text")
    sentences = [f"{path} {how}, so the step write runs again." for how in ("has changed", "is gone")]
    for logger in ("gatecast.flows.engine.caching", "prefect.task_runs"):  # the second is the log of the run
        told = [record for record in caplog.records if (record.name, record.levelname) == (logger, "WARNING")]
        assert [record.getMessage() for record in told] == sentences
