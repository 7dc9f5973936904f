from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatecast.data.display import one_line
from gatecast.data.store import read_json, write_json
from gatecast.flows.commands import champions
from gatecast.flows.engine.server import OVERVIEW_FILE
from gatecast.flows.judging import promotion
from gatecast.flows.registry.registry import Registry
from gatecast.flows.reporting import overview as module
from gatecast.flows.reporting import standing as standing_module
from gatecast.flows.reporting.last_runs import data_of, latest_data, record_run
from gatecast.flows.reporting.overview import Overview, line_of, page, table_of, worst_first, write_overview
from gatecast.flows.reporting.standing import Kept, Standing
from gatecast.flows.reporting.upcoming import models_of
from gatecast.flows.settings.workspace import Workspace
from tests.flows.reporting.test_publication import artifacts

HOSTILE = '"../x\n<b>"'


def standing(name: str, **changes: Any) -> Standing:
    whole: dict[str, Any] = {
        "name": name,
        "kind": "forecaster",
        "champion": "v0007-0123456789ab",
        "pinned": False,
        "made": "2026-11-30T18:31:04+00:00",
        "last": "2026-11-30",
        "overdue": 0,
        "is_stale": False,
        "forecast": "2026-12-01T06:00:12+00:00",
        "forecast_from": "2026-11-30",
        "verdict": "The model beats seasonal naive 7 (MASE 0.81 against 0.96); more than luck (p = 0.01).",
        "loses": False,
        "gain": 0.156,
        "nights": [[1 + (k * 37 % 11) / 20, 1.2] for k in range(30)],
        "nights_are": "live error by night",
        "live": {"measure": "MASE", "ours": "0.8210", "theirs": "0.9120", "label": "seasonal naive 7"},
        "alarms": [],
        "problem": None,
        "report": f"reports/{name}/0123/report.html",
    }
    return {**whole, **changes}  # type: ignore[typeddict-item]


def overview_of(*found: Standing) -> Overview:
    models: dict[str, Kept] = {each["name"]: {"stamp": [], "errors": {}, "standing": each} for each in found}
    return {"form": module.FORM, "models": models, "due": {}}


def test_a_workspace_without_models_says_what_to_do(workspace: Workspace) -> None:
    write_overview(workspace)
    assert "gatecast retrain" in (workspace.root / OVERVIEW_FILE).read_text()


@pytest.mark.parametrize("models", [1, 3, 50])
def test_the_page_needs_no_other_host_and_has_a_row_for_each_model(models: int) -> None:
    html = page(overview_of(*(standing(f"store-{k}") for k in range(models))))
    assert html.count("<svg") == models
    assert not re.search(r"https?://|<link|src=", html)
    assert ("<input" in html) == (models > 20)


def test_the_page_of_many_models_is_bounded() -> None:
    sentence = "word " * 80
    html = page(overview_of(*(standing(f"store-{k:04d}", verdict=sentence) for k in range(3000))))
    assert len(html) < 3_000_000
    assert html.count("<tr class") == module.MOST
    assert "2,000 more models" in html


def test_what_needs_a_look_comes_first() -> None:
    found = overview_of(
        standing("good", gain=0.4),
        standing("poor", gain=-0.1),
        standing("stale", alarms=["old data", "live skill"]),
        standing("one", alarms=["old data"]),
        standing("broken", problem="models/broken is damaged; look.", alarms=["damaged"]),
        standing("unknown", gain=None),
    )
    names = [each["name"] for each in worst_first(found["models"].values())]
    assert names == ["broken", "stale", "one", "poor", "good", "unknown"]


def test_nothing_from_elsewhere_is_markup_anywhere() -> None:
    words = ("verdict", "problem", "last", "nights_are", "made", "forecast", "forecast_from", "kind", "champion")
    live = dict.fromkeys(("measure", "ours", "theirs", "label"), HOSTILE)
    changes = {**dict.fromkeys(words, HOSTILE), "live": live, "alarms": [f"level of {HOSTILE}"]}
    hostile = standing(HOSTILE, report="reports/%22..%2Fx/report.html", **changes)
    html = page(overview_of(hostile))
    assert '<b>"' not in html
    assert one_line(HOSTILE).replace('"', "&#34;").replace("<", "&lt;").replace(">", "&gt;") in html
    (row,) = table_of([hostile], {})
    assert row["model"] == HOSTILE, "the artifact escapes its cells"


