from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError, SettingsError
from gatecast.data.sequences.features import FEATURE_SETS, TARGETS, build_series_frame
from gatecast.data.sequences.latest import frame_of_columns, scale_frame
from gatecast.data.sequences.scaling import Scaler
from gatecast.data.sequences.sequences import (
    SequenceSettings,
    build_sequences,
    read_sequences,
    write_sequences,
)
from gatecast.data.sequences.splits import SAMPLE_SPLIT, TEST, TRAIN, VALIDATION, SplitSettings
from gatecast.data.sources.source import SampleSource, Selection
from gatecast.data.store import read_parquet
from tests.data.frames import make_series

SPLIT = SplitSettings(train_end=date(2020, 1, 20), validation_end=date(2020, 1, 30))
SETTINGS = SequenceSettings(lookback=5, horizon=2, split=SPLIT)
FRAME = make_series({"b": 40, "a": 45}, covariates=2)


def sample_test_rows(target: str) -> pd.DataFrame:
    """Return y of the S&P 500's test windows as predictions of the random walk."""
    bars = SampleSource().read(Selection(("sp500",)))
    frame = build_series_frame(bars, TARGETS[target], FEATURE_SETS["returns"])
    sequences = build_sequences(frame, SequenceSettings(split=SAMPLE_SPLIT))
    end = sequences.windows_of(TEST).end
    y, last = (sequences.unscale_y(sequences.values[rows, 0], np.zeros(len(end), int)) for rows in (end, end - 1))
    keys = {"unique_id": "sp500", "cutoff": sequences.dates(end - 1), "ds": sequences.dates(end), "step": 1}
    naive = last if TARGETS[target].naive == "last" else 0.0
    return TARGETS[target].invert(pd.DataFrame({**keys, "y": y, "y_hat": naive}), bars)


def test_the_random_walk_of_the_sample_s_range_has_its_known_error():
    rows = sample_test_rows("range")
    assert rows["ds"].iloc[[0, -1]].tolist() == [pd.Timestamp("2014-01-03"), pd.Timestamp("2018-12-31")]
    assert np.sqrt(((rows["y"] - rows["y_hat"]) ** 2).mean()) == pytest.approx(1.012, abs=0.001)


def test_the_random_walk_of_the_sample_s_close_has_its_known_error():
    rows = sample_test_rows("close")
    assert 100 * (rows["y_hat"] / rows["y"] - 1).abs().mean() == pytest.approx(0.574, abs=0.001)


def test_closes_of_the_sample_come_back_through_scaling_and_inversion():
    rows = sample_test_rows("close").set_index("ds")
    bars = SampleSource().read(Selection(("sp500",))).set_index("ds")
    np.testing.assert_allclose(rows["y"], bars["close"].loc[rows.index], rtol=1e-7)


def test_series_lie_one_after_the_other_with_y_first():
    sequences = build_sequences(FRAME, SETTINGS)
    assert sequences.columns == ("y", "x0", "x1")
    assert sequences.covariates == ("x0", "x1")
    assert sequences.unique_ids == ("a", "b")
    assert sequences.offsets.tolist() == [0, 45, 85]
    assert (sequences.values.dtype, sequences.offsets.dtype) == (np.float32, np.int64)
    assert sequences.values.flags.c_contiguous
    assert sequences.ds.dtype == "datetime64[ns]"
    assert sequences.boundaries == {"train_end": "2020-01-20", "validation_end": "2020-01-30"}


def test_targets_of_each_split_lie_in_it():
    sequences = build_sequences(FRAME, SETTINGS)
    days = {
        TRAIN: ("2020-01-06", "2020-01-20"),
        VALIDATION: ("2020-01-22", "2020-01-30"),
        TEST: ("2020-02-01", "2020-02-14"),
    }
    for split, (first, last) in days.items():
        windows = sequences.windows_of(split)
        rows = (windows.end[:, None] + np.arange(2)).ravel()
        assert sequences.dates(rows).min() == pd.Timestamp(first)
        assert sequences.dates(rows).max() == pd.Timestamp(last)


