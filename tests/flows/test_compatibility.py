"""The registry commands on the workspace of an earlier revision, which holds models of every kind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gatecast.flows.cli import app
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from tests.damage import Harm, one_bit, truncated
from tests.fixtures import FIXTURES, REVISIONS, copy_workspace
from tests.flows.conftest import contents

# Of the champion: its score, how it compares with the naive method, and the command that uses it.
SCORES = {
    "names": ("tagger", "F1 80.00%", "+6.3 points", "tag predict --text --name names"),
    "range": ("forecaster", "RMSE 0.93693", "+11.1%", "forecast --name range"),
    "rhyme": ("language model", "bits/char 4.4029", "-391.1%", "text generate --name rhyme"),
    "sales": ("forecaster", "RMSE 0.83263", "+17.8%", "forecast --name sales"),
}


def gatecast(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


@pytest.fixture(params=REVISIONS)
def old(request: pytest.FixtureRequest, workspace: Workspace) -> Workspace:
    copy_workspace(request.param, workspace.root)
    return workspace


def test_every_model_is_listed(old: Workspace) -> None:
    listed = gatecast("models", "list")
    assert listed.exit_code == 0, listed.output
    assert "damaged" not in listed.output
    for name, (called, score, gain, _) in SCORES.items():
        (line,) = (line for line in listed.output.splitlines() if line.strip().startswith(name))
        assert all(part in line for part in (called, score, gain, str(Registry(old, name).champion())))


@pytest.mark.parametrize("name", SCORES)
def test_every_model_and_version_is_shown(old: Workspace, name: str) -> None:
    shown = gatecast("models", "show", name)
    assert shown.exit_code == 0, shown.output
    assert "damaged" not in shown.output
    assert "is the first version" in shown.output
    registry = Registry(old, name)
    for version in registry.versions():
        assert version in shown.output
        one = gatecast("models", "show", name, version)
        assert one.exit_code == 0, one.output
        for expected in (registry.evaluation(version)["verdict"], registry.lineage(version)["data_hash"]):
            assert expected in one.output
        settings = registry.settings(version)
        assert f"model.seed                  {settings.model.seed}" in one.output


@pytest.mark.parametrize(
    ("name", "measure", "on"),
    [
        ("names", "F1", "3 sentences of the dev sentences of v0002"),
        ("range", "RMSE", "43 rows that neither has seen, 2017-05-02 to 2017-06-30"),
        ("rhyme", "bits/char", "the last 232 characters of the text of v0002"),
        ("sales", "RMSE", "88 rows that neither has seen"),
    ],
)
def test_versions_are_compared(old: Workspace, name: str, measure: str, on: str) -> None:
    first, second = Registry(old, name).versions()
    for order in (("1", "2"), ("2", "1")):
        done = gatecast("models", "compare", name, *order)
        assert done.exit_code == 0, done.output
        assert f"The {measure} of {second} is " in done.output
        assert all(expected in done.output for expected in (first, second, on, SCORES[name][3]))


@pytest.mark.parametrize("name", SCORES)
def test_versions_are_promoted_rolled_back_and_pruned(old: Workspace, name: str) -> None:
    registry = Registry(old, name)
    first, second = registry.versions()
    promoted = gatecast("models", "promote", name, "1", "--reason", "it is older")
    assert promoted.exit_code == 0, promoted.output
    assert SCORES[name][3] in promoted.output
    assert registry.champion() == first
    back = gatecast("models", "rollback", name)
    assert back.exit_code == 0, back.output
    assert registry.champion() == second
    shutil.copytree(registry.path(first), registry.path(first.replace("v0001", "v0003")))
    shutil.copytree(registry.path(first), registry.path(first.replace("v0001", "v0004")))
    assert gatecast("models", "prune", name, "--keep", "1", "--yes").exit_code == 0
    assert registry.versions() == [first, second, first.replace("v0001", "v0004")]


@pytest.mark.parametrize("name", ["names", "rhyme"])
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_what_cannot_be_exported_says_so(old: Workspace, name: str, to: str) -> None:
    done = gatecast("export", name, "--to", to)
    assert done.exit_code == 2
    assert f"is a {SCORES[name][0]}, which cannot be exported to {to}; name a forecaster." in done.output
    assert not (old.root / "exports").exists()


def test_a_forecaster_is_exported(old: Workspace) -> None:
    assert gatecast("export", "range", "--to", "torch").exit_code == 0


def test_the_doctor_finds_nothing(old: Workspace) -> None:
    examined = gatecast("doctor")
    assert examined.exit_code == 0, examined.output
    assert "models: names, range, rhyme, sales" in examined.output


def test_other_data_is_compared_on(old: Workspace, tmp_path: Path) -> None:
    text = tmp_path / "more.txt"
    text.write_text("on the plain the rain falls again\n" * 3)
    done = gatecast("models", "compare", "rhyme", "1", "2", "--path", str(text))
    assert done.exit_code == 0, done.output
    assert f"the 102 characters of {text}" in done.output
    learnt = next(old.texts.iterdir())
    text.write_text(learnt.read_text()[:200])
    refused = gatecast("models", "compare", "rhyme", "1", "2", "--path", str(text))
    assert refused.exit_code == 2
    assert "v0001-e6d1821a8caf was trained on" in refused.output
    tagged = tmp_path / "more.conll"
    tagged.write_text("Kay B-PER\nsaw O\nNew B-LOC\nYork I-LOC\n")
    done = gatecast("models", "compare", "names", "1", "2", "--path", str(tagged))
    assert done.exit_code == 0, done.output
    assert f"1 sentence of {tagged} that neither has learnt from" in done.output
    refused = gatecast("models", "compare", "names", "1", "2", "--path", str(next(old.tagged.glob("*/train.conll"))))
    assert refused.exit_code == 2
    assert "have learnt from all of" in refused.output
    sales = FIXTURES / REVISIONS[0] / "sales.csv"
    assert gatecast("models", "compare", "sales", "1", "2", "--path", str(sales)).exit_code == 0


@pytest.mark.parametrize("harm", [truncated, one_bit])
def test_a_damaged_text_is_not_compared_on(old: Workspace, harm: Harm) -> None:
    learnt = next(old.texts.iterdir())
    harm(learnt)
    done = gatecast("models", "compare", "rhyme", "1", "2")
    assert done.exit_code == 2
    assert f"{learnt}, from which v0002-" in done.output
    assert "is damaged; 'gatecast text train' with the same files writes it again." in done.output


def test_an_old_champion_forecasts_and_meets_a_new_challenger(server: str, old: Workspace) -> None:
    from gatecast.flows.forecast import forecast_latest
    from gatecast.flows.retrain import retrain

    registry = Registry(old, "range")
    champion = str(registry.champion())
    before = contents(registry.path(champion))
    assert forecast_latest("range")["version"] == champion
    settings: RetrainSettings = registry.settings(champion)
    model = settings.model.model_copy(update={"seed": 2})
    result = retrain(settings.model_copy(update={"model": model}))
    assert f"than {champion}" in result["promote"]["summary"]
    assert "on 43 test rows" in result["promote"]["summary"]
    assert contents(registry.path(champion)) == before
