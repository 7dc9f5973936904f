from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from gatecast.flows.cli import app
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.workspace import Workspace
from tests.flows.conftest import contents

NAME = "sample-range"


def gatecast(*arguments: str, **options: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments], env={"COLUMNS": "120"}, **options)  # type: ignore[arg-type]


@pytest.fixture
def registry(copied: Workspace) -> Registry:
    """Three versions, the first of them champion."""
    registry = Registry(copied, NAME)
    champion = str(registry.champion())
    for number in ("v0002", "v0003"):
        shutil.copytree(registry.path(champion), registry.path(champion.replace("v0001", number)))
    return registry


def test_list_and_show_name_champion_scores_and_lineage(registry: Registry) -> None:
    champion = str(registry.champion())
    verdict = registry.evaluation(champion)["verdict"]
    listed = gatecast("list")
    assert listed.exit_code == 0
    for expected in (NAME, champion, verdict):
        assert expected in listed.output
    shown = gatecast("show", NAME)
    assert all(version in shown.output for version in registry.versions())
    assert f"* {champion}" in " ".join(shown.output.split())
    assert "is the first version" in shown.output
    assert verdict in shown.output
    one = gatecast("show", NAME, "champion").output
    lineage = registry.lineage(champion)
    for expected in (
        lineage["data_hash"],
        lineage["code_version"],
        "HAR(1,5,22)",
        "model.lookback",
        verdict,
    ):
        assert expected in one


def test_compare_prints_both_beside_the_baselines(registry: Registry, tmp_path: Path) -> None:
    done = gatecast("compare", NAME, "champion", "v0003")
    assert done.exit_code == 0, done.output
    for expected in (
        "rows that neither has seen",
        "last value",
        "The model ",
        "Diebold-Mariano",
        *registry.versions()[::2],
    ):
        assert expected in done.output
    read_ingested(next((registry.directory.parents[1] / "bars").iterdir())).to_csv(tmp_path / "bars.csv", index=False)
    again = gatecast("compare", NAME, "1", "3", "--path", str(tmp_path / "bars.csv"))
    assert again.exit_code == 0, again.output


def test_compare_says_that_there_are_too_few_origins(registry: Registry, tmp_path: Path) -> None:
    bars = read_ingested(next((registry.directory.parents[1] / "bars").iterdir()))
    few = pd.concat([bars[bars["ds"] <= "2013-12-31"], bars[bars["ds"] > "2013-12-31"].head(4)])
    few.to_csv(tmp_path / "bars.csv", index=False)
    done = gatecast("compare", NAME, "1", "3", "--path", str(tmp_path / "bars.csv"))
    assert done.exit_code == 0, done.output
    shown = " ".join(done.output.split())
    assert re.search(r"too few origins to tell \(\d, where 8 are needed\)\.", shown)
    assert "p = " not in shown


def test_promote_and_roll_back(registry: Registry) -> None:
    first, second, _ = registry.versions()
    done = gatecast("promote", NAME, "2", "--reason", "it is newer")
    assert done.exit_code == 0, done.output
    assert "it is newer" in done.output
    assert registry.champion() == second
    assert gatecast("rollback", NAME).exit_code == 0
    assert registry.champion() == first


def test_pin_holds_and_unpin_frees(registry: Registry) -> None:
    first, second, third = registry.versions()
    done = gatecast("pin", NAME, "2", "--reason", "it is proven")
    assert done.exit_code == 0, done.output
    assert f"{second} is the champion instead of {first}, and pinned: it is proven." in done.output
    listed = CliRunner().invoke(app, ["models", "list"], env={"COLUMNS": "180"}).output
    assert f"{second}, pinned" in listed
    shown = gatecast("show", NAME).output
    assert "* the champion, pinned" in shown
    assert f"Nothing replaces {second} until 'gatecast models unpin {NAME}'." in shown
    assert "yes, pinned" in gatecast("show", NAME, "2").output
    for arguments in (["promote", NAME, "3"], ["rollback", NAME]):
        refused = gatecast(*arguments)
        assert refused.exit_code == 2
        assert f"{second} of {NAME} is pinned; pin another version with 'gatecast models pin {NAME} VERSION'" in (
            " ".join(refused.output.split())
        )
    assert gatecast("pin", NAME, "3").exit_code == 0
    assert (registry.champion(), registry.is_pinned()) == (third, True)
    assert gatecast("unpin", NAME).exit_code == 0
    assert (registry.champion(), registry.is_pinned()) == (third, False)
    assert gatecast("unpin", NAME).exit_code == 2
    history = gatecast("history", NAME)
    assert history.exit_code == 0, history.output
    assert "it is proven" in history.output
    assert f"The champion of {NAME} is {third}." in history.output
    assert gatecast("prune", NAME, "--keep", "1", "--yes").exit_code == 0


