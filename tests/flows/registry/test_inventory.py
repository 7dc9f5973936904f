from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gatecast.flows.registry.inventory import Found, examine
from gatecast.flows.settings.workspace import Workspace
from tests.damage import Harm, emptied, garbage, one_bit, truncated
from tests.flows.conftest import contents, restore

UNHASHED = (".png", ".html", ".txt")
"""Only whether they can be read is checked"""


def damaged(workspace: Workspace) -> list[Found]:
    return [found for found in examine(workspace) if found.state != "whole"]


def reads_the_same(path: Path, before: bytes) -> bool:
    if path.suffix == ".json":
        with suppress(ValueError):
            return bool(json.loads(path.read_bytes()) == json.loads(before))
    if path.suffix != ".parquet":
        return False
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        return table.equals(pq.read_table(io.BytesIO(before)), check_metadata=True)
    except (OSError, pa.ArrowException):
        return False


def test_everything_is_whole_and_nothing_is_written(copied: Workspace) -> None:
    before = contents(copied.root)
    found = list(examine(copied))
    assert {str(each.path) for each in found} >= {path for path in before if not path.endswith("lock")}
    assert [each for each in found if each.state != "whole"] == []
    assert contents(copied.root) == before


def test_a_workspace_of_an_earlier_version_is_whole(every_kind: Workspace) -> None:
    assert damaged(every_kind) == []


@pytest.mark.parametrize("harm", [truncated, emptied, garbage, one_bit])
def test_every_damaged_file_is_named_with_what_to_do(copied: Workspace, harm: Harm) -> None:
    before = contents(copied.root)
    for name in before:
        path = copied.root / name
        if name.endswith("lock") or (path.suffix in UNHASHED and harm is not garbage):
            continue
        if path.suffix == ".arrow" and harm is one_bit and not path.parent.name.startswith("."):
            continue  # what is read of it is hashed where it is read
        if path.name == "windows.parquet" and harm is one_bit:
            continue  # so is what is read of it, and a bit of its footer may be read by nobody
        harm(path)
        if path.read_bytes() == before[name]:
            continue  # it was empty
        if harm is one_bit and reads_the_same(path, before[name]):
            continue  # a statistic in a footer that nothing reads, or a digit beyond the precision of its number
        found = damaged(copied)
        assert Path(name) in [each.path for each in found], name
        assert all(each.state == "damaged" and each.problem and each.mend for each in found), found
        restore(copied.root, before)


def test_a_file_that_a_version_lacks_is_damage(copied: Workspace) -> None:
    (weights,) = copied.models.glob("*/v*/model.safetensors")
    weights.unlink()
    (found,) = damaged(copied)
    assert found.path == weights.relative_to(copied.root)
    assert "gatecast models promote" in found.mend


def test_what_killed_runs_left_is_told_apart(copied: Workspace) -> None:
    model = next(copied.models.iterdir())
    for name in (".promotions.jsonl.0123abcd.tmp", "lineage.json.damaged", "prefect.db.damaged-2"):
        (model / name).write_text("half")
    for name in (".v0001-0123456789ab.pruned", ".v0002-0123456789ab.former", ".candidate"):
        (model / name).mkdir()
        (model / name / "model.json").write_text("half")
    found = damaged(copied)
    assert {each.state for each in found} == {"left over"}
    assert len(found) == 6


def test_a_model_may_be_called_like_a_lock_or_a_damaged_file(copied: Workspace) -> None:
    model = next(copied.models.iterdir())
    for name in ("pump.lock", "pump.damaged"):
        model.rename(copied.models / name)
        model = copied.models / name
        (model / "champion.json").write_text("half")
        assert [each.path for each in damaged(copied)] == [Path("models", name, "champion.json")]


def test_the_results_of_steps_have_hashes(copied: Workspace) -> None:
    result = next((copied.prefect / "storage").glob("*"), None)
    if result is None:
        result = copied.prefect / "storage" / "train-0"
        result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text('{"result": "{\\"sha256\\": \\"00\\", \\"value\\": 1}"}')
    assert [each.path for each in damaged(copied)] == [result.relative_to(copied.root)]