def test_a_picture_has_the_errors_in_order() -> None:
    drawn = line_of([[2.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    assert drawn is not None
    heights = [float(point.split(",")[1]) for point in drawn["points"].split()]
    assert heights == sorted(heights)
    assert len(drawn["reference"].split()) == 3
    assert line_of([[1.0, None]]) is None
    assert line_of([[0.0, None], [0.0, None]]) is not None


def test_every_kind_of_model_has_its_place(every_kind: Workspace) -> None:
    overview = write_overview(every_kind)
    found = {name: each["standing"] for name, each in overview["models"].items()}
    assert set(found) == {"names", "range", "rhyme", "sales"}
    assert {each["kind"] for each in found.values()} == {"forecaster", "language model", "tagger"}
    for each in found.values():
        assert each["verdict"]
        assert each["problem"] is None
        assert len(each["nights"]) == 2


def test_only_what_has_changed_is_read_again(every_kind: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_overview(every_kind)
    read: list[str] = []
    whole = standing_module.standing_of

    def counted(registry: Registry, errors: Any) -> Standing:
        read.append(registry.name)
        return whole(registry, errors)

    monkeypatch.setattr(standing_module, "standing_of", counted)
    assert write_overview(every_kind) == first
    assert read == []
    champions.print_decision(Registry(every_kind, "sales"), "nothing was decided")
    assert read == []
    promotion.pin(Registry(every_kind, "sales"), Registry(every_kind, "sales").versions()[0])
    after = write_overview(every_kind)
    assert read == ["sales"]
    assert after["models"]["sales"]["standing"]["pinned"]
    assert "pinned" in (every_kind.root / OVERVIEW_FILE).read_text()


@pytest.mark.parametrize(
    "harm",
    [
        lambda text: "",
        lambda text: "[]",
        lambda text: text[:-20],
        lambda text: text.replace('"form": 1', '"form": 2'),
        lambda text: text.replace('"pinned": false', '"pinned": true'),
        lambda text: '{"form": 1, "models": {"sales": 3}, "due": {}}',
    ],
)
def test_a_damaged_record_is_made_again(every_kind: Workspace, harm: Callable[[str], str]) -> None:
    whole = write_overview(every_kind)
    path = every_kind.root / module.KEPT
    path.write_text(harm(path.read_text()))
    assert json.dumps(write_overview(every_kind)) == json.dumps(whole)


def test_a_damaged_champion_is_an_alarm_and_no_error(every_kind: Workspace) -> None:
    champion = read_json(every_kind.models / "sales" / "champion.json")["version"]
    (every_kind.models / "sales" / champion / "model.json").write_text("{")
    (found,) = (each for each in worst_first(write_overview(every_kind)["models"].values()) if each["name"] == "sales")
    assert found["alarms"] == ["damaged"]
    assert "sales" in str(found["problem"])


def test_breaches_of_the_monitor_are_open_until_the_next_retrain(every_kind: Workspace) -> None:
    checks = [{"name": "live skill", "breached": True}, {"name": "coverage", "breached": False}]
    nights = [["2026-11-29 00:00", 0.5, 1.0], ["2026-11-30 00:00", 0.7, 1.1]]
    found = {"version": "other", "verdict": "v", "checks": checks, "nights": nights, "evaluation": None}
    write_json(every_kind.reports / "sales" / "monitor" / "monitor.json", found)
    record_run(every_kind, "sales", "monitor")
    before = write_overview(every_kind)["models"]["sales"]["standing"]
    assert "live skill" in before["alarms"]
    assert before["nights"] == [[0.5, 1.0], [0.7, 1.1]]
    record_run(every_kind, "sales", "retrain")
    assert "live skill" not in write_overview(every_kind)["models"]["sales"]["standing"]["alarms"]


def test_the_age_of_the_data_is_that_of_the_latest_reading(workspace: Workspace) -> None:
    series = [
        {"unique_id": "a", "overdue": 9, "last": "2026-01-01"},
        {"unique_id": "b", "overdue": 0, "last": "2026-01-09"},
    ]
    bars: Any = {"last": "2026-01-09", "series": series, "age": {"overdue": 0, "limit": 5, "is_stale": False}}
    assert data_of(bars, ["a"]) == {"last": "2026-01-01", "overdue": 9, "is_stale": True}
    record_run(workspace, "m", "retrain", data=data_of(bars, ["a"]))
    record_run(workspace, "m", "forecast", data=data_of(bars))
    assert latest_data(workspace, "m") == {"last": "2026-01-09", "overdue": 0, "is_stale": False}
    record_run(workspace, "m", "monitor")
    assert latest_data(workspace, "m")["last"] == "2026-01-09"
    assert latest_data(workspace, "other") == {}


RETRAIN = "gatecast.flows.retrain.retrain"


@pytest.mark.parametrize(
    ("entrypoint", "parameters", "expected"),
    [
        (RETRAIN, {"settings": {"name": "sales"}}, ["sales"]),
        (RETRAIN, {"settings": {}}, ["sample-range"]),
        (RETRAIN, {"settings": {"name": "unknown"}}, []),
        (RETRAIN, {"settings": 3}, ["sample-range"]),
        ("gatecast.flows.forecast.forecast_latest", {"name": "sales"}, ["sales"]),
        ("gatecast.flows.monitor.monitor", {"settings": {}}, []),
        ("gatecast.flows.fleet.fleet", {"settings": {"retrain": {"name": "shop"}}}, ["shop-a", "shop-b"]),
        ("gatecast.flows.text.train_text", {}, ["shakespeare-text"]),
        ("gatecast.flows.ingest.ingest_data", {}, []),
    ],
)
def test_a_deployment_is_about_its_models(entrypoint: str, parameters: dict[str, Any], expected: list[str]) -> None:
    names = ["sales", "sample-range", "shop-a", "shop-b", "shakespeare-text"]
    assert models_of(entrypoint, parameters, names, names[:4]) == expected


def test_a_retrain_writes_the_page_and_the_artifact(trained: tuple[Workspace, dict[str, Any]]) -> None:
    workspace, result = trained
    html = (workspace.root / OVERVIEW_FILE).read_text()
    assert "sample-range" in html
    report = Path(result["publish"]["report"]).relative_to(workspace.root).as_posix()
    assert f'href="{report}"' in html
    tables = [json.loads(artifact.data) for artifact in artifacts("overview")]
    assert any(row["model"] == "sample-range" and row["verdict"] != "–" for table in tables for row in table)
