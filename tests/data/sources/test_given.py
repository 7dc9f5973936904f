"""Frames as people give them in Python."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import polars as pl
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sources.columns import Columns
from gatecast.data.sources.given import columns_of, read_frame

DAYS = pd.date_range("2020-01-01", periods=30)
STORES = pd.DataFrame({"store": [7] * 30 + [3] * 30, "day": [*DAYS, *DAYS], "sales": np.arange(60.0), "note": "x"})
PLAIN = pd.DataFrame({"unique_id": "a", "ds": DAYS, "y": np.arange(30.0)})


def values(frame: pd.DataFrame) -> list[list[object]]:
    return frame[["unique_id", "ds", "y"]].to_numpy().tolist()


def test_a_frame_with_the_names_here_stays_as_it_is():
    assert read_frame(PLAIN, Columns()).frame.equals(PLAIN)
    covariate = PLAIN.assign(Volume=1.0)
    assert read_frame(covariate, columns_of(id_column="store", exclude=["other"])).frame.equals(covariate)
    assert list(read_frame(covariate, columns_of(exclude="Volume")).frame) == list(PLAIN)


def test_a_covariate_is_not_taken_for_a_target_that_is_missing():
    frame = PLAIN.rename(columns={"y": "price"})
    assert list(read_frame(frame, Columns()).frame) == list(frame)
    assert read_frame(frame, columns_of(target="price")).frame["y"].tolist() == frame["price"].tolist()


def test_columns_are_taken_as_named_and_their_names_are_kept():
    given = read_frame(STORES, columns_of("store", "day", "sales", ["note"]))
    assert values(given.frame) == STORES[["store", "day", "sales"]].to_numpy().tolist()
    assert (given.time, given.target, list(given.frame)) == ("day", "sales", ["unique_id", "ds", "y"])
    assert given.names.to_dict("list") == {"store": [7, 3]}
    assert list(given.names.index) == ["7", "3"]


@pytest.mark.parametrize(
    "names",
    [("item_id", "timestamp", "target"), ("Symbol", "Date", "y"), ("unique_id", "ds", "value")],
)
def test_usual_names_are_known(names, caplog):
    frame = PLAIN.set_axis(names, axis=1)
    given = read_frame(frame, Columns())
    assert values(given.frame) == values(PLAIN)
    assert (list(given.names), given.time, given.target) == ([names[0]], *names[1:])
    assert not caplog.records


def test_one_column_of_dates_and_one_of_numbers_are_one_series_which_is_said(caplog):
    with caplog.at_level(logging.WARNING):
        given = read_frame(pd.DataFrame({"when": DAYS.strftime("%d.%m.%Y"), "visits": range(30)}), Columns())
    assert given.frame["ds"].tolist() == DAYS.tolist()
    assert set(given.frame["unique_id"]) == {"series"}
    assert (list(given.names), given.time, given.target) == ([], "when", "visits")
    assert caplog.messages == [
        "The series frame: the timestamps are those of 'when'.",
        "The series frame: the values are those of 'visits'.",
    ]


def test_several_columns_can_name_the_series_together():
    frame = STORES.assign(region=["N"] * 30 + ["S"] * 30)
    given = read_frame(frame, columns_of(["region", "store"], "day", "sales", ["note"]))
    assert given.frame["unique_id"].unique().tolist() == ["N/7", "S/3"]
    assert given.names.to_dict("list") == {"region": ["N", "S"], "store": [7, 3]}


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"y": range(30)}, index=DAYS),
        pd.DataFrame({"y": range(30)}, index=DAYS.rename("ds")),
        pd.DataFrame({"y": range(30)}, index=DAYS.to_period("D").rename("ds")),
        pd.DataFrame({"ds": DAYS.to_period("D"), "y": range(30)}),
        pl.DataFrame({"ds": DAYS.to_numpy(), "y": range(30)}),
    ],
    ids=["index", "index with a name", "index of periods", "periods", "polars"],
)
def test_dates_are_found_where_they_are(frame):
    given = read_frame(frame, Columns())
    assert given.frame["ds"].tolist() == DAYS.tolist()
    assert given.time == "ds"


def test_an_index_of_names_and_dates_is_columns():
    frame = STORES.drop(columns="note").set_index(["store", "day"])
    given = read_frame(frame, columns_of("store", target="sales"))
    assert values(given.frame) == values(read_frame(STORES, columns_of("store", "day", "sales", ["note"])).frame)


@pytest.mark.parametrize("step", [1, 5, 10, 30, 365])
def test_whole_numbers_are_steps(step):
    numbers = np.arange(30) * step
    given = read_frame(PLAIN.assign(ds=numbers), Columns())
    assert given.is_numbered
    assert given.frame["ds"].tolist() == (pd.Timestamp("2000-01-01") + pd.to_timedelta(numbers, unit="D")).tolist()


def test_numbers_of_dates_are_no_steps():
    given = read_frame(PLAIN.assign(ds=DAYS.strftime("%Y%m%d").astype(int)), Columns())
    assert given.frame["ds"].tolist() == DAYS.tolist()
    assert not given.is_numbered


def test_prices_are_columns_like_others():
    prices = {name: np.arange(30.0) + place for place, name in enumerate(("Open", "High", "Low", "Close", "Volume"))}
    given = read_frame(pd.DataFrame(prices, index=DAYS), columns_of(target="Close"))
    assert given.frame["y"].tolist() == prices["Close"].tolist()
    assert set(given.frame) == {"unique_id", "ds", "y", "open", "high", "low", "volume"}


@pytest.mark.parametrize(
    ("frame", "columns", "message"),
    [
        (STORES, columns_of("stoer"), r"has no column 'stoer' for id_column; did you mean 'store'\?"),
        (
            STORES[["day", "sales"]].assign(note=["n"] * 30 + ["s"] * 30),
            columns_of(),
            r"one for each note; .*: id_column='note'\.$",
        ),
        (STORES.assign(price=1.0), columns_of("store"), r"sales, price; say which is forecast: target='sales'\.$"),
        (STORES.assign(y=1.0), columns_of(target="sales"), r"a column 'y' next to 'sales'; .* exclude=\['y'\]\.$"),
        (PLAIN.assign(ds="1/2/20"), columns_of(), r"the date 1/2/20 can be read .*; .* pd.to_datetime\(df\['ds'\]"),
        (PLAIN.assign(ds=10_000_000), columns_of(), r"the timestamp 10000000 is a bare number; .*pd.to_datetime"),
    ],
)
def test_what_cannot_be_told_apart_is_asked_about_as_python_writes_it(frame, columns, message):
    with pytest.raises(InputError, match=message):
        read_frame(frame, columns)
