"""Rows that weigh more or less as targets."""

from __future__ import annotations

import numpy as np
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sequences.build import build_from_files
from gatecast.data.sequences.sequences import SequenceSettings, build_sequences, read_sequences, write_sequences
from gatecast.data.store import write_parquet
from tests.data.frames import make_series

SETTINGS = SequenceSettings(lookback=5, horizon=2, weight_column="x1")
FRAME = make_series({"b": 40, "a": 45}, covariates=2).assign(x1=lambda frame: np.arange(len(frame)) / 10)


def test_the_column_of_the_weights_is_no_covariate():
    sequences = build_sequences(FRAME, SETTINGS)
    assert sequences.columns == ("y", "x0")
    ordered = FRAME.sort_values(["unique_id", "ds"], kind="stable")
    np.testing.assert_array_equal(sequences.weights, ordered["x1"].to_numpy(np.float32))
    without = build_sequences(FRAME.drop(columns="x1"), SETTINGS.model_copy(update={"weight_column": None}))
    np.testing.assert_array_equal(sequences.values, without.values)
    assert without.weights is None


def test_a_row_without_y_weighs_nothing():
    holed = FRAME.copy()
    holed.loc[3, "y"] = np.nan
    holed.loc[3, "x1"] = np.nan
    holed = holed.drop(index=10)  # put in again, on its calendar
    sequences = build_sequences(holed, SETTINGS.model_copy(update={"gaps": "mask"}))
    assert len(sequences.weights) == len(FRAME)
    assert np.count_nonzero(sequences.weights == 0) == 3  # these two, and the first row, whose weight is 0


@pytest.mark.parametrize("columns", [2, 3])
def test_they_come_back_from_the_files_to_the_bit(tmp_path, columns):
    frame = make_series({"b": 40, "a": 45}, covariates=columns).assign(x1=FRAME["x1"])
    sequences = build_sequences(frame, SETTINGS)
    write_sequences(sequences, tmp_path / "sequences")
    for _ in range(2):  # decoded, and then mapped
        again = read_sequences(tmp_path / "sequences")
        np.testing.assert_array_equal(again.weights, sequences.weights)
        assert again.content_hash == sequences.content_hash
    files = [
        write_parquet(rows.reset_index(drop=True), tmp_path / f"{name}.parquet")
        for name, rows in frame.groupby("unique_id")
    ]
    built = build_from_files(files, lambda rows: rows, "", SETTINGS, tmp_path / "cache")
    assert built.content_hash == sequences.content_hash


def test_other_weights_make_other_sequences():
    first, second = (build_sequences(FRAME.assign(x1=FRAME["x1"] * factor), SETTINGS) for factor in (1, 2))
    assert first.content_hash != second.content_hash


def early(frame):
    """Return 1 in the rows that train, and 0 after them."""
    return (frame.groupby("unique_id").cumcount() < 28).astype(float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame[["unique_id", "ds", "y"]], "weight_column is x1, but there is no column besides y"),
        (lambda frame: frame.drop(columns="x1"), "weight_column is x1, but the columns besides y are x0; name one"),
        (lambda frame: frame.assign(x1=frame["x1"].where(frame.index != 7)), "x1 of b is nan on 2020-01-08, but"),
        (lambda frame: frame.assign(x1=frame["x1"].where(frame.index != 7, -1)), "x1 of b is -1 on 2020-01-08"),
        (lambda frame: frame.assign(x1=1e31), "x1 of a is 1e\\+31 on 2020-01-01, but a weight is a number from"),
        (lambda frame: frame.assign(x1=1e-31), "x1 is 0, or below 1e-30, in all rows that could be learnt; give"),
        (lambda frame: frame.assign(x1=0.0), "x1 is 0, or below 1e-30, in all rows that could be learnt; give"),
        (
            lambda frame: frame.assign(x1=early(frame)),
            "x1 is 0, or below 1e-30, in all rows that validate; give",
        ),
    ],
)
def test_what_is_no_weight_is_refused_in_one_sentence(change, message):
    with pytest.raises(InputError, match=message) as caught:
        build_sequences(change(FRAME), SETTINGS)
    assert "\n" not in str(caught.value)


def test_rows_to_forecast_need_no_weights():
    trained = build_sequences(FRAME, SETTINGS)
    scalers = dict(zip(trained.unique_ids, trained.scalers, strict=True))
    again = build_sequences(FRAME.drop(columns="x1"), SETTINGS, scalers=scalers)
    assert again.columns == trained.columns
    assert again.weights is None


def test_a_trained_model_is_tested_on_rows_that_weigh_nothing():
    trained = build_sequences(FRAME, SETTINGS)
    scalers = dict(zip(trained.unique_ids, trained.scalers, strict=True))
    again = build_sequences(FRAME.assign(x1=0.0), SETTINGS, scalers=scalers)
    np.testing.assert_array_equal(again.values, trained.values)


def test_weights_that_fade_are_0_in_the_end():
    faded = build_sequences(FRAME.assign(x1=0.1 ** np.arange(len(FRAME))[::-1]), SETTINGS)
    assert (faded.weights[faded.offsets[1] :].min(), faded.weights.max()) == (0, 1)
