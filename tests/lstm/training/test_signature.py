from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from mypy import api

from gatecast import CharLM, Forecaster, Tagger
from gatecast.lstm.config import CharLMSettings, ForecasterSettings, TaggerSettings

ROOT = Path(__file__).parents[3]
CALLS = ROOT / "tests" / "lstm" / "typed_calls.py"
MODELS = {Forecaster: ForecasterSettings, CharLM: CharLMSettings, Tagger: TaggerSettings}


def test_a_type_checker_sees_wrong_names_and_values_and_nothing_else(request, monkeypatch):
    monkeypatch.chdir(ROOT)
    # As for a user of the package: without this project's configuration and plugins.
    cache = request.config.cache.mkdir("mypy")
    options = ["--config-file=", "--follow-imports=silent", "--ignore-missing-imports", f"--cache-dir={cache}"]
    printed, complaints, _ = api.run([*options, str(CALLS)])
    assert not complaints
    told = {int(line.split(":")[1]) for line in printed.splitlines() if ": error:" in line}
    wrong = {number for number, line in enumerate(CALLS.read_text().splitlines(), 1) if line.endswith("# wrong")}
    assert told == wrong, printed


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "gatecast" / "py.typed").is_file()


@pytest.mark.parametrize(("model", "settings"), MODELS.items())
def test_the_signature_has_the_names_and_defaults_of_the_settings(model, settings):
    parameters = inspect.signature(model).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == dict(settings())
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert "Annotated" not in str(inspect.signature(model))


@pytest.mark.parametrize(("model", "settings"), MODELS.items())
def test_help_describes_every_setting(model, settings):
    defaults = dict(settings())
    for name, field in settings.model_fields.items():
        assert f"{name} : default {defaults[name]!r}\n    {field.description}" in model.__init__.__doc__


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (Forecaster(), "Forecaster()"),
        (Forecaster(horizon=5), "Forecaster(horizon=5)"),
        (Forecaster(horizon=5, lookback="auto", attention="dot"), "Forecaster(attention='dot', horizon=5)"),
        (CharLM(max_minutes=2), "CharLM(max_minutes=2.0)"),
        (Tagger(crf=False), "Tagger(crf=False)"),
        (Forecaster.from_settings(ForecasterSettings(seed=3)), "Forecaster(seed=3)"),
    ],
)
def test_a_model_shows_the_settings_that_are_not_at_their_defaults(model, text):
    assert repr(model) == text
