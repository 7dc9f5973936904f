"""Options are made from the settings of the flows: all of them, with their names, defaults and bounds."""

from __future__ import annotations

import importlib
import inspect
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from gatecast.data.errors import InputError
from gatecast.data.settings import Settings
from gatecast.flows.cli import ENTRIES, app
from gatecast.flows.commands.backtest import BacktestOptions
from gatecast.flows.commands.data import CheckOptions
from gatecast.flows.commands.fetch import FetchOptions
from gatecast.flows.commands.forecast import ForecastOptions
from gatecast.flows.commands.monitor import MonitorOptions
from gatecast.flows.commands.options import CommonOptions, Typed
from gatecast.flows.commands.retrain import RetrainOptions
from gatecast.flows.commands.setting import Setting, join_list, settings_in, split_list
from gatecast.flows.commands.tag import EvaluateOptions, PredictOptions
from gatecast.flows.commands.tag import TrainOptions as TagOptions
from gatecast.flows.commands.text import TrainOptions as TextOptions
from gatecast.flows.deployments import offered
from gatecast.flows.settings.champion import ForecastSettings
from gatecast.flows.settings.data import DataSettings
from tests.flows.typed import parsed


@dataclass(frozen=True)
class Command:
    """A command, where its settings are, what it has to be given, and which settings it lacks and why."""

    options: type
    field: str
    kind: str | None
    given: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    @property
    def typed(self) -> Typed[Any]:
        return self.options.__dataclass_fields__[self.field].default

    def parsed(self, *arguments: str) -> Typed[Any]:
        return getattr(parsed(self.options, *self.given, *arguments), self.field)


COMMANDS = {
    # One file says which series each model learns.
    "retrain": Command(RetrainOptions, "fleet", "fleet", lacking=("groups",)),
    "forecast": Command(ForecastOptions, "champion", "forecast"),
    # Nothing is promoted, and what is trained on ends at each origin.
    "backtest": Command(
        BacktestOptions,
        "rolling",
        "backtest",
        lacking=(
            "split.train_end", "split.validation_end", "split.test_fraction",
            "gate.minimum_gain", "gate.test", "gate.significance", "gate.must_beat", "warm_start",
        ),
    ),
    "monitor": Command(MonitorOptions, "limits", "monitor"),
    "fetch": Command(FetchOptions, "data", "ingest"),
    "data check": Command(CheckOptions, "data", None),
    "text train": Command(TextOptions, "text", "text"),
    "tag train": Command(TagOptions, "tagging", "tagging", given=("names.conll",)),
    "tag evaluate": Command(EvaluateOptions, "columns", None, given=("names.conll",)),
    # What is to be tagged has no tags.
    "tag predict": Command(PredictOptions, "columns", None, lacking=("tag_column",)),
}  # fmt: skip

# As they were before options were made from settings; other programs call them.
PUBLIC = {
    "retrain": "--adjustment --attention --attention-heads --bad-rows --batch-size --bidirectional --calendar --cluster"
    " --date-format --decimal --delimiter --dropout --dropout-kind --end --epochs --features --force --gate-test"
    " --heads --hidden-size --horizon --input-dropout --interval --layer-norm --layers --learning-rate --lookback"
    " --max-stale --minimum-gain --name --num-layers --path --query --recurrent-dropout --requests-per-second"
    " --residual --resume --runner --seed --significance --source --start --stateful --symbols --symbols-file --target"
    " --train-end --url --validation-end --weight-dropout --workers",
    "text train": "--batch-size --dropout --embedding-size --epochs --force --hidden-size --layers --learning-rate"
    " --level --max-epochs --max-minutes --min-count --minutes --name --num-layers --recurrent-dropout --resume"
    " --schedule --seed --seq-len --tie-weights",
    "tag train": "--batch-size --bidirectional --crf --dev --dropout --epochs --force --forward --hidden-size --layers"
    " --learning-rate --max-vectors --name --no-crf --num-layers --patience --resume --scheme --seed --tag-column"
    " --test --vectors --word-column --word-size",
    "tag evaluate": "--name --tag-column --word-column",
    "tag predict": "--format --name --output --text --word-column",
    "backtest": "--adjustment --attention --attention-heads --bad-rows --batch-size --bidirectional --calendar"
    " --date-format --decimal --delimiter --dropout --dropout-kind --end --epochs --features --force --heads"
    " --hidden-size --horizon --input-dropout --interval --layer-norm --layers --learning-rate --lookback --max-stale"
    " --n-windows --name --num-layers --path --query --recurrent-dropout --refit --requests-per-second --residual"
    " --seed --source --start --stateful --step --step-size --symbols --target --url --weight-dropout --windows",
    "monitor": "--coverage-tolerance --drift-limit --drift-test --minimum-rows --name --no-rollback --path"
    " --prometheus --rollback --skill-limit --window",
    "forecast": "--level --name --path --quantile --samples --seed",
    "fetch": "--adjustment --bad-rows --calendar --date-format --decimal --delimiter --end --interval --max-stale"
    " --path --query --requests-per-second --source --start --symbols --url",
    "data check": "--adjustment --bad-rows --calendar --date-format --decimal --delimiter --end --interval --max-stale"
    " --output --path --query --requests-per-second --source --start --symbols --url",
}

