from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.quality.plausibility import doubts
from gatecast.data.sources.source import SampleSource
from tests.data.frames import make_bars


def panel(**series: np.ndarray) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"unique_id": name, "ds": pd.date_range("2020-01-01", periods=len(y)), "y": np.asarray(y, float)})
        for name, y in series.items()
    ]
    return pd.concat(parts, ignore_index=True)


ROWS = np.arange(400)


@pytest.mark.parametrize(
    ("y", "rule"),
    [
        (np.full(400, 0.0025), "constant"),
        (np.zeros(5), "constant"),
        (3.0 * ROWS + 7, "regular"),
        (1.01**ROWS, "regular"),
        (np.sin(0.1 * ROWS), "regular"),
        (50 + np.sin(0.1 * ROWS) + np.cos(0.37 * ROWS), "regular"),
        (np.resize([5, 3, 8, 8, 1, 0, 0], 400), "regular"),
        (np.round(100 * np.sin(ROWS * 2 * np.pi / 24)), "regular"),
        (ROWS**2.0, "regular"),
        (np.where(ROWS % 90 == 7, -999, 20 + np.random.default_rng(0).normal(size=400)), "sentinel"),
        (np.where(ROWS % 90 == 7, 9999, 20 + np.random.default_rng(0).normal(size=400)), "sentinel"),
    ],
)
def test_a_series_without_news_is_told(y, rule):
    problems = doubts(panel(a=y))
    assert problems[["severity", "rule", "unique_id"]].to_numpy().tolist() == [["warning", rule, "a"]]


def test_what_varies_is_not_doubted(rng):
    noise = rng.normal(size=400)
    series = {
        "walk": 100 + np.cumsum(noise),
        "wave": 10 * np.sin(0.1 * ROWS) + noise,
        "line": ROWS + noise,
        "week": np.resize([5, 3, 8, 8, 1, 0, 0], 400) + rng.poisson(1, 400),
        "now_and_then": (rng.random(400) < 0.1) * 3.0,
        "once": np.where(ROWS == 350, 9.0, 0.0),
        "counts": rng.poisson(0.5, 400),
        "smooth": np.convolve(noise, np.ones(30) / 30, "same"),
        "short": np.arange(10.0),
        "marks_among_others": np.where(ROWS % 90 == 7, -99, 100 * noise),
        "one_mark": np.where(ROWS == 7, -999, noise),
    }
    assert doubts(panel(**series)).empty
    assert doubts(make_bars(("A", "B"))).empty
    assert doubts(SampleSource().check().rows).empty


def test_a_series_far_larger_than_the_others_is_told(rng):
    others = {f"s{number}": rng.lognormal(3, 1, 200) for number in range(9)}
    problems = doubts(panel(**others, big=1e6 * rng.lognormal(3, 1, 200)))
    assert problems[["rule", "unique_id"]].to_numpy().tolist() == [["size", "big"]]
    assert "000,000 times larger than the others" in problems["problem"].iloc[0]
    assert doubts(panel(a=others["s0"], b=1e6 * others["s1"]))["unique_id"].tolist() == ["b"]
    assert doubts(panel(a=1e-6 * others["s0"], b=others["s1"], c=others["s2"]))["unique_id"].tolist() == ["a"]


def test_shops_of_many_sizes_are_not_doubted(rng):
    sizes = 10 ** rng.normal(2, 1, 100)
    assert doubts(panel(**{f"s{n}": size * rng.lognormal(0, 0.5, 60) for n, size in enumerate(sizes)})).empty
    halves = {f"s{n}": (1e6 if n % 2 else 1.0) * rng.lognormal(0, 0.5, 60) for n in range(10)}
    assert doubts(panel(**halves)).empty
