"""A new kind of model is a class, a file with its flow, and its place in one list."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from gatecast.data.errors import InputError
from gatecast.data.settings import Settings
from gatecast.flows.cli import app
from gatecast.flows.deployments import ServeSettings, build, read_settings
from gatecast.flows.engine.deployable import imported
from gatecast.flows.registry import kinds
from gatecast.flows.registry.registry import Registry
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.training.model import TrainedModel
from tests.flows.conftest import small_settings


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one entry."""
    places = MappingProxyType({**kinds.PLACES, "Line": "tests.flows.toy.flow:LINE"})
    monkeypatch.setattr(kinds, "PLACES", places)


@pytest.fixture
def points(tmp_path: Path) -> Path:
    x = np.random.default_rng(3).uniform(-1, 1, 80)
    np.savetxt(tmp_path / "points.csv", np.column_stack([x, 2 * x + 0.5]), delimiter=",")
    return tmp_path


def gatecast(*arguments: str) -> Result:
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done


def test_a_kind_is_registered_by_one_entry(server: str, registered: None, workspace: Workspace, points: Path) -> None:
    from tests.flows.toy.flow import LINE, LineTraining, train_line
    from tests.flows.toy.line import Line

    first = train_line(LineTraining(path=points, model={"max_epochs": 2}))
    again = train_line(LineTraining(path=points, model={"max_epochs": 2}))
    second = train_line(LineTraining(path=points, model={"max_epochs": 40}))
    assert [step["name"] for step in again["steps"] if step["cached"]] == ["train", "evaluate", "checkpoint"]

    registry = Registry(workspace, "line")
    versions = [first["checkpoint"]["version"], second["checkpoint"]["version"]]
    assert registry.versions() == versions
    assert registry.champion() == versions[1] == second["promote"]["champion"]
    assert registry.kind() is LINE
    model = registry.model(versions[1])
    assert isinstance(model, Line)
    assert np.allclose(model.predict(np.array([[0.5]])), 1.5, atol=0.05)
    assert registry.settings(versions[1]) == LineTraining(path=points, model={"max_epochs": 40})

    listed = gatecast("models", "list").output
    assert all(shown in listed for shown in ("line", versions[1], str(registry.figure(versions[1]))))
    assert versions[0] in gatecast("models", "show", "line").output
    shown = gatecast("models", "show", "line", "2").output
    assert all(part in shown for part in ("80 points", "model.max_epochs", "40", "and the mean has"))
    assert "lower than" in gatecast("models", "compare", "line", "1", "2").output
    assert "models show line" in gatecast("models", "rollback", "line").output


def test_a_kind_that_is_registered_can_be_deployed(registered: None, points: Path) -> None:
    path = points / "gatecast.toml"
    path.write_text(f"[deployments.nightly]\nflow = 'line'\ncron = '0 3 * * *'\nsettings = {{path = '{points}'}}\n")
    built = {deployment.name: deployment for deployment in build(read_settings(path))}
    assert built["line"].description == "Fits a line to points."
    for name in ("line", "nightly"):
        assert built[name].entrypoint == "tests.flows.toy.flow.train_line"
        assert built[name].parameters["resume"] is True
    assert built["nightly"].parameters["settings"] == {"path": str(points)}
    path.write_text("[deployments.nightly]\nflow = 'lime'")
    with pytest.raises(InputError, match="choose from retrain, text, tagging, line"):
        read_settings(path)


def test_a_kind_that_is_not_registered_is_not_there() -> None:
    assert "Line" not in kinds.KINDS
    assert "line" not in {deployment.name for deployment in build(ServeSettings())}


def test_its_name_is_taken(server: str, registered: None, workspace: Workspace, points: Path) -> None:
    from tests.flows.toy.flow import LineTraining, train_line

    train_line(LineTraining(path=points))
    with pytest.raises(InputError, match="The model line is a line, not a forecaster"):
        retrain(small_settings(name="line"))


@pytest.mark.parametrize("place", [*kinds.PLACES.values(), "tests.flows.toy.flow:LINE"])
def test_the_places_that_a_kind_names_are_there(place: str) -> None:
    kind = imported(place)
    model = imported(kind.model)
    assert issubclass(model, TrainedModel)
    assert model.kind == kind.name
    assert issubclass(imported(kind.settings_model), Settings)
    assert callable(kind.flow.flow().fn)


def test_a_kind_is_called_what_its_entry_says() -> None:
    assert {name: kind.name for name, kind in kinds.KINDS.items()} == {name: name for name in kinds.PLACES}
