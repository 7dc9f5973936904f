from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sequences.features import (
    FEATURE_SETS,
    TARGETS,
    build_series_frame,
    garman_klass,
    log_variance,
    told_apart,
)
from tests.data.frames import make_bars

SETS = list(FEATURE_SETS.values())


def test_garman_klass_by_hand():
    bars = pd.DataFrame({"open": [100.0], "high": [104.0], "low": [98.0], "close": [103.0]})
    by_hand = 0.5 * math.log(104 / 98) ** 2 - (2 * math.log(2) - 1) * math.log(103 / 100) ** 2
    assert garman_klass(bars)[0] == pytest.approx(by_hand, rel=1e-12)
    assert log_variance(bars)[0] == pytest.approx(math.log(by_hand), rel=1e-12)


def test_a_bar_without_a_range_has_the_smallest_variance():
    bars = pd.DataFrame({"open": [5.0], "high": [5.0], "low": [5.0], "close": [5.0]})
    assert log_variance(bars)[0] == pytest.approx(math.log(1e-8))


def test_returns_features_by_hand():
    bars = make_bars(rows=25)
    frame = FEATURE_SETS["returns"].apply(bars)
    assert frame["log_return"][7] == pytest.approx(math.log(bars["close"][7] / bars["close"][6]))
    assert frame["log_volume"][22] == pytest.approx(math.log(bars["volume"][22] / bars["volume"][3:23].mean()))
    assert frame["log_range"][7] == pytest.approx(math.log(bars["high"][7] / bars["low"][7]))


def test_slides_features_by_hand():
    bars = make_bars(rows=5)
    frame = FEATURE_SETS["slides"].apply(bars)
    assert frame["close"].tolist() == bars["close"].tolist()
    assert frame["volume"].tolist() == bars["volume"].tolist()
    assert frame["high_low"].tolist() == (bars["high"] - bars["low"]).tolist()


@pytest.mark.parametrize("features", SETS, ids=lambda features: features.name)
def test_a_feature_set_returns_its_columns_on_the_same_index(features):
    bars = make_bars(rows=30)[5:]
    frame = features.apply(bars)
    assert tuple(frame.columns) == features.columns
    assert frame.index.equals(bars.index)


@pytest.mark.parametrize("features", SETS, ids=lambda features: features.name)
@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_no_row_knows_of_later_bars(features, target):
    bars = make_bars(rows=40)
    changed = bars.copy()
    changed.loc[30:, ["open", "high", "low", "close"]] *= 3
    changed.loc[30:, "volume"] = 0
    known = slice(None, bars["ds"][29])
    before, after = (build_series_frame(b, target, features).set_index("ds") for b in (bars, changed))
    pd.testing.assert_frame_equal(before.loc[known], after.loc[known], check_exact=True)


def test_zero_volume_takes_the_last_positive_one():
    bars = make_bars(rows=30)
    zero = bars.copy()
    carried = bars.copy()
    zero.loc[24:25, "volume"] = 0
    carried.loc[24:25, "volume"] = bars["volume"][23]
    for features in SETS:
        pd.testing.assert_frame_equal(features.apply(zero), features.apply(carried))


@pytest.mark.parametrize(
    ("features", "first_row", "columns"),
    [
        ("returns", 19, ["log_return", "log_volume", "log_range"]),
        ("slides", 0, ["close", "volume", "high_low"]),
        ("none", 0, []),
    ],
)
def test_the_series_frame_leaves_out_rows_without_their_past(features, first_row, columns):
    bars = make_bars(("A", "B"), rows=30)
    frame = build_series_frame(bars, TARGETS["range"], FEATURE_SETS[features])
    assert list(frame.columns) == ["unique_id", "ds", "y", *columns]
    assert frame.groupby("unique_id")["ds"].min().tolist() == [bars["ds"][first_row]] * 2
    assert len(frame) == 2 * (30 - first_row)


def test_each_symbol_is_computed_by_itself():
    both = build_series_frame(make_bars(("A", "B")), TARGETS["return"], FEATURE_SETS["returns"])
    alone = build_series_frame(make_bars(("A", "B"))[60:], TARGETS["return"], FEATURE_SETS["returns"])
    pd.testing.assert_frame_equal(both[both["unique_id"] == "B"].reset_index(drop=True), alone, check_exact=True)


