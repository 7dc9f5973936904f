from __future__ import annotations

from annotated_types import Le

from gatecast.flows.commands.setting import settings_in
from gatecast.flows.commands.settings_page import PAGE, SECTIONS, allowed, page
from gatecast.flows.deployments import ServeSettings
from gatecast.flows.settings.data import DataSettings


def test_the_page_is_that_of_the_settings() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "Run 'make settings-page'."


def test_the_page_has_every_setting_in_one_table() -> None:
    text = page()
    for section in SECTIONS:
        table = text.partition(f"## {section.heading}\n")[2].partition("\n## ")[0]
        for setting in settings_in(section.model, without=section.without):
            assert table.count(f"| `{'.'.join(setting.path)}` |") == 1


def test_bounds_choices_and_patterns_are_told() -> None:
    settings = {setting.path[-1]: setting for setting in (*settings_in(DataSettings), *settings_in(ServeSettings))}
    assert list(allowed(settings["bad_rows"])) == ["refuse, quarantine"]
    assert list(allowed(settings["max_stale"])) == ["a number and d, h or min, as 5d or 12h"]
    assert list(allowed(settings["lost_after_seconds"])) == ["≥ 45", "≤ 240"]
    assert any(isinstance(each, Le) for each in settings["lost_after_seconds"].field.metadata)
