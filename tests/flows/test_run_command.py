from __future__ import annotations

from typing import Any

import pytest

from gatecast.data.errors import InputError
from gatecast.flows.commands.run import with_settings
from gatecast.flows.deployments import ServeSettings, build


@pytest.fixture(scope="module")
def deployment() -> dict[str, Any]:
    """The retrain deployment, as the server describes it."""
    built = next(deployment for deployment in build(ServeSettings()) if deployment.name == "retrain")
    return {
        "name": "retrain",
        "parameters": {"resume": True, "settings": {"name": "a", "data": {"source": "sample"}}},
        "parameter_openapi_schema": built._parameter_openapi_schema.model_dump(),
    }


def settings(deployment: dict[str, Any], *assignments: str) -> Any:
    return with_settings(deployment, list(assignments))


def test_assignments_change_what_they_name_and_keep_the_rest(deployment: dict[str, Any]) -> None:
    assert settings(deployment, "model.max_epochs=5", "resume=false") == {
        "resume": False,
        "settings": {"name": "a", "data": {"source": "sample"}, "model": {"max_epochs": 5}},
    }
    assert deployment["parameters"]["resume"] is True


def test_settings_may_be_named_in_full(deployment: dict[str, Any]) -> None:
    assert settings(deployment, "settings.target=close")["settings"]["target"] == "close"


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("data.symbols=sp500,nasdaq", ["sp500", "nasdaq"]),
        ("data.symbols=sp500", ["sp500"]),
        ('data.symbols=["sp500"]', ["sp500"]),
        ("data.symbols=500", ["500"]),
    ],
)
def test_lists_are_written_with_commas(deployment: dict[str, Any], assignment: str, value: list[str]) -> None:
    assert settings(deployment, assignment)["settings"]["data"]["symbols"] == value


@pytest.mark.parametrize(("text", "value"), [("2024", "2024"), ("b", "b"), ("null", None), ("true", "true")])
def test_text_stays_text(deployment: dict[str, Any], text: str, value: str | None) -> None:
    assert settings(deployment, f"name={text}")["settings"]["name"] == value


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.max_epoch=5", "no setting model.max_epoch; settings.model has hidden_size, num_layers"),
        ("horizon=5", "no setting horizon; did you mean settings.model.horizon?"),
        ("modle=5", "no setting modle; settings has name, data"),
        ("name.first=5", "no setting name.first; settings.name has none"),
        ("name", "no assignment"),
    ],
)
def test_a_mistake_names_what_there_is(deployment: dict[str, Any], assignment: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings(deployment, assignment)


@pytest.mark.parametrize(
    "assignment",
    [
        "data.path=https://me:hunter2@host/x.csv",
        "data.url=postgres:/me:hunter2@host",
        "data.query=LOAD 'https://h/x?key=hunter2'",
    ],
)
def test_a_secret_is_refused_before_it_is_sent(deployment: dict[str, Any], assignment: str) -> None:
    with pytest.raises(InputError, match=rf"The setting {assignment.partition('=')[0]} holds a secret") as refused:
        settings(deployment, assignment)
    assert "hunter2" not in str(refused.value)


def test_the_name_of_a_variable_is_no_secret(deployment: dict[str, Any]) -> None:
    path = "https://me:${PASSWORD}@host/x.csv"
    assert settings(deployment, f"data.path={path}")["settings"]["data"]["path"] == path
