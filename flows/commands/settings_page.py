"""``docs/settings.md``: every setting in a table, made from the settings themselves.

``python -m flows.commands.settings_page`` (``make settings-page``) writes it; a test fails when the page is out of
date.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gatecast.data.settings import IN_WORDS
from gatecast.flows.commands.setting import Setting, settings_in
from gatecast.flows.deployments import DeploymentSettings, ServeSettings
from gatecast.flows.engine.deployable import imported
from gatecast.flows.registry.kinds import FORECASTER, KINDS
from gatecast.flows.settings.champion import ForecastSettings, MonitorSettings
from gatecast.flows.settings.retention import RetentionSettings
from gatecast.flows.settings.runs import BacktestSettings, FleetSettings, RetrainSettings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
INTRODUCTION = """# Settings

<!-- Written by `make settings-page` from the settings' fields. Change those. -->

A setting has one name, one default and one range wherever it is given: as an option of a command, in the form of the
dashboard, under `settings` in `gatecast.toml`, with `gatecast run NAME --set model.max_epochs=5`, or in Python
(`RetrainSettings(model={"max_epochs": 5})`, and without the `model.` as `Forecaster(max_epochs=5)`).
"""


@dataclass(frozen=True)
class Section:
    """A table of the page.

    Attributes
    ----------
    heading, text : str
        What is printed above it.
    model : type
        The settings in it.
    without : tuple of str
        Names of those that are in another table.
    has_options : bool
        Whether they are options of a command too.
    """

    heading: str
    text: str
    model: type[BaseModel]
    without: tuple[str, ...] = ()
    has_options: bool = True


def _trainings() -> Iterator[Section]:
    """Yield the table of each kind of model; that of forecasters is the first of the page."""
    for kind in KINDS.values():
        if kind is not FORECASTER:
            heading = f"`gatecast {kind.trained_by}`, flow `{kind.flow.name}`"
            yield Section(heading, f"Of a {kind.called}.", imported(kind.settings_model))


SECTIONS = (
    Section(
        "`gatecast retrain`, flow `retrain`",
        "All but the name and the promotion are also the options of `gatecast data check`, and those under `data` those"
        " of `gatecast fetch` and the settings of the flow `ingest`, there without the `data.`",
        RetrainSettings,
    ),
    Section(
        "`gatecast retrain --symbols-file`, flow `fleet`",
        "The settings above, under `retrain`, are those that the models share.",
        FleetSettings,
        without=("retrain",),
    ),
    Section(
        "`gatecast backtest`, flow `backtest`",
        "And those of a retrain, but for the promotion and the days and share of the test.",
        BacktestSettings,
        without=tuple(RetrainSettings.model_fields),
    ),
    Section("`gatecast forecast`, flow `forecast`", "Of a model that is trained.", ForecastSettings),
    Section("`gatecast monitor`, flow `monitor`", "Of a model that is trained.", MonitorSettings),
    *_trainings(),
    Section(
        "`gatecast.toml`",
        "The file that `gatecast serve` reads. `deployments` holds a table `[deployments.NAME]` for each deployment.",
        ServeSettings,
        without=("deployments", "retention"),
        has_options=False,
    ),
    Section(
        "`gatecast clean`, flow `clean`, `[retention]` of `gatecast.toml`",
        "The table has `cron` too, when the rest is removed: `0 4 * * *` by default, and never if it is empty.",
        RetentionSettings,
    ),
    Section(
        "`[deployments.NAME]`",
        "Its table `settings` holds those of its flow, from the tables above.",
        DeploymentSettings,
        without=("settings",),
        has_options=False,
    ),
)


def page() -> str:
    """Return the page."""
    return "\n".join([INTRODUCTION, *map(_table, SECTIONS)])


def _table(section: Section) -> str:
    columns = ["Option", "Setting", "Default", "Allowed", "What it is"]
    rows = [columns, ["---"] * len(columns), *map(_cells, settings_in(section.model, without=section.without))]
    shown = rows if section.has_options else [row[1:] for row in rows]
    return "\n".join([f"## {section.heading}", "", section.text, "", *map(_row, shown), ""])


def _cells(setting: Setting) -> list[str]:
    option = "its place" if setting.is_argument else ", ".join(f"`{spelling}`" for spelling in setting.spellings)
    about = html.escape(f"{setting.field.description}.", quote=False)
    return [option, f"`{'.'.join(setting.path)}`", _default(setting), "; ".join(allowed(setting)), about]


def allowed(setting: Setting) -> Iterator[str]:
    """Return in words which values a setting may have."""
    if setting.choices:
        yield ", ".join(setting.choices)
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    for constraint in setting.field.metadata:
        for name, sign in signs.items():
            bound: Any = getattr(constraint, name, None)
            if bound is not None:
                yield f"{sign} {bound}"
        pattern = getattr(constraint, "pattern", None)
        if pattern is not None:
            yield IN_WORDS[pattern]


def _default(setting: Setting) -> str:
    if setting.field.is_required():
        return "has to be given"
    if setting.default is False:
        return "off"
    if setting.default is True:
        return "on"
    return setting.default_text or "–"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
