"""A judged model, trained again on all rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast import Forecaster, load
from gatecast.data.sequences.sequences import build_sequences
from gatecast.data.sequences.splits import SplitSettings
from gatecast.lstm.forecasting.recipe import sequence_settings
from tests.lstm.frames import PLAIN

SIZES = {"hidden_size": 4, "max_epochs": 3, "horizon": 2, "lookback": 14, "seed": 2}


def frame(rows=200, names=("a", "b")):
    generator = np.random.default_rng(0)
    ds = pd.date_range("2020-01-01", periods=rows)
    season = np.sin(2 * np.pi * np.arange(rows) / 7)
    return pd.concat(
        [
            pd.DataFrame({"unique_id": name, "ds": ds, "y": 10 + k + season + 0.3 * generator.normal(size=rows)})
            for k, name in enumerate(names)
        ],
        ignore_index=True,
    )


def judged(data, **settings):
    """A model that keeps rows back, and the sequences of all rows."""
    model = Forecaster(**{**SIZES, **settings})
    windows = sequence_settings(model.settings, data, SplitSettings())
    model.fit_sequences(build_sequences(data, windows))
    everything = windows.model_copy(update={"fit_scalers_on": "all"})
    return model, build_sequences(data, everything)


@pytest.mark.parametrize(
    "settings",
    [{}, {"stateful": True, "lookback": 8}, {**PLAIN, "bidirectional": True}, {"n_models": 2}, {"dropout": 0.2}],
)
def test_a_copy_learns_the_newest_rows_and_the_model_stays_as_it_is(tmp_path, settings):
    data = frame()
    model, everything = judged(data, **settings)
    before = [member.network.parameters.to_host() for member in model.members]
    copy = model.refit(everything)
    for member, weights in zip(model.members, before, strict=True):
        for name, array in member.network.parameters.to_host().items():
            np.testing.assert_array_equal(array, weights[name])
    last = "2020-07-18"
    assert copy.boundaries == {"train_end": last, "validation_end": last}
    assert model.boundaries["validation_end"] < last
    assert copy.history == model.history
    assert len(copy.members) == len(model.members)
    assert copy.scalers["a"].center[0] == pytest.approx(data.loc[data["unique_id"] == "a", "y"].mean())
    # Another last tenth makes another copy, and the same rows the same one, to the bit.
    changed = data.copy()
    late = data.groupby("unique_id").cumcount() >= 180
    changed.loc[late, "y"] += 3
    _, of_changed = judged(changed, **settings)
    copies = copy, model.refit(everything), model.refit(of_changed)
    ours, again, theirs = (each.members[-1].network.parameters.to_host() for each in copies)
    for name, array in ours.items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)
    assert any(not np.array_equal(array, theirs[name]) for name, array in ours.items())
    copy.save(tmp_path / "copy")
    pd.testing.assert_frame_equal(load(tmp_path / "copy").predict(), copy.predict())


def test_a_copy_follows_a_level_that_rose_after_the_training():
    rows = 200
    level = np.where(np.arange(rows) < 150, 0.0, 20.0)
    y = level + np.random.default_rng(0).normal(size=rows)
    data = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2020-01-01", periods=rows), "y": y})
    plain = {**PLAIN, "lookback": 7, "max_epochs": 20, "fit_until": "training", "learning_rate": 0.02}
    model, everything = judged(data, **plain)
    copy = model.refit(everything)
    errors = [abs(each.predict()["y_hat"].mean() - 20) for each in (model, copy)]
    assert errors[1] < 0.7 * errors[0]


def test_series_that_end_earlier_keep_their_own_ends():
    data = frame()
    data = data[(data["unique_id"] == "a") | (data["ds"] < "2020-06-01")]
    model, everything = judged(data)
    copy = model.refit(everything)
    assert copy.ends("train_end", ["a", "b"]).dt.strftime("%Y-%m-%d").tolist() == ["2020-07-18", "2020-05-31"]
