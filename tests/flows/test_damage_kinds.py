"""Workspaces of text models, taggers and fleets: each of their files is damaged, in every way, and something runs.

`tests.flows.test_damage` does the same for the workspace of one forecaster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from gatecast.data.bars.store import read_rows
from gatecast.data.errors import InputError
from gatecast.data.store import content_hash, read_json
from gatecast.flows.cli import app
from gatecast.flows.fleet import fleet
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import FleetSettings, RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.flows.tagging import train_tagger
from gatecast.flows.text import train_text
from gatecast.lstm.config import ForecasterSettings
from tests.damage import Harm, emptied, garbage, one_bit, truncated
from tests.flows import test_tagging, test_text
from tests.flows.conftest import contents, restore

HARMS: tuple[Harm, ...] = (truncated, emptied, one_bit, garbage)
INPUTS = ("bars", "texts", "tagged")
TIMES = ("created_at", "parent", "sha256", "seconds", "cached")
"""What is not the same in a file that is written once more"""


def text(folder: Path, seed: int) -> Any:
    path = folder / "novel.txt"
    path.write_text(test_text.TEXT)
    return train_text(test_text.small(path, max_epochs=1, seed=seed))


def tagger(folder: Path, seed: int) -> Any:
    return train_tagger(test_tagging.settings(folder, model={"max_epochs": 1, "seed": seed}))


def members(folder: Path, seed: int) -> Any:
    path = folder / "load.csv"
    days = pd.date_range("2020-01-01", periods=80)
    frames = [pd.DataFrame({"unique_id": name, "ds": days, "y": [day % 7.0 for day in range(80)]}) for name in "ab"]
    pd.concat(frames).to_csv(path, index=False)
    model = ForecasterSettings(lookback=7, hidden_size=4, max_epochs=1, seed=seed)
    shared = RetrainSettings(data=DataSettings(source="csv", path=path), model=model)
    result = fleet(FleetSettings(retrain=shared, groups=(("a",), ("b",)), runner="threads", workers=1))
    assert [each["error"] for each in result["outcomes"]] == [None, None]
    return result


@dataclass(frozen=True)
class Kind:
    """One kind of workspace: how it is trained, its model that is looked at, and the commands that use that."""

    train: Callable[[Path, int], Any]
    name: str
    uses: tuple[tuple[str, ...], ...]


KINDS = {
    "text": Kind(text, "novel-text", (("text", "generate", "--length", "5"), ("text", "evaluate", "novel.txt"))),
    "tagger": Kind(tagger, "names", (("tag", "predict", "test.conll"), ("tag", "evaluate", "test.conll"))),
    "fleet": Kind(members, "load-a", ()),
}


@dataclass(frozen=True)
class Trained:
    """A workspace with two versions of a model, the second one champion, and what was in it at first and is now."""

    kind: Kind
    folder: Path
    first: frozenset[str]
    whole: dict[str, bytes]

    @property
    def root(self) -> Path:
        return self.folder / "workspace"

    @property
    def registry(self) -> Registry:
        return Registry(Workspace(self.root), self.kind.name)

    def train(self) -> Any:
        return self.kind.train(self.folder, 2)

    @property
    def decisions(self) -> list[Path]:
        return [self.registry.directory / name for name in ("champion.json", "promotions.jsonl")]

    def files(self) -> list[Path]:
        """Return what the second training read and wrote, but for the decisions."""
        read = {path for path in self.whole if path.startswith(INPUTS)}
        written = {path for path in self.whole if path not in self.first}
        return [self.root / path for path in sorted(read | written) if not path.endswith("lock")]

    def restore(self) -> None:
        restore(self.root, self.whole)


@pytest.fixture(scope="module", params=KINDS)
def trained_twice(server: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Trained:
    kind = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATECAST_HOME", str(folder / "workspace"))
        kind.train(folder, 1)
        first = frozenset(contents(folder / "workspace"))
        kind.train(folder, 2)
        registry = Registry(Workspace(folder / "workspace"), kind.name)
        if registry.champion() == registry.versions()[0]:
            assert gatecast("models", "promote", kind.name, "2").exit_code == 0
        return Trained(kind, folder, first, contents(folder / "workspace"))


@pytest.fixture
def trained(trained_twice: Trained, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trained]:
    """The same, in place, since paths are in it; it is restored after each test."""
    monkeypatch.setenv("GATECAST_HOME", str(trained_twice.root))
    monkeypatch.chdir(trained_twice.folder)
    yield trained_twice
    trained_twice.restore()


def gatecast(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "500"})


def lasting(path: Path) -> Any:
    """Return what a file says, without times."""
    if path.name == "lineage.json":
        return {name: value for name, value in read_json(path).items() if name not in TIMES}
    if path.name == "outcomes.json":
        return [{name: value for name, value in each.items() if name not in TIMES} for each in read_json(path)]
    is_bars = path.parts[-3] == "bars" and path.suffix == ".parquet"
    return content_hash(read_rows(path).rows) if is_bars else path.read_bytes()


def asides(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*.damaged")}


@pytest.mark.parametrize("harm", HARMS)
def test_a_training_makes_again_what_it_needs(trained: Trained, harm: Harm) -> None:
    files = trained.files()
    before = {path: lasting(path) for path in files}
    for path in files:
        harm(path)
    trained.train()
    for path in files:
        assert lasting(path) == before[path], path
    assert asides(trained.root) <= {"lineage.json.damaged"}
    for command in (("list",), ("show", trained.kind.name), ("show", trained.kind.name, "2")):
        assert gatecast("models", *command).exit_code == 0


@pytest.mark.parametrize("harm", HARMS)
def test_the_decisions_are_made_again_from_each_other(trained: Trained, harm: Harm) -> None:
    champion = trained.registry.champion()
    for path in trained.decisions:
        harm(path)
        for command in (("list",), ("show", trained.kind.name), ("show", trained.kind.name, "1")):
            assert gatecast("models", *command).exit_code == 0, path
        assert trained.registry.champion() == champion
        assert gatecast("models", "promote", trained.kind.name, "1").exit_code == 0
        assert trained.registry.champion() == trained.registry.versions()[0]
        trained.restore()


def test_a_training_goes_on_from_damaged_decisions(trained: Trained) -> None:
    champion = trained.registry.champion()
    pointer, history = trained.decisions
    garbage(pointer)
    trained.train()
    assert trained.registry.champion() == champion
    trained.restore()
    truncated(history)
    trained.train()
    assert trained.registry.champion() == champion
    # Of a fleet, nobody decides anew about a model that is unchanged.
    assert asides(trained.root) == ({"promotions.jsonl.damaged"} if trained.kind.uses else set())


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_version_is_named_by_what_needs_it(trained: Trained, harm: Harm) -> None:
    name = trained.kind.name
    first, second = trained.registry.versions()
    promote = ("models", "promote", name, "1")
    # What is shown of a version, and the commands that need the model in it.
    for version, shows, needs in ((first, "1", [promote]), (second, "2", trained.kind.uses)):
        for path in sorted(trained.registry.path(version).iterdir()):
            harm(path)
            assert gatecast("models", "list").exit_code == 0
            assert gatecast("models", "show", name).exit_code == 0
            told = [refusal(path, *command) for command in (("models", "show", name, shows), *needs)]
            assert told[0] is (path.name in ("model.json", "settings.json", "evaluation.json")), path
            if path.suffix == ".safetensors" or path.name == "model.json":
                assert all(told[1:]), path
            trained.restore()


def refusal(path: Path, *command: str) -> bool:
    """Tell whether a command is refused; if so, one sentence has to name the damaged file."""
    done = gatecast(*command)
    if done.exit_code == 0:
        return False
    sentence = " ".join(done.output.rpartition("Error: ")[2].split())
    assert done.exit_code == 2, done.output
    assert sentence.startswith(f"{path} "), (command, done.output)
    assert "gatecast models promote" in sentence
    return True


@pytest.mark.parametrize("trained_twice", ["text", "tagger"], indirect=True)  # a fleet trains what has changed only
def test_a_damaged_champion_stops_no_training(trained: Trained) -> None:
    assert gatecast("models", "promote", trained.kind.name, "1").exit_code == 0
    first, second = trained.registry.versions()
    truncated(trained.registry.path(first) / "model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors is damaged"):
        trained.registry.model(first)
    trained.train()
    assert trained.registry.champion() == second
