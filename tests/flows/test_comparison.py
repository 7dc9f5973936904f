from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError
from data.store import read_parquet
from flows import comparison
from flows.comparison import compare_versions, naive_forecast
from flows.ingest import read_ingested
from flows.registry import Registry
from flows.settings import RetrainSettings, Workspace
from lstm import load
from tests.flows.conftest import small_settings


@pytest.fixture
def registry(copied: Workspace) -> Registry:
    registry = Registry(copied.models / "sample-range")
    champion = str(registry.champion())
    shutil.copytree(registry.path(champion), registry.path(champion.replace("v0001", "v0002")))
    return registry


@pytest.fixture
def frame(trained: tuple[Workspace, dict[str, Any]]) -> pd.DataFrame:
    return read_ingested(Path(trained[1]["ingest"]["directory"]))


def test_the_scores_are_those_of_the_evaluation(
    registry: Registry, frame: pd.DataFrame, trained: tuple[Workspace, dict[str, Any]]
) -> None:
    first, second = registry.versions()
    result = compare_versions(registry, first, second, frame)
    expected = {row["forecast"]: row for row in registry.evaluation(first)["scores"]}
    by_name = {row["forecast"]: row for row in result["scores"]}
    for name, of_evaluation in ((first, "lstm"), (second, "lstm"), ("naive", "naive")):
        assert by_name[name]["rmse"] == pytest.approx(expected[of_evaluation]["rmse"])
    assert result["figures"]["gain"] == pytest.approx(0)
    assert result["figures"]["p_value"] > 0.4
    assert result["rows"] == len(read_parquet(Path(trained[1]["evaluate"]["predictions"]))[0])


def test_rows_that_either_has_seen_do_not_count(
    registry: Registry, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = registry.versions()
    seen = load(registry.path(second))
    monkeypatch.setattr(comparison, "load", lambda path: seen if path.name == second else load(path))
    seen.boundaries = {**seen.boundaries, "validation_end": "2015-01-02"}
    assert compare_versions(registry, first, second, frame)["first_day"] > "2015-01-02"
    seen.boundaries = {**seen.boundaries, "validation_end": "2016-01-01"}
    with pytest.raises(InputError, match="give later data"):
        compare_versions(registry, first, second, frame)


def test_versions_for_different_questions_are_not_compared(
    registry: Registry, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = registry.versions()

    def settings(registry: Registry, version: str) -> RetrainSettings:
        return small_settings(target="close" if version == second else "range").resolved("bars")

    monkeypatch.setattr(Registry, "settings", settings)
    with pytest.raises(InputError, match=r"has target range and .* has target close"):
        compare_versions(registry, first, second, frame)


def test_the_naive_forecast_of_a_close_is_the_close_at_the_cutoff(frame: pd.DataFrame) -> None:
    bars = frame.tail(30)
    keys = pd.DataFrame(
        {"unique_id": "sp500", "cutoff": bars["ds"].to_numpy()[25:28], "ds": bars["ds"].to_numpy()[26:29]}
    )
    keys["step"] = 1
    y_hat = naive_forecast(keys, bars, small_settings(target="close", features="none").resolved("bars"))
    assert np.allclose(y_hat, bars["close"].to_numpy()[25:28])