@pytest.mark.parametrize("bars", [make_bars(rows=19), make_bars().assign(volume=0.0)])
def test_a_symbol_without_rows_is_named(bars):
    with pytest.raises(
        InputError, match=r"bars of A are too few for target 'range' with features 'returns', or without volume"
    ):
        build_series_frame(bars, TARGETS["range"], FEATURE_SETS["returns"])


def predictions_of(bars: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """Return perfect log-return predictions from every cutoff, in a shuffled order."""
    rows = []
    for unique_id, one in bars.groupby("unique_id"):
        returns = TARGETS["close"].apply(one).to_numpy()
        ds = one["ds"].to_numpy()
        for cutoff in range(len(one) - horizon):
            for step in range(1, horizon + 1):
                row = cutoff + step
                rows.append((unique_id, ds[cutoff], ds[row], step, returns[row], returns[row]))
    frame = pd.DataFrame(rows, columns=["unique_id", "cutoff", "ds", "step", "y", "y_hat"])
    return frame.sample(frac=1, random_state=0)


def test_closes_come_back_from_log_returns():
    bars = make_bars(("A", "B"), rows=12)
    predictions = predictions_of(bars, horizon=3)
    inverted = TARGETS["close"].invert(predictions, bars)
    actual = predictions.merge(bars, on=["unique_id", "ds"])["close"].to_numpy()
    np.testing.assert_allclose(inverted["y"], actual, rtol=1e-12)
    np.testing.assert_allclose(inverted["y_hat"], actual, rtol=1e-12)
    pd.testing.assert_frame_equal(inverted.drop(columns=["y", "y_hat"]), predictions.drop(columns=["y", "y_hat"]))


def test_a_forecast_without_actual_values_is_inverted_too():
    bars = make_bars(rows=5)
    forecast = pd.DataFrame(
        {"unique_id": "A", "cutoff": bars["ds"][4], "ds": "later", "step": [1, 2], "y_hat": [0.1, -0.2]}
    )
    inverted = TARGETS["close"].invert(forecast, bars)
    np.testing.assert_allclose(inverted["y_hat"], bars["close"][4] * np.exp([0.1, -0.1]))
    assert "y" not in inverted


def test_a_cutoff_without_a_close_is_named():
    bars = make_bars(rows=5)
    with pytest.raises(InputError, match="no close of A on 2020-01-06"):
        TARGETS["close"].invert(predictions_of(bars, 1), bars[:3])


@pytest.mark.parametrize("name", ["range", "return"])
def test_other_targets_stay_as_they_are(name):
    predictions = predictions_of(make_bars(rows=5), 1)
    pd.testing.assert_frame_equal(TARGETS[name].invert(predictions, make_bars(rows=5)), predictions)


@pytest.mark.parametrize(
    ("name", "y_hat", "last_y", "sentence"),
    [
        ("range", 2 * math.log(0.008), 2 * math.log(0.0113), "s: expected daily volatility 0.8 %, last 1.1 %"),
        ("range", 2 * math.log(1.2), 2 * math.log(0.000123), "s: expected daily volatility 120 %, last 0.012 %"),
        ("return", math.log(1.0005), math.log(0.998), "s: expected daily return +0.05 %, last -0.2 %"),
        ("close", 2510.31, 26891.44, "s: expected daily close 2,510.3, last 26,891"),
        ("close", 1.08321, 0.0, "s: expected daily close 1.0832, last 0.0"),
        ("close", 1e12 + 1234, 1e12, "s: expected daily close 1,000,000,001,234, last 1,000,000,000,000"),
        ("close", 1.0832144, 1.0832139, "s: expected daily close 1.0832144, last 1.0832139"),
        ("range", 2 * math.log(0.00801), 2 * math.log(0.00809), "s: expected daily volatility 0.801 %, last 0.809 %"),
    ],
)
def test_forecasts_are_told_in_words(name, y_hat, last_y, sentence):
    assert TARGETS[name].sentence("s", y_hat, last_y) == sentence


def test_a_sentence_names_the_period():
    assert TARGETS["range"].sentence("s", 0.0, 0.0, "weekly") == "s: expected weekly volatility 100 %, last 100 %"


def test_numbers_show_where_they_differ_unless_it_is_by_a_rounding_error():
    assert told_apart(1.23456, 2.0, digits=3) == ("1.23", "2.0")
    assert told_apart(100.0012, 100.0, digits=3) == ("100.001", "100.0")
    assert told_apart(1.40877628060775, 1.40877628060774, digits=3) == ("1.41", "1.41")
