from __future__ import annotations

from pathlib import Path

import pytest

from gatecast.data import samples
from gatecast.data.language.text import sample_text
from gatecast.data.sources.source import SampleSource, Selection


@pytest.mark.parametrize("symbol", ["sp500", "nasdaq"])
def test_each_index_has_the_days_that_the_readme_tells(symbol):
    bars = SampleSource().read(Selection((symbol,)))
    days = bars["ds"].dt.strftime("%Y-%m-%d")
    row = f"`{symbol}.parquet` | `{symbol}`"
    line = next(line for line in readme().splitlines() if row in line)
    assert f"| {len(bars):,} | {days.iloc[0]} | {days.iloc[-1]} |" in line


def test_the_readme_names_the_days_without_volume():
    bars = SampleSource().read(Selection())
    days = bars.loc[bars["volume"] == 0, "ds"].dt.strftime("%Y-%m-%d").tolist()
    assert days == ["2015-05-12", "2018-01-09"]
    assert all(day in readme() for day in days)


def test_the_text_is_as_long_as_the_readme_tells():
    text = sample_text()
    counts = f"{len(text):,} characters, {len(set(text))} different ones, in\n{text.count(chr(10)):,} lines"
    assert counts in readme()


def readme() -> str:
    """Return the text that accompanies the sample files."""
    return (Path(samples.__file__).parent / "README.md").read_text(encoding="utf-8")
