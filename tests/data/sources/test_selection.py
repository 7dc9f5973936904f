from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from gatecast.data.sources.selection import Selection, select


@pytest.mark.parametrize(("day", "hours"), [(date(2023, 3, 26), 23), (date(2022, 10, 30), 25)])
def test_the_last_day_is_whole_where_clocks_change(day, hours):
    ds = pd.date_range(str(day - pd.Timedelta(days=1)), periods=80, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({"unique_id": "A", "ds": ds, "y": 1.0})
    assert len(select(frame, Selection(start=day, end=day), "here")) == hours


def test_the_day_after_the_last_is_left_out_where_clocks_change():
    ds = pd.date_range("2023-03-10", periods=5, tz="America/New_York")
    frame = pd.DataFrame({"unique_id": "A", "ds": ds, "y": 1.0})
    assert select(frame, Selection(end=date(2023, 3, 12)), "here")["ds"].max() == ds[2]
