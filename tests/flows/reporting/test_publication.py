from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gatecast.data.display import one_line
from gatecast.data.store import write_parquet
from gatecast.flows.commands.retrain import show as show_retrain
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting.publication import data_table, forecast_table, report_link, version_table
from gatecast.flows.retrain import retrain
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.workspace import Workspace
from gatecast.lstm.config import ForecasterSettings
from tests.data.frames import make_series

KINDS = {"scores", "champion", "forecasts", "data", "pictures", "report", "training"}


def artifacts(*prefixes: str) -> list[Any]:
    """Return the artifacts whose keys begin so; of all that the tests make, the server lists only a part."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    wanted = [ArtifactFilter(key=ArtifactFilterKey(like_=f"{prefix}%")) for prefix in prefixes]
    with get_client(sync_client=True) as client:
        return [artifact for each in wanted for artifact in client.read_artifacts(artifact_filter=each)]


def test_a_run_publishes_under_keys_that_stay(trained: tuple[Workspace, dict[str, Any]]) -> None:
    runs: dict[Any, dict[str, Any]] = {}  # other tests retrain a model of this name on the same server
    for artifact in artifacts("sample-range-"):
        runs.setdefault(artifact.flow_run_id, {})[artifact.key.removeprefix("sample-range-")] = artifact
    whole = [found for found in runs.values() if found.keys() >= KINDS]
    assert whole
    for found in whole:
        (verdict,) = re.findall(r"The model .+? \(MASE [\d.]+ against [\d.]+\)", found["scores"].description)
        assert verdict in found["champion"].description
        assert verdict in found["pictures"].data
        assert "LSTM" in found["scores"].data
        assert len(found["pictures"].data) < 200_000


def test_the_report_is_one_page_that_needs_nothing_else(trained: tuple[Workspace, dict[str, Any]]) -> None:
    page = Path(trained[1]["publish"]["report"]).read_text()
    assert trained[1]["evaluate"]["summary"] in page
    for text in ("HAR(1,5,22)", "last value", "MASE", trained[1]["checkpoint"]["version"], "&#34;lookback&#34;: 8"):
        assert text in page
    assert page.count('src="data:image/png;base64,') == 5
    for title in ("The forecast, after", "Forecasts from single origins", "Residuals over time", "Loss by epoch"):
        assert title in page
    assert not re.findall(r'(?:src|href)="(?!data:)', page)


def test_a_name_is_no_markup(trained: tuple[Workspace, dict[str, Any]]) -> None:
    from gatecast.flows.reporting.publication import render

    parts = {
        "name": "<b>",
        "about": "",
        "made": "",
        "verdict": "",
        "decision": "",
        "settings": "",
        "model": "",
        "notes": [],
        "is_alarming": False,
    }
    page = render(**parts, tables={"t": [{"series": "<script>"}]}, pictures={}, lineage={})
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


HOSTILE = [
    "![p](http://127.0.0.1:9/p.png)",
    "[red]$\\frac$[/red]\n<b>\x1b[2J",
    "because\u2028it is http://127.0.0.1:9",
    '"../x\n<b>"',
]


def test_names_of_series_are_shown_as_they_are_everywhere(
    server: str, workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from gatecast.flows.engine.artifacts import escaped

    path = write_parquet(make_series(dict.fromkeys(HOSTILE, 60)), tmp_path / "hostile.parquet")
    settings = RetrainSettings(
        data=DataSettings(path=path), model=ForecasterSettings(lookback=4, hidden_size=4, max_epochs=1)
    )
    result = retrain(settings)
    show_retrain(result, 1.0)
    printed = capsys.readouterr().out
    assert len([line for line in printed.split("\n") if one_line(HOSTILE[1]) in line]) >= 2
    assert "\x1b[2J" not in printed
    assert "\u2028" not in printed
    found = artifacts("hostile-", "ingest")
    assert {f"hostile-{kind}" for kind in KINDS} <= {artifact.key for artifact in found}
    for artifact in found:
        shown = re.sub(r"!\[[^\]]*\]\(data:image/png;base64,[^)]*\)", "", f"{artifact.data} {artifact.description}")
        assert not re.search(r"[^\\]\]\(http|[^\\]<b|http:/|\u2028|\x1b", shown.replace("\\\\", "\\")), artifact.key
    table = next(artifact for artifact in found if artifact.key == "hostile-scores")
    assert {row["series"] for row in json.loads(table.data)} == {"all series", *map(escaped, HOSTILE)}
    page = Path(result["publish"]["report"]).read_text(encoding="utf-8")
    assert html.unescape(page).count(one_line(HOSTILE[1])) >= 3
    assert not re.search(r"<b>|\x1b|\u2028", page)


def test_the_stalest_series_comes_first() -> None:
    frame = pd.DataFrame(
        {
            "unique_id": ["a", "a", "b"],
            "ds": pd.to_datetime(["2024-01-02", "2024-01-05", "2024-01-03"]),
        }
    )
    rows = data_table(frame)
    assert [(row["series"], row["last row"], row["rows"]) for row in rows] == [
        ("b", "2024-01-03", "1"),
        ("a", "2024-01-05", "2"),
    ]
    assert int(rows[0]["days ago"].replace(",", "")) == int(rows[1]["days ago"].replace(",", "")) + 2


def test_overdue_rows_are_shown_where_rows_are_expected() -> None:
    frame = pd.DataFrame({"unique_id": ["a", "b"], "ds": pd.to_datetime(["2024-01-02", "2024-01-03"])})
    assert [row["rows overdue"] for row in data_table(frame, overdue={"a": 1234, "b": None})] == ["1,234", "–"]
    assert "rows overdue" not in data_table(frame, overdue={"a": None, "b": None})[0]


@pytest.mark.parametrize(("ds", "shown"), [("2024-01-02", "2024-01-02"), ("2024-01-02 13:00", "2024-01-02 13:00")])
def test_hours_are_shown_where_there_are_any(ds: str, shown: str) -> None:
    frame = pd.DataFrame({"unique_id": ["a"], "ds": pd.to_datetime([ds]), "value": [1.23456], "unit": ["%"]})
    assert forecast_table(frame, "volatility") == [{"series": "a", "for": shown, "expected volatility": "1.235 %"}]


def test_champion_and_challenger_stand_side_by_side(trained: tuple[Workspace, dict[str, Any]]) -> None:
    workspace, result = trained
    registry = Registry(workspace, "sample-range")
    version = result["checkpoint"]["version"]
    (row,) = version_table(registry, version, version)
    assert (row["version"], row["role"]) == (version, "this run and champion")


def test_where_a_password_is_asked_for_the_report_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    report = workspace.reports / "a" / "1" / "report.html"
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    assert report_link(report, workspace) == "/reports/a/1/report.html"
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "user:password")
    assert report_link(report, workspace) == report.as_uri()
