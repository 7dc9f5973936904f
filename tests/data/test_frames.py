"""Frames of other libraries."""

from __future__ import annotations

import pandas as pd
import polars
import pyarrow
import pytest

from gatecast import Forecaster
from gatecast.data.errors import InputError
from gatecast.data.frames import as_pandas
from tests.data.frames import make_series

FRAME = make_series({"a": 40, "b": 30})


@pytest.mark.parametrize(
    "convert",
    [
        lambda frame: frame,
        polars.from_pandas,
        lambda frame: polars.from_pandas(frame).lazy(),
        pyarrow.Table.from_pandas,
    ],
    ids=["pandas", "polars", "lazy polars", "pyarrow"],
)
def test_a_model_takes_frames_of_other_libraries(convert):
    model = Forecaster(lookback=4, hidden_size=2, max_epochs=1)
    expected = model.fit(FRAME).predict(FRAME)
    pd.testing.assert_frame_equal(model.fit(convert(FRAME)).predict(convert(FRAME)), expected)


def test_what_is_no_frame_is_named():
    with pytest.raises(InputError, match="The series frame is a dict, which is no frame; give one of pandas"):
        as_pandas({"y": [1]}, "The series frame")


@pytest.mark.parametrize("column", ["unique_id", "ds", "y"])
@pytest.mark.parametrize("value", [b"\xff", 10**400], ids=["bytes", "a number without end"])
def test_bytes_and_numbers_without_end_are_a_name_or_one_sentence(column, value):
    frame = FRAME.astype({column: object})
    frame[column] = [value, *frame[column][1:]]
    model = Forecaster(lookback=4, hidden_size=2, max_epochs=1)
    if column == "unique_id":
        frame[column] = [value] * 40 + ["b"] * 30
        assert len(model.fit(frame).predict()) == 2
        return
    with pytest.raises(InputError, match="row 1") as caught:
        model.fit(frame)
    assert "\n" not in str(caught.value)
