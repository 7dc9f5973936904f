"""Sequences from files, one series after the other, against the plain build from one frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gatecast.data.bars.store import write_rows
from gatecast.data.errors import InputError
from gatecast.data.sequences.build import build_from_files
from gatecast.data.sequences.features import FEATURE_SETS, TARGETS, build_series_frame
from gatecast.data.sequences.sequences import SequenceSettings, build_sequences, read_sequences, write_sequences
from gatecast.data.sequences.splits import SplitSettings
from tests.damage import HARM_NAMES, HARMS, one_bit
from tests.data.frames import make_bars, make_series

SETTINGS = SequenceSettings(lookback=5, horizon=2)
FETCHED = {"source": "csv", "fetched_at": "2020-01-01T00:00:00+00:00"}


def write_files(frame: pd.DataFrame, folder: Path) -> list[Path]:
    parts = frame.astype({"ds": "datetime64[ns]"}).groupby("unique_id")
    return [write_rows(rows, folder / f"{name}.parquet", FETCHED) for name, rows in parts]


def same(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def test_the_files_give_the_bits_that_the_frame_gives(tmp_path):
    frame = make_series({"a": 60, "b": 45, "c": 80}, covariates=2)
    built = build_from_files(write_files(frame, tmp_path / "in"), same, "k", SETTINGS, tmp_path / "cache")
    assert built.content_hash == build_sequences(frame, SETTINGS).content_hash


def test_bars_with_target_and_features_give_the_same_bits(tmp_path):
    bars = make_bars(("A", "B", "C"), rows=90)
    settings = SequenceSettings(lookback=5, split=SplitSettings(purge=2))

    def learnt(rows):
        return build_series_frame(rows, TARGETS["range"], FEATURE_SETS["returns"])

    built = build_from_files(write_files(bars, tmp_path / "in"), learnt, "k", settings, tmp_path / "cache")
    assert built.content_hash == build_sequences(learnt(bars), settings).content_hash


@pytest.mark.parametrize(("column", "value"), [("y", 1e155), ("x1", -1e300)])
def test_a_value_that_cannot_be_scaled_is_named(tmp_path, column, value):
    frame = make_series({"a": 60, "b": 45}, covariates=2)
    frame.loc[70, column] = value
    files = write_files(frame, tmp_path / "in")
    with pytest.raises(InputError, match=f"^b has a value of {column} that is too large"):
        build_from_files(files, same, "k", SETTINGS, tmp_path / "cache")


def test_times_with_a_zone_give_the_same_bits(tmp_path):
    frame = make_series({"a": 60, "b": 60})
    frame["ds"] = pd.DatetimeIndex(frame["ds"]).tz_localize("Europe/Berlin")
    files = [
        write_rows(rows.assign(ds=rows["ds"].dt.as_unit("ns")), tmp_path / "in" / f"{name}.parquet", FETCHED)
        for name, rows in frame.groupby("unique_id")
    ]
    built = build_from_files(files, same, "k", SETTINGS, tmp_path / "cache")
    assert built.content_hash == build_sequences(frame, SETTINGS).content_hash
    assert read_sequences(write_sequences(built, tmp_path / "out")).timezone == "Europe/Berlin"


def test_only_what_has_changed_is_computed_again(tmp_path):
    calls = []

    def counted(rows):
        calls.append(rows["unique_id"].iloc[0])
        return rows

    frame = make_series({"a": 60, "b": 60, "c": 60})
    files = write_files(frame, tmp_path / "in")
    first = build_from_files(files, counted, "k", SETTINGS, tmp_path / "cache")
    again = build_from_files(files, counted, "k", SETTINGS, tmp_path / "cache")
    assert calls == ["a", "b", "c"]
    assert again.content_hash == first.content_hash
    changed = frame.assign(y=frame["y"].where(frame["unique_id"] != "b", frame["y"] ** 2))
    write_files(changed, tmp_path / "in")
    third = build_from_files(files, counted, "k", SETTINGS, tmp_path / "cache")
    assert calls == ["a", "b", "c", "b"]
    assert third.content_hash == build_sequences(changed, SETTINGS).content_hash
    build_from_files(files, counted, "another", SETTINGS, tmp_path / "cache")
    assert len(calls) == 7
    assert len(list((tmp_path / "cache").glob("*.arrow"))) == 3  # the others are gone


def test_what_fails_leaves_what_was_kept(tmp_path):
    files = write_files(make_series({"a": 60}), tmp_path / "in")
    build_from_files(files, same, "k", SETTINGS, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").glob("*.arrow")
    with pytest.raises(InputError, match="leave 3 for training"):
        build_from_files(
            write_files(make_series({"b": 3}), tmp_path / "short"), same, "k", SETTINGS, tmp_path / "cache"
        )
    assert kept.exists()


def test_training_maps_the_arrays_and_cannot_change_the_file(tmp_path):
    built = build_sequences(make_series({"a": 60, "b": 45}), SETTINGS)
    folder = write_sequences(built, tmp_path / "out")
    assert not list(folder.glob("*.arrow"))
    read = read_sequences(folder)
    files = sorted(path.name.split("-")[0] for path in folder.glob("*.arrow"))
    assert files == ["series", "windows"]
    assert read.content_hash == built.content_hash
    for array in (read.values, read.ds, read.windows.start):
        assert is_mapped(array)
    read.values[0, 0] = 7.0
    assert read_sequences(folder).content_hash == built.content_hash


def is_mapped(array: np.ndarray) -> bool:
    while array.base is not None:
        if isinstance(array.base, np.memmap):
            return True
        array = array.base
    return False


@pytest.mark.parametrize("harm", [*HARMS, one_bit], ids=[*HARM_NAMES, "one_bit"])
@pytest.mark.parametrize("part", ["series", "windows"])
def test_damaged_arrow_files_are_made_again_from_the_parquet_ones(tmp_path, caplog, part, harm):
    built = build_sequences(make_series({"a": 60}), SETTINGS)
    folder = write_sequences(built, tmp_path / "out")
    read_sequences(folder)
    (path,) = folder.glob(f"{part}-*.arrow")
    whole = path.read_bytes()
    harm(path)
    assert read_sequences(folder).content_hash == built.content_hash
    assert caplog.messages == [
        f"The Arrow files in {folder} are damaged; they are made again from the Parquet files.",
    ]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("harm", [*HARMS, one_bit], ids=[*HARM_NAMES, "one_bit"])
def test_a_damaged_kept_series_is_computed_again(tmp_path, caplog, harm):
    files = write_files(make_series({"a": 60, "b": 60}), tmp_path / "in")
    built = build_from_files(files, same, "k", SETTINGS, tmp_path / "cache")
    kept = {path: path.read_bytes() for path in (tmp_path / "cache").glob("*.arrow")}
    damaged = min(kept)
    harm(damaged)
    assert build_from_files(files, same, "k", SETTINGS, tmp_path / "cache").content_hash == built.content_hash
    assert caplog.messages == [f"{damaged} is damaged; its series is computed again."]
    assert {path: path.read_bytes() for path in (tmp_path / "cache").glob("*.arrow")} == kept


def test_large_sequences_are_written_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("gatecast.data.sequences.files._ROWS_AT_ONCE", 7)
    built = build_sequences(make_series({"a": 60, "b": 45, "c": 50}), SETTINGS)
    read = read_sequences(write_sequences(built, tmp_path / "out"))
    assert read.content_hash == built.content_hash
    assert read.unique_ids == ("a", "b", "c")


def test_the_parquet_file_is_plain_for_pandas(tmp_path):
    built = build_sequences(make_series({"a": 60, "b": 45}), SETTINGS)
    folder = write_sequences(built, tmp_path / "out")
    series = pd.read_parquet(folder / "series.parquet")
    assert series["unique_id"].astype(str).value_counts().to_dict() == {"a": 60, "b": 45}
    np.testing.assert_array_equal(series[list(built.columns)].to_numpy(), built.values)
    windows = pd.read_parquet(folder / "windows.parquet")
    assert len(windows) == len(built.windows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.assign(y=np.inf), "is inf, which is not a finite number"),
        (lambda frame: frame[::-1], "earlier than the row before it"),
    ],
)
def test_what_is_computed_wrong_is_named(tmp_path, change, message):
    files = write_files(make_series({"a": 60}), tmp_path / "in")
    with pytest.raises(InputError, match=message):
        build_from_files(files, change, "k", SETTINGS, tmp_path / "cache")


def test_series_with_other_columns_are_refused(tmp_path):
    files = write_files(make_series({"a": 60}), tmp_path / "in") + write_files(
        make_series({"b": 60}, covariates=2), tmp_path / "in"
    )
    with pytest.raises(InputError, match="b has the columns y, x0, x1 and a has y, x0"):
        build_from_files(files, same, "k", SETTINGS, tmp_path / "cache")


def test_no_file_is_no_sequence(tmp_path):
    with pytest.raises(InputError, match="no file to build sequences from"):
        build_from_files([], same, "k", SETTINGS, tmp_path / "cache")