def test_a_rollback_by_hand_pins(registry: Registry) -> None:
    first, *_ = registry.versions()
    assert gatecast("promote", NAME, "2").exit_code == 0
    done = gatecast("rollback", NAME)
    assert done.exit_code == 0, done.output
    assert f"Nothing replaces it until 'gatecast models unpin {NAME}'." in " ".join(done.output.split())
    assert (registry.champion(), registry.is_pinned()) == (first, True)
    assert f"The champion of {NAME} is {first}, and it is pinned." in gatecast("history", NAME).output


REASON = "because\u2028it is\nso \x1b[31m[red]:x:[/red] \x85"
SHOWN = r"because\u2028it is\nso \x1b[31m[red]:x:[/red] \x85"


def test_a_reason_may_hold_anything_and_is_shown_on_one_line(registry: Registry) -> None:
    first, second, _ = registry.versions()
    done = gatecast("promote", NAME, "2", "--reason", REASON)
    assert done.exit_code == 0, done.output
    assert f"{second} replaces {first}: {SHOWN}." in done.output
    assert registry.history()[-1]["reason"] == f"{second} replaces {first}: {REASON}."
    shown = gatecast("show", NAME)
    assert shown.exit_code == 0, shown.output
    assert SHOWN in shown.output
    assert gatecast("prune", NAME, "--keep", "3", "--yes").exit_code == 0
    back = gatecast("rollback", NAME, "--reason", REASON)
    assert back.exit_code == 0, back.output
    assert SHOWN in back.output
    assert registry.champion() == first


def test_a_reason_keeps_no_secret(registry: Registry) -> None:
    done = gatecast("promote", NAME, "2", "--reason", "see https://me:hunter2@host/x?token=hunter3")
    assert done.exit_code == 0, done.output
    assert not [name for name, content in contents(registry.directory).items() if b"hunter" in content]
    assert "hunter" not in done.output


def test_prune_asks_first(registry: Registry) -> None:
    before = registry.versions()
    assert "Nothing was removed" in gatecast("prune", NAME, "--keep", "1", input="n\n").output
    assert registry.versions() == before
    done = gatecast("prune", NAME, "--keep", "1", "--yes")
    assert done.exit_code == 0, done.output
    assert registry.versions() == [before[0], before[2]]
    assert "none to remove" in gatecast("prune", NAME, "--keep", "1", "--yes").output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["show", "other"], "There is no model 'other'"),
        (["show", NAME, "9"], "has no version '9'"),
        (["compare", NAME, "1", "champion"], "are the same version"),
        (["compare", NAME, "1", "2", "--path", "none.csv"], "does not exist"),
        (["promote", NAME, "newest"], "has no version 'newest'"),
        (["rollback", NAME], "no former champion"),
        (["prune", "other"], "There is no model 'other'"),
        (["prune", NAME, "--keep", "0"], "--keep"),
    ],
)
def test_wrong_input_is_one_sentence_and_changes_nothing(
    registry: Registry, arguments: list[str], expected: str
) -> None:
    before = contents(registry.directory)
    done = gatecast(*arguments)
    assert done.exit_code == 2
    assert expected in done.output
    assert "Traceback" not in done.output
    after = contents(registry.directory)
    assert {name: after[name] for name in before} == before


def test_a_damaged_version_is_shown_as_such(registry: Registry) -> None:
    (registry.path(registry.versions()[1]) / "lineage.json").write_text("{")
    shown = gatecast("show", NAME)
    assert shown.exit_code == 0
    assert "damaged" in shown.output


def test_a_damaged_champion_keeps_no_other_model_from_being_listed(registry: Registry, copied: Workspace) -> None:
    other = Registry(copied, "k2")
    shutil.copytree(registry.directory, other.directory)
    pointer = other.directory / "champion.json"
    pointer.write_text("{")
    listed = gatecast("list")
    assert listed.exit_code == 0
    assert f"Warning: {pointer} is damaged; promotions.jsonl says" in listed.output
    (other.directory / "promotions.jsonl").write_text("")
    listed = gatecast("list")
    assert listed.exit_code == 2
    assert str(registry.champion()) in listed.output
    expected = f"{pointer} is damaged, and promotions.jsonl does not say which version is the champion; choose one"
    assert expected in listed.output
    assert "Traceback" not in listed.output
    examined = CliRunner().invoke(app, ["doctor"])
    assert examined.exit_code == 1
    assert f"k2: {pointer} is damaged" in examined.output
    # What the sentence says to do is enough.
    promoted = gatecast("promote", "k2", "2")
    assert promoted.exit_code == 0, promoted.output
    assert "is the champion from now on" in promoted.output
    assert gatecast("list").exit_code == 0
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


def test_an_empty_workspace_says_what_to_do(workspace: Workspace) -> None:
    done = gatecast("list")
    assert done.exit_code == 2
    assert "run 'gatecast retrain' first" in done.output
