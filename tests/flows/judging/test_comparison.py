from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.data.store import read_parquet
from gatecast.flows.engine.ingested import read_ingested
from gatecast.flows.judging.comparison import Contender, compare, compare_forecasters
from gatecast.flows.registry.measures import luck
from gatecast.flows.registry.registry import Registry
from gatecast.flows.settings.workspace import Workspace
from tests.flows.conftest import small_settings


@pytest.fixture
def registry(copied: Workspace) -> Registry:
    registry = Registry(copied, "sample-range")
    champion = str(registry.champion())
    shutil.copytree(registry.path(champion), registry.path(champion.replace("v0001", "v0002")))
    return registry


@pytest.fixture
def frame(trained: tuple[Workspace, dict[str, Any]]) -> pd.DataFrame:
    return read_ingested(Path(trained[1]["ingest"]["directory"]))


def contenders(registry: Registry) -> tuple[Contender, Contender]:
    first, second = (
        Contender(version, registry.model(version), registry.settings(version), Path(), registry.workspace)
        for version in registry.versions()
    )
    return first, second


def test_the_scores_are_those_of_the_evaluation(
    registry: Registry, frame: pd.DataFrame, trained: tuple[Workspace, dict[str, Any]]
) -> None:
    first, second = contenders(registry)
    result = compare_forecasters(first, second, frame)
    expected = {row["forecast"]: row for row in registry.evaluation(first.name)["scores"]}
    assert [result.value, result.opponent] == pytest.approx([expected["lstm"]["rmse"]] * 2)
    assert {first.name, second.name} < {row["forecast"] for row in result.rows}
    (naive,) = (row for row in result.rows if row["forecast"] == "last value")
    assert float(naive["RMSE"]) == pytest.approx(expected["naive"]["rmse"], rel=1e-3)
    assert result.verdict == registry.evaluation(first.name)["verdict"]
    assert result.gain == pytest.approx(0)
    assert result.p_value is not None
    assert result.p_value > 0.4
    assert f"{len(read_parquet(Path(trained[1]['evaluate']['predictions']))[0]):,} rows" in result.on


def test_rows_that_either_has_seen_do_not_count(registry: Registry, frame: pd.DataFrame) -> None:
    first, second = contenders(registry)
    seen = second.model
    seen.boundaries = {**seen.boundaries, "validation_end": "2015-01-02"}
    days = re.search(r"(\S+) to \S+, log", compare_forecasters(first, second, frame).on)
    assert days is not None
    assert days[1] > "2015-01-02"
    seen.boundaries = {**seen.boundaries, "validation_end": "2016-01-01"}
    with pytest.raises(InputError, match="give later data"):
        compare_forecasters(first, second, frame)


def test_versions_for_different_questions_are_not_compared(registry: Registry, frame: pd.DataFrame) -> None:
    first, second = contenders(registry)
    other = replace(second, settings=small_settings(target="close").resolved("bars"))
    with pytest.raises(InputError, match=r"has target range and .* has target close"):
        compare_forecasters(first, other, frame)


def test_series_of_one_cutoff_count_as_one_observation() -> None:
    rng = np.random.default_rng(0)
    y = pd.Series(np.zeros(40))
    opponent = pd.Series(rng.normal(size=40))
    y_hat = opponent * 0.9
    cutoff = pd.Series(pd.date_range("2020-01-01", periods=40))
    once = compare(y, y_hat, opponent, cutoff, 1)
    tenfold = compare(*(pd.concat([column] * 10, ignore_index=True) for column in (y, y_hat, opponent, cutoff)), 1)
    assert tenfold["rows"] == 400
    assert tenfold["p_value"] == pytest.approx(once["p_value"])


def test_three_origins_are_too_few_for_a_p_value() -> None:
    rng = np.random.default_rng(0)
    y, opponent = pd.Series(np.zeros(9)), pd.Series(rng.normal(size=9))
    cutoff = pd.Series(pd.date_range("2020-01-01", periods=9))
    few = compare(*(column.head(3) for column in (y, opponent * 0.2, opponent, cutoff)), 1)
    assert (few["p_value"], few["origins"], few["needed"]) == (None, 3, 8)
    assert few["gain"] == pytest.approx(0.8)
    assert compare(y, opponent * 0.2, opponent, cutoff, 1)["p_value"] is not None
    assert compare(y, opponent * 0.2, opponent, cutoff, 3)["needed"] == 12


@pytest.mark.parametrize(
    ("p_value", "origins", "needed", "expected"),
    [
        (0.031, 40, 8, "p = 0.031"),
        (None, 3, 8, "too few origins to tell (3, where 8 are needed)"),
        (None, None, None, ""),
    ],
)
def test_luck_in_words(p_value: float | None, origins: int | None, needed: int | None, expected: str) -> None:
    assert luck(p_value, origins, needed) == expected