by_command = pytest.mark.parametrize("name", COMMANDS)


def help_of(name: str) -> str:
    done = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "240"})
    assert done.exit_code == 0, done.output
    return re.sub(r"\x1b\[[0-9;]*m", "", done.output)


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of all fields of a model that are no models themselves, found without the code under test."""
    for name, field in model.model_fields.items():
        inner = [each for each in _within(field.annotation) if inspect.isclass(each) and issubclass(each, BaseModel)]
        yield from leaves(inner[0], f"{prefix}{name}.") if inner else [f"{prefix}{name}"]


def _within(annotation: Any) -> list[Any]:
    return [annotation, *(each for argument in typing.get_args(annotation) for each in _within(argument))]


def models_in(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = [each for field in model.model_fields.values() for each in _within(field.annotation)]
    inner = [each for each in found if inspect.isclass(each) and issubclass(each, BaseModel)]
    return {model}.union(*map(models_in, inner))


def subclasses(model: type[BaseModel]) -> set[type[BaseModel]]:
    own = {each for each in model.__subclasses__() if each.__module__.startswith("gatecast.flows.")}
    return own.union(*map(subclasses, own))


@by_command
def test_every_setting_has_an_option(name: str) -> None:
    command = COMMANDS[name]
    reached = {".".join(setting.path) for setting in command.typed.options}
    assert reached == set(leaves(command.typed.model)) - set(command.lacking)
    shown = help_of(name)
    for setting in command.typed.options:
        for spelling in () if setting.is_argument else setting.spellings:
            assert re.search(rf"{spelling}[ ,]", shown), spelling


def test_every_settings_model_belongs_to_a_command_or_to_the_file() -> None:
    for kind in offered().values():
        importlib.import_module(kind.entrypoint.split(":")[0])
    of_commands = set().union(*(models_in(command.typed.model) for command in COMMANDS.values()))
    others = {each.__name__ for each in subclasses(Settings) - of_commands}
    of_file = {"ServeSettings", "DeploymentSettings", "RetentionSettings", "NightlyRetention"}
    assert others == {"ChampionSettings", *of_file}  # a base, and gatecast.toml


@by_command
def test_the_options_that_other_programs_call_are_there(name: str) -> None:
    shown = help_of(name)
    for option in PUBLIC[name].split():
        assert re.search(rf"{option}[ ,]", shown), option


def sample(setting: Setting) -> tuple[str | None, Any]:
    """A value that is not the default, as it is typed (None for what is no value but a switch) and as it is kept."""
    if setting.is_list:
        return "A, B", ("A", "B")
    if setting.choices == ("auto",):  # or a number, which pydantic makes of what is typed
        return "7", "7"
    if setting.choices:
        choice = next(choice for choice in setting.choices if choice != setting.default)
        return choice, choice
    if setting.kind is bool:
        return None, not setting.default
    if setting.kind is date:
        return "2015-06-30", date(2015, 6, 30)
    if setting.kind in (int, float):
        number = setting.kind(7 if setting.kind is int else 0.125)
        return str(number), number
    return "x", setting.kind("x")


@by_command
def test_an_option_changes_its_setting_and_no_other(name: str) -> None:
    command = COMMANDS[name]
    for setting in command.typed.options:
        if setting.is_argument:
            continue
        typed, kept = sample(setting)
        for spelling in setting.spellings[-1:] if typed is None and setting.default else setting.declared:
            values = command.parsed(*([spelling] if typed is None else [f"{spelling}={typed}"])).values
            for part in setting.path[:-1]:
                assert set(values) - {"train"} == {part}
                values = values[part]
            assert {key: value for key, value in values.items() if key != "train"} == {setting.path[-1]: kept}


@by_command
def test_help_says_what_a_setting_is_which_values_it_takes_and_its_default(name: str) -> None:
    shown = " ".join(re.sub(r"[│\s]+", " ", help_of(name)).split())
    for setting in COMMANDS[name].typed.options:
        assert setting.field.description and not setting.field.description.endswith(".")
        beginning = re.split(r"[;:(]", setting.field.description)[0]
        assert "_" in beginning or beginning in shown, setting.path
        for choice in setting.choices:
            assert re.search(rf"\b{re.escape(choice)}\b", shown), choice
        text = setting.default_text
        assert text is None or "_" in text or f"[default: ({text})]" in shown, (setting.path, text)


WITH_FLOWS = [name for name, command in COMMANDS.items() if command.kind]


@pytest.mark.parametrize("name", WITH_FLOWS)
def test_a_command_without_options_does_what_the_flow_does_by_default(name: str) -> None:
    command = COMMANDS[name]
    module, function = offered()[str(command.kind)].entrypoint.split(":")
    signature = inspect.signature(getattr(importlib.import_module(module), function).fn)
    settings = command.parsed().settings()
    if "settings" not in signature.parameters:
        assert settings.model_dump() == {name: each.default for name, each in signature.parameters.items()}
        return
    default = signature.parameters["settings"].default
    if default is inspect.Parameter.empty:
        default = command.typed.model(train=command.given[0])
    assert settings == default


def test_a_retrain_without_options_does_what_the_flow_does_by_default() -> None:
    from gatecast.flows.retrain import DEFAULTS

    assert parsed(RetrainOptions).fleet.settings().retrain == DEFAULTS


def test_a_command_and_a_flow_that_are_given_the_same_do_the_same() -> None:
    """If only some text settings are given, the others are the same, whoever gives them."""
    from gatecast.flows.settings.text import TextSettings

    for typed, given in (
        ((), {}),
        (("--hidden-size", "9"), {"hidden_size": 9}),
        (("--epochs", "4"), {"max_epochs": 4}),
        (("--minutes", "2"), {"max_minutes": 2}),
        (("--minutes", "2", "--epochs", "4"), {"max_minutes": 2, "max_epochs": 4}),
    ):
        settings = parsed(TextOptions, *typed).text.settings()
        assert settings == TextSettings(model=given) == TextSettings.model_validate({"model": given})
        assert TextSettings.model_validate_json(settings.model_dump_json()) == settings


def test_yahoo_is_asked_as_often_by_the_library() -> None:
    from gatecast.data.yahoo.client import Policy

    assert Policy().requests_per_second == DataSettings().requests_per_second


def test_the_list_of_commands_says_what_each_says_itself() -> None:
    for name, entry in ENTRIES.items():
        command = entry.load(name)
        assert (command.help or "").split("\n\n")[0] == entry.summary
        assert command.epilog == entry.epilog


def test_what_comes_last_in_a_help_is_what_every_command_has() -> None:
    shown = help_of("retrain")
    places = [
        shown.index(f" {panel} ─") for panel in ("Data", "Model", "This run", "Where", "When something goes wrong")
    ]
    assert places == sorted(places)
    assert shown.index("--name") > places[2]


class Inner(Settings):
    size: int = Field(3, description="How large it is")


class Odd(Settings):
    inner: Inner = Field(Inner(size=4), description="What is within")
    on: bool = Field(True, description="Whether inner_size is looked at; see size_of_it")
    several: tuple[tuple[str, ...], ...] = Field((), description="Lists of lists")


def test_the_default_of_a_setting_within_is_that_of_the_outer_one() -> None:
    size, on, several = settings_in(Odd)
    assert (size.path, size.default, size.default_text) == (("inner", "size"), 4, "4")
    assert on.declared == ("--on/--no-on",)
    assert on.spellings == ("--on", "--no-on")
    with pytest.raises(TypeError, match="several is of a type that no option has"):
        several.parameter({})
    assert [each.path[-1] for each in settings_in(Odd, only=("inner",))] == ["size"]
    assert [each.path[-1] for each in settings_in(Odd, without=("inner.size", "several"))] == ["on"]


def test_an_error_names_the_option_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gatecast", "retrain", "--max-epochs=0"])
    with pytest.raises(InputError, match=r"^--max-epochs 0 is not allowed: it should be greater than 0, or 'auto'\.$"):
        parsed(RetrainOptions, "--max-epochs", "0").fleet.settings()
    with pytest.raises(InputError, match=r"^--samples 1 is not allowed: it should be 0, or 2 and more\.$"):
        Typed(ForecastSettings, values={"n_samples": 1}).settings()


def test_common_options_are_those_of_every_command() -> None:
    assert all(issubclass(command.options, CommonOptions) for command in COMMANDS.values())
    assert parsed(FetchOptions, "--workspace", "w").workspace == Path("w")


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("AAPL, ^GSPC", ("AAPL", "^GSPC")),
        ('"Smith, John",b c', ("Smith, John", "b c")),
        ('"say ""hi""",x', ('say "hi"', "x")),
        ('5" pipe', ('5" pipe',)),
        (" ", ()),
    ],
)
def test_names_of_a_list_may_hold_commas_and_blanks(typed: str, names: tuple[str, ...]) -> None:
    assert split_list(typed) == names
    if names:
        assert split_list(join_list(names)) == names
