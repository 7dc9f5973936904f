from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.data.quality.series import validate_series
from tests.data.frames import make_series


def test_a_valid_frame_keeps_its_values_and_is_sorted_by_series():
    frame = make_series({"b": 3, "a": 2})
    valid = validate_series(frame, "f")
    expected = pd.concat([frame[3:], frame[:3]], ignore_index=True)
    pd.testing.assert_frame_equal(valid, expected, check_dtype=False)


def test_validation_twice_changes_nothing():
    once = validate_series(make_series({"b": 3, "a": 2}), "f")
    pd.testing.assert_frame_equal(validate_series(once, "f"), once)


def test_rows_of_several_series_may_be_interleaved():
    frame = make_series({"a": 4, "b": 4}).sort_values(["ds", "unique_id"])
    pd.testing.assert_frame_equal(validate_series(frame, "f"), validate_series(make_series({"a": 4, "b": 4}), "f"))


def test_integer_names_integer_values_and_booleans_are_taken():
    frame = pd.DataFrame({"unique_id": [7, 7], "ds": ["2020-01-01", "2020-01-02"], "y": [1, 2], "open": [True, False]})
    valid = validate_series(frame, "f")
    assert valid["unique_id"].tolist() == ["7", "7"]
    assert valid[["y", "open"]].to_numpy().tolist() == [[1.0, 1.0], [2.0, 0.0]]


def test_y_comes_before_the_covariates():
    frame = make_series({"a": 2})[["x0", "ds", "y", "unique_id"]]
    assert list(validate_series(frame, "f").columns) == ["unique_id", "ds", "y", "x0"]


def test_the_frame_given_is_left_alone():
    frame = make_series({"b": 3, "a": 2})
    before = frame.copy()
    validate_series(frame, "f")
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (
            "y",
            "n/k",
            r"^f: row 2 \(a, 2020-01-02\): y is 'n/k', which is not a finite number; correct or remove the row\.$",
        ),
        ("x0", np.inf, r"^f: row 2 \(a, 2020-01-02\): x0 is inf, which is not a finite number"),
        ("y", "soon", r"^f: row 2 .*not a finite number"),
        ("ds", "31.01.2020", r"^f: row 2 \(a\): ds is '31.01.2020', which is not a date; write dates as 2020-01-31"),
        ("ds", None, r"^f: row 2 \(a\): ds is .*not a date"),
        (
            "ds",
            pd.Timestamp("2020-01-01"),
            r"^f: row 2 \(a\): ds is 2020-01-01, the date of an earlier row as well; keep one",
        ),
        ("ds", pd.Timestamp("2019-12-31"), r"^f: row 2 \(a\): ds is 2019-12-31, earlier than the row before it"),
        ("unique_id", None, r"^f: row 2: unique_id is .*needs the name of its series"),
        ("unique_id", " ", r"^f: row 2: unique_id is ' '"),
    ],
)
def test_a_bad_cell_is_named_with_its_row(column, value, message):
    frame = make_series({"a": 3}).astype({column: object})
    frame.loc[1, column] = value
    with pytest.raises(InputError, match=message):
        validate_series(frame, "f")


def test_a_bad_row_is_counted_as_in_the_file():
    frame = make_series({"b": 2, "a": 2})
    frame.loc[3, "y"] = -np.inf
    with pytest.raises(InputError, match=r"row 4 \(a, 2020-01-02\)"):
        validate_series(frame, "f")


def test_a_missing_column_is_named_with_those_there_are():
    with pytest.raises(InputError, match=r"^f has no column 'y', only 'ds', 'x0'; "):
        validate_series(make_series({"a": 3}).drop(columns="y"), "f")


def test_a_column_twice_is_refused():
    frame = make_series({"a": 3}, covariates=2).rename(columns={"x1": "x0"})
    with pytest.raises(InputError, match="two columns for 'x0'"):
        validate_series(frame, "f")


@pytest.mark.parametrize("covariate", [pd.date_range("2020", periods=3), [[1], [2], [3]]])
def test_a_covariate_that_is_no_number_is_refused(covariate):
    with pytest.raises(InputError, match=r"x0 is .*, which is not a finite number"):
        validate_series(make_series({"a": 3}).assign(x0=covariate), "f")


def test_no_rows_are_refused():
    with pytest.raises(InputError, match="f has no rows"):
        validate_series(make_series({"a": 3})[:0], "f")


def test_a_long_value_is_cut_in_the_message():
    frame = make_series({"a": 3}).astype({"y": object})
    frame.loc[0, "y"] = "x" * 10_000
    with pytest.raises(InputError) as error:
        validate_series(frame, "f")
    assert len(str(error.value)) < 200