def test_unscaled_values_are_those_of_the_frame():
    sequences = build_sequences(FRAME, SETTINGS)
    windows = sequences.windows
    rows = windows.end[:, None] + np.arange(2)
    y = sequences.unscale_y(sequences.values[rows, 0], windows.series)
    frame = FRAME.sort_values(["unique_id", "ds"], ignore_index=True)
    np.testing.assert_allclose(y, frame["y"].to_numpy()[rows], rtol=1e-6)
    assert y.dtype == np.float64


def test_scalers_see_training_rows_only():
    changed = FRAME.copy()
    later = changed["ds"] > pd.Timestamp("2020-01-20")
    changed.loc[later, ["y", "x0", "x1"]] *= -1e3
    one = build_sequences(FRAME, SETTINGS)
    other = build_sequences(changed, SETTINGS)
    for scaler, same in zip(one.scalers, other.scalers, strict=True):
        assert scaler.to_dict() == same.to_dict()
    training = one.ds <= np.datetime64("2020-01-20")
    assert (one.values[training] == other.values[training]).all()
    assert (one.values[~training] != other.values[~training]).all()


def test_training_rows_are_scaled_to_mean_zero_and_deviation_one():
    sequences = build_sequences(FRAME, SETTINGS)
    for first in sequences.offsets[:-1]:
        training = sequences.values[first : first + 20]
        np.testing.assert_allclose(training.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(training.std(axis=0), 1, atol=1e-6)


def test_given_scalers_are_used():
    first = build_sequences(FRAME, SETTINGS)
    scalers = dict(zip(first.unique_ids, first.scalers, strict=True))
    shifted = build_sequences(FRAME.assign(y=FRAME["y"] + 1), SETTINGS, scalers=scalers)
    assert shifted.scalers == first.scalers
    assert (shifted.values[:, 0] > first.values[:, 0]).all()


def test_a_series_without_a_given_scaler_is_refused():
    with pytest.raises(InputError, match="model was not trained on 'a'"):
        build_sequences(FRAME, SETTINGS, scalers={})


def test_other_columns_than_the_given_scaler_s_are_refused():
    scaler = Scaler.fit(np.zeros((2, 1)), ("y",))
    with pytest.raises(InputError, match="a has the columns y, x0, x1, but the model was trained on y"):
        build_sequences(FRAME, SETTINGS, scalers={"a": scaler, "b": scaler})


@pytest.mark.parametrize(
    ("frame", "settings", "message"),
    [
        (make_series({"a": 6}), {"split": SplitSettings()}, "6 rows .* leave 6 for training and 0 for validation"),
        (FRAME[FRAME["ds"] < "2020-01-30"], {}, "leave|test period has no window"),
        (FRAME, {"horizon": 20}, "training period has no window with lookback 5, horizon 20"),
    ],
)
def test_too_few_rows_are_told_with_numbers(frame, settings, message):
    with pytest.raises(InputError, match=message):
        build_sequences(frame, SETTINGS.model_copy(update=settings))


def test_a_series_that_starts_after_training_stays_with_a_scaler_of_its_validation_rows():
    late = make_series({"late": 20}, covariates=2, start="2020-01-25")
    sequences = build_sequences(pd.concat([FRAME, late]), SETTINGS)
    assert sequences.unique_ids == ("a", "b", "late")
    assert 2 not in sequences.windows_of(TRAIN).series
    assert {1, 2} <= set(sequences.windows_of(TEST).series)
    np.testing.assert_allclose(sequences.scalers[2].center[0], late["y"][:6].mean())
    assert sequences.notes.sentences() == (
        "1 of 3 series are too short to train on and are forecast all the same: late.",
    )


@pytest.mark.parametrize(
    "settings", [{"lookback": -1}, {"lookback": 0}, {"horizon": 0}, {"scaling": "max"}, {"look_back": 1}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SettingsError):
        SequenceSettings(**settings)


@pytest.mark.parametrize("row", [0, 39], ids=["training", "later"])
@pytest.mark.parametrize("column", ["y", "x1"])
@pytest.mark.parametrize("value", [1e155, -1e300])
def test_a_value_that_cannot_be_scaled_is_named(row, column, value):
    frame = FRAME.copy()
    frame.loc[row, column] = value
    message = f"^b has a value of {column} that is too large"
    with pytest.raises(InputError, match=message):
        build_sequences(frame, SETTINGS)
    usual = build_sequences(FRAME, SETTINGS)
    scalers = dict(zip(usual.unique_ids, usual.scalers, strict=True))
    with pytest.raises(InputError, match=message):
        scale_frame(frame_of_columns(frame, usual.columns), usual.columns, scalers)


@pytest.mark.parametrize("column", ["y", "x1"])
def test_a_column_too_small_to_scale_is_named(column):
    with pytest.raises(InputError, match=f"^a has values of {column} that are too small to scale"):
        build_sequences(FRAME.assign(**{column: FRAME[column] * 1e-300}), SETTINGS)


@pytest.mark.parametrize("timezone", [None, "UTC", "America/New_York", "-05:00"])
def test_written_sequences_are_read_bit_for_bit(tmp_path, timezone):
    frame = FRAME.assign(ds=FRAME["ds"].dt.tz_localize(timezone))
    sequences = build_sequences(frame, SETTINGS)
    again = read_sequences(write_sequences(sequences, tmp_path / "s"))
    for name in ("columns", "unique_ids", "timezone", "settings", "boundaries", "content_hash"):
        assert getattr(again, name) == getattr(sequences, name)
    for name in ("ds", "values", "offsets"):
        assert getattr(again, name).dtype == getattr(sequences, name).dtype
        assert getattr(again, name).tobytes() == getattr(sequences, name).tobytes()
    for name in ("series", "start", "end", "split"):
        assert getattr(again.windows, name).dtype == getattr(sequences.windows, name).dtype
        assert getattr(again.windows, name).tobytes() == getattr(sequences.windows, name).tobytes()
    assert [scaler.to_dict() for scaler in again.scalers] == [scaler.to_dict() for scaler in sequences.scalers]
    assert again.dates(np.arange(3)).equals(pd.DatetimeIndex(frame["ds"].iloc[-45:-42]).as_unit("ns"))


def test_the_files_are_plain_tables(tmp_path):
    write_sequences(build_sequences(FRAME, SETTINGS), tmp_path / "s")
    rows, metadata = read_parquet(tmp_path / "s" / "series.parquet")
    windows, _ = read_parquet(tmp_path / "s" / "windows.parquet")
    assert list(rows.columns) == ["unique_id", "ds", "y", "x0", "x1"]
    assert list(windows.columns) == ["unique_id", "start", "end", "split"]
    assert '"lookback": 5' in metadata["gatecast"]


def test_the_content_hash_sees_the_settings():
    other = SETTINGS.model_copy(update={"scaling": "robust"})
    assert build_sequences(FRAME, SETTINGS).content_hash == build_sequences(FRAME, SETTINGS).content_hash
    assert build_sequences(FRAME, SETTINGS).content_hash != build_sequences(FRAME, other).content_hash


@pytest.mark.parametrize("name", ["series.parquet", "windows.parquet"])
def test_files_of_other_sequences_are_refused(tmp_path, name):
    write_sequences(build_sequences(FRAME, SETTINGS), tmp_path / "s")
    other = SETTINGS.model_copy(update={"lookback": 6})
    write_sequences(build_sequences(FRAME, other), tmp_path / "other")
    (tmp_path / "other" / name).replace(tmp_path / "s" / name)
    with pytest.raises(InputError, match="content hash differs"):
        read_sequences(tmp_path / "s")


@pytest.mark.parametrize("name", ["series.parquet", "windows.parquet"])
def test_a_truncated_or_missing_file_is_named(tmp_path, name):
    path = write_sequences(build_sequences(FRAME, SETTINGS), tmp_path / "s") / name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{name} cannot be read as Parquet"):
        read_sequences(tmp_path / "s")
    path.unlink()
    with pytest.raises(InputError, match=f"{name} does not exist"):
        read_sequences(tmp_path / "s")


def test_a_parquet_file_of_something_else_is_refused(tmp_path):
    for name in ("series.parquet", "windows.parquet"):
        FRAME.to_parquet(tmp_path / name)
    with pytest.raises(InputError, match="does not hold sequences of this version"):
        read_sequences(tmp_path)
