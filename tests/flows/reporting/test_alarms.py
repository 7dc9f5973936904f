from __future__ import annotations

from pathlib import Path
from typing import cast

import pandas as pd
import pytest

from gatecast.data.dates.ages import age_of
from gatecast.flows.engine.results import Ingested
from gatecast.flows.reporting import alarms
from gatecast.flows.reporting.last_runs import last_runs, record_run
from gatecast.flows.settings.workspace import Workspace
from tests.damage import HARM_NAMES, HARMS, Harm


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(alarms, "tell", lambda state, message: said.append((state, message)))
    return said


def bars(overdue: int) -> Ingested:
    frame = pd.DataFrame(
        {"last": pd.Timestamp("2024-03-10"), "overdue": [overdue], "limit": [5]}, index=pd.Index(["a"])
    )
    return cast(Ingested, {"age": age_of(frame).to_dict()})


def test_old_data_are_told(told: list[tuple[str, str]]) -> None:
    alarms.tell_if_old(bars(5), "rows.csv")
    assert told == []
    alarms.tell_if_old(bars(6), "rows.csv")
    assert told == [("Old data", "rows.csv: old data: the last row is of 2024-03-10, 6 are overdue.")]


def test_breaches_are_one_message(told: list[tuple[str, str]]) -> None:
    alarms.tell_breaches("sales", "v0001", [])
    alarms.tell_breaches("sales", "v0001", [{"name": "a", "note": "x"}, {"name": "b", "note": "y"}])
    assert told == [("Breach", "sales v0001: a: x; b: y.")]


@pytest.mark.parametrize("harm", HARMS, ids=HARM_NAMES)
def test_the_last_runs_are_on_record_until_the_record_is_damaged(tmp_path: Path, harm: Harm) -> None:
    workspace = Workspace(tmp_path)
    assert last_runs(workspace, "sales") == {}
    record_run(workspace, "sales", "retrain", "forecast")
    first = last_runs(workspace, "sales")
    assert set(first) == {"retrain", "forecast"}
    record_run(workspace, "sales", "forecast")
    second = last_runs(workspace, "sales")
    assert second["forecast"] > first["forecast"]
    assert second["retrain"] == first["retrain"]
    harm(workspace.reports / "sales" / "runs" / "forecast.json")
    assert set(last_runs(workspace, "sales")) == {"retrain"}
