"""Panels as they are: series that start late, end early, are short, have gaps or no values at all."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatecast.data.bars.store import write_rows
from gatecast.data.errors import InputError
from gatecast.data.sequences.build import build_from_files
from gatecast.data.sequences.notes import PanelNotes
from gatecast.data.sequences.sequences import SequenceSettings, build_sequences, read_sequences, write_sequences
from gatecast.data.sequences.splits import TEST, TRAIN, VALIDATION, SplitSettings
from tests.data.frames import REPRODUCIBLE

SETTINGS = SequenceSettings(lookback=14, horizon=3, gaps="mask")
DATED = SequenceSettings(
    lookback=14, horizon=3, split=SplitSettings(train_end=date(2020, 5, 1), validation_end=date(2020, 6, 1))
)


def series(unique_id: str, rows: int, start: str = "2020-01-01", seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng([seed, rows])
    return pd.DataFrame(
        {
            "unique_id": unique_id,
            "ds": pd.date_range(start, periods=rows),
            "y": 100 + rng.normal(size=rows).cumsum(),
            "x": rng.normal(size=rows),
        }
    )


def planted() -> pd.DataFrame:
    """A series of each kind; all of them in one panel."""
    gap = series("gap of a week", 200)
    holes = series("holes", 200)
    holes.loc[np.random.default_rng(1).random(200) < 0.2, "y"] = np.nan
    parts = [
        series("complete", 200),
        series("ends early", 90),
        gap.drop(index=range(100, 107)),
        holes,
        series("late", 60, start="2020-05-20"),
        series("no value", 200).assign(y=np.nan),
        series("quarantined", 200).drop(index=150),
        series("three rows", 3, start="2020-07-15"),
    ]
    return pd.concat(parts, ignore_index=True)


def windows_by_series(sequences, split):
    windows = sequences.windows_of(split)
    counts = np.bincount(windows.series, minlength=len(sequences.unique_ids))
    return dict(zip(sequences.unique_ids, counts.tolist(), strict=True))


def test_every_series_of_which_something_is_known_is_kept(caplog):
    sequences = build_sequences(planted(), SETTINGS)
    assert set(sequences.unique_ids) == set(planted()["unique_id"]) - {"no value"}
    assert [record.getMessage() for record in caplog.records] == [
        "1 series left out, since fewer than two of their values are known before the test: no value."
    ]
    assert sequences.notes.left_out_named == ("no value",)
    missing = np.isnan(sequences.values[:, 0])
    masked = {name: missing[a:b].sum() for name, a, b in zip(
        sequences.unique_ids, sequences.offsets[:-1], sequences.offsets[1:], strict=True
    )}  # fmt: skip
    holes = int(planted().query("unique_id == 'holes'")["y"].isna().sum())
    assert {name: count for name, count in masked.items() if count} == {
        "gap of a week": 7, "holes": holes, "quarantined": 1,
    }  # fmt: skip
    assert sequences.notes.missing_rows == 8 + holes
    assert sequences.notes.sentences()[0].endswith(" rows, in 3 of 7 series, have no value; they are masked.")


def test_each_series_is_split_at_its_own_end():
    sequences = build_sequences(planted(), SETTINGS)
    for split in (TRAIN, VALIDATION, TEST):
        counts = windows_by_series(sequences, split)
        assert all(count > 0 for name, count in counts.items() if name != "three rows"), counts
    ends = sequences.ends("validation_end")
    last = planted().groupby("unique_id")["ds"].max()
    assert (ends < last[ends.index])[ends.index != "three rows"].all()
    assert ends["three rows"] == last["three rows"]  # nothing is held back of what no test could use
    assert sequences.boundaries == {
        name: str(sequences.ends(name).max().date()) for name in ("train_end", "validation_end")
    }
    of_split = sequences.windows_of(TEST)
    rows = sequences.ds[of_split.end]
    assert (rows > ends.to_numpy()[of_split.series]).all()


def test_a_day_splits_all_series_at_once():
    sequences = build_sequences(planted(), DATED)
    assert sequences.own_boundaries == {}
    assert set(sequences.ends("train_end")) == {pd.Timestamp("2020-05-01")}
    assert windows_by_series(sequences, TRAIN)["late"] == 0
    assert windows_by_series(sequences, TEST)["late"] > 0
    assert {"late"} <= set(sequences.notes.untrained_named)
    assert "three rows" not in sequences.unique_ids  # they all come after the test has begun
    assert sequences.notes.left_out == 2


def test_a_short_series_has_windows_that_begin_before_it():
    sequences = build_sequences(pd.concat([series("long", 300), series("short", 20)]), SETTINGS)
    windows = sequences.windows_of(TRAIN)
    of_short = windows.series == 1
    assert of_short.any()
    assert (windows.start[of_short] < sequences.offsets[1]).all()
    assert (windows.end[of_short] >= sequences.offsets[1] + 2).all()
    assert (windows.start[~of_short] >= 0).all()


def test_no_row_beside_a_gap_is_taken_for_a_neighbour():
    sequences = build_sequences(planted(), SETTINGS)
    steps = np.diff(sequences.ds)
    inner = np.setdiff1d(np.arange(len(steps)), sequences.offsets[1:-1] - 1)
    assert (steps[inner] == np.timedelta64(1, "D")).all()
    kept = build_sequences(planted(), SETTINGS.model_copy(update={"gaps": "keep"}))
    assert len(sequences.ds) == len(kept.ds) + 8


def test_every_window_knows_two_inputs_and_a_target():
    sequences = build_sequences(planted(), SETTINGS)
    known = ~np.isnan(sequences.values[:, 0])
    windows = sequences.windows
    first = np.maximum(windows.start, sequences.offsets[windows.series])
    assert all(known[a:b].sum() >= 2 for a, b in zip(first, windows.end, strict=True))
    assert known[windows.end[:, None] + np.arange(3)].any(axis=1).all()


@REPRODUCIBLE
@given(
    seed=st.integers(0, 2**32 - 1),
    lookback=st.integers(1, 30),
    horizon=st.integers(1, 12),
    purge=st.integers(0, 3),
    scaling=st.sampled_from(["standard", "minmax", "robust", "size"]),
    transform=st.sampled_from(["none", "log", "log1p", "boxcox"]),
    dated=st.booleans(),
)
def test_what_follows_a_boundary_changes_nothing_before_it(seed, lookback, horizon, purge, scaling, transform, dated):
    """Permute the values after the training of each series: scalers, boundaries and windows stay."""
    days = {"train_end": date(2020, 5, 1), "validation_end": date(2020, 6, 1)} if dated else {}
    split = SplitSettings(purge=purge, **days)
    how = {"scaling": scaling, "transform": transform, "split": split, "gaps": "mask"}
    settings = SequenceSettings(lookback=lookback, horizon=horizon, **how)
    rng = np.random.default_rng(seed)
    frame = planted()
    try:
        before = build_sequences(frame, settings)
    except InputError:
        return  # a split has no window
    changed = frame.copy()
    ends = before.ends("train_end")
    for name, rows in changed[changed["y"].notna()].groupby("unique_id"):
        # Those without training rows are scaled by their validation rows.
        if name in ends and (rows["ds"] <= ends[name]).sum() >= 2:
            later = rows.index[rows["ds"] > ends[name]]
            changed.loc[later, ["y", "x"]] = changed.loc[rng.permutation(later), ["y", "x"]].to_numpy() * 3 - 7
    after = build_sequences(changed, settings)
    assert after.boundaries == before.boundaries
    assert after.own_boundaries == before.own_boundaries
    assert [scaler.to_dict() for scaler in after.scalers] == [scaler.to_dict() for scaler in before.scalers]
    for name in ("series", "start", "end", "split"):
        assert np.array_equal(getattr(after.windows, name), getattr(before.windows, name))
    windows = before.windows_of(TRAIN)
    inner = windows.start >= before.offsets[windows.series]
    rows = windows.start[inner, None] + np.arange(lookback + horizon)
    np.testing.assert_array_equal(after.values[rows], before.values[rows])


def test_files_give_the_same_as_a_frame(tmp_path):
    files = []
    for number, (_, rows) in enumerate(planted().groupby("unique_id")):
        written = rows.reset_index(drop=True)
        files.append(write_rows(written, tmp_path / f"{number}.parquet", {"source": "t", "fetched_at": "2020"}))
    whole = build_sequences(planted(), SETTINGS)
    for _ in range(2):  # computed, and kept from before
        parts = build_from_files(files, lambda rows: rows, "k", SETTINGS, tmp_path / "kept")
        assert parts.content_hash == whole.content_hash
        assert parts.notes == whole.notes


def test_files_hold_what_is_missing(tmp_path):
    sequences = build_sequences(planted(), SETTINGS)
    again = read_sequences(write_sequences(sequences, tmp_path / "s"))
    assert np.array_equal(again.values, sequences.values, equal_nan=True)
    assert again.content_hash == sequences.content_hash
    assert (again.notes, again.own_boundaries) == (sequences.notes, sequences.own_boundaries)
    assert np.array_equal(again.train_rows, sequences.train_rows)


def test_a_panel_of_which_nothing_is_known_is_refused():
    frame = pd.concat([series("a", 30), series("b", 30)]).assign(y=np.nan)
    frame.iloc[0, 2] = frame.iloc[30, 2] = 1.0
    with pytest.raises(InputError, match="Fewer than 2 values of a, b are known before the test, so no series is left"):
        build_sequences(frame, SETTINGS)


def test_notes_of_a_complete_panel_say_nothing():
    assert build_sequences(series("a", 100), SETTINGS).notes.sentences() == ()
    notes = PanelNotes(rows=10, series=9, untrained=7, untrained_named=("a", "b", "c", "d", "e"))
    assert notes.sentences() == (
        "7 of 9 series are too short to train on and are forecast all the same: a, b, c, d, e and 2 more.",
    )
    assert PanelNotes.from_dict(notes.to_dict()) == notes
