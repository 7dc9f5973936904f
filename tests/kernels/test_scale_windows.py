from __future__ import annotations

import numpy as np
import pytest

from gatecast.kernels.window_scaling import SCALINGS, WindowScaling
from tests.conftest import on_device

LOOKBACK = 7
FLOOR = 0.1


def scaled_windows(ops, values, starts, firsts, scaling, horizon, steps=None):
    """Return windows, past, targets, base and spread of the operation."""
    dtype = values.dtype.name
    count = len(starts)
    shapes = {
        "windows": (count, LOOKBACK, values.shape[1] + scaling.indicator),
        "past": (count, LOOKBACK),
        "targets": (count, horizon),
        "base": (count, horizon if steps is None else steps),
        "spread": (count,),
    }
    arrays = {name: on_device(ops, np.full(shape, 99, dtype)) for name, shape in shapes.items()}
    ops.scale_windows(
        on_device(ops, values), on_device(ops, np.array(starts)), on_device(ops, np.array(firsts)), scaling,
        *arrays.values(),
    )  # fmt: skip
    return {name: ops.to_host(array) for name, array in arrays.items()}


def fill_gaps(column, first, season):
    """Fill what is missing, in place, as the documentation has it."""
    known = np.flatnonzero(~np.isnan(column))
    missing = np.flatnonzero(np.isnan(column))
    filled = np.interp(missing, known, column[known]) if len(known) else np.zeros(len(missing))
    filled[missing < (known[0] if len(known) else len(column))] = 0
    for row, value in zip(missing, filled, strict=True):
        before, after = known[known < row], known[known > row]
        gap = (after[0] if len(after) else len(column)) - (before[-1] if len(before) else -1) - 1
        is_long = season > 1 and len(before) and gap > season // 2
        column[row] = column[row - season] if is_long and row - season >= first else value


def expected_windows(values, starts, firsts, scaling, horizon):
    """The same, window by window in float64, as the definitions have it."""
    found = []
    kinds = {number: name for name, number in SCALINGS.items()}
    for start, first in zip(starts, firsts, strict=True):
        rows = np.arange(start, start + LOOKBACK)
        window = np.where(rows[:, None] < first, np.nan, values[np.maximum(rows, 0)].astype(float))
        center, scale = np.zeros(values.shape[1]), np.ones(values.shape[1])
        for j, column in enumerate(window.T):
            known = column[~np.isnan(column)]
            if not len(known):
                continue
            if kinds[scaling.kind] == "last":
                center[j] = known[-1]
            elif kinds[scaling.kind] == "mean":
                scale[j] = max(np.abs(known).mean(), scaling.floor)
            elif kinds[scaling.kind] == "standard":
                center[j], scale[j] = known.mean(), max(known.std(), scaling.floor)
        base = np.full(horizon, center[0])
        for k in range(horizon if scaling.season else 0):
            stride = max(1, scaling.season)
            candidates = window[::-1, 0][(stride - 1 - k % stride) :: stride]
            known = candidates[~np.isnan(candidates)]
            base[k] = known[0] if len(known) else center[0]
        end = start + LOOKBACK
        scaled = (window - center) / scale
        begin = max(0, first - start)
        for column in scaled.T:
            fill_gaps(column, begin, scaling.gap_season)
        if scaling.lag:
            before = np.concatenate([np.full(scaling.lag, np.nan), scaled[: -scaling.lag, 0]])
            before[: begin + scaling.lag] = np.nan
            scaled[:, 0] = np.nan_to_num(scaled[:, 0] - before)
        missing = np.isnan(window[:, :1]).astype(float)
        found.append(
            {
                "windows": np.hstack([scaled, missing]) if scaling.indicator else scaled,
                "past": scaled[:, 0] / np.sqrt(LOOKBACK),
                "targets": (values[end : end + horizon, 0] - base) / scale[0],
                "base": base,
                "spread": scale[0],
            }
        )
    return {name: np.stack([window[name] for window in found]) for name in found[0]}


@pytest.mark.parametrize("kind", SCALINGS)
@pytest.mark.parametrize("season", [0, 1, 3, 7])
@pytest.mark.parametrize("gap_season", [0, 3])
@pytest.mark.parametrize("indicator", [False, True])
@pytest.mark.parametrize("lag", [0, 1, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-12)])
def test_windows_are_as_defined(ops, rng, kind, season, gap_season, indicator, lag, dtype, tolerance):
    values = (3 + rng.normal(size=(40, 2))).astype(dtype)
    values[rng.random(values.shape) < 0.2] = np.nan
    starts = np.array([-5, 3, 14, 25])
    firsts = np.array([0, 0, 17, 17])
    scaling = WindowScaling(SCALINGS[kind], season, FLOOR, indicator, gap_season, lag)
    found = scaled_windows(ops, values, starts, firsts, scaling, 5)
    for name, expected in expected_windows(values, starts, firsts, scaling, 5).items():
        np.testing.assert_allclose(found[name], expected, atol=tolerance, rtol=tolerance, err_msg=name)


def test_without_scaling_the_bits_are_those_of_gathered_windows(ops, rng):
    values = rng.normal(size=(30, 3)).astype("float32")
    starts = np.array([9, 0, 4])
    found = scaled_windows(ops, values, starts, np.zeros(3, np.int64), WindowScaling(0, 0, FLOOR, False), 2)
    np.testing.assert_array_equal(found["windows"], np.stack([values[start : start + LOOKBACK] for start in starts]))
    expected = np.stack([values[start + LOOKBACK : start + LOOKBACK + 2, 0] for start in starts])
    np.testing.assert_array_equal(found["targets"], expected)


def test_a_constant_window_is_divided_by_the_floor(ops):
    values = np.full((20, 1), 5.0)
    values[-2:] = 5.2
    scaling = WindowScaling(SCALINGS["standard"], 0, FLOOR, False)
    found = scaled_windows(ops, values, [11], [0], scaling, 2)
    np.testing.assert_array_equal(found["windows"], np.zeros((1, LOOKBACK, 1)))
    np.testing.assert_allclose(found["targets"], [[2, 2]])


def test_a_window_without_a_known_row_stays_finite(ops):
    values = np.full((20, 1), np.nan)
    scaling = WindowScaling(SCALINGS["standard"], 3, FLOOR, True)
    found = scaled_windows(ops, values, [5], [0], scaling, 2)
    assert (found["windows"][0, :, 0] == 0).all()
    assert (found["windows"][0, :, 1] == 1).all()
    np.testing.assert_array_equal(found["base"], np.zeros((1, 2)))
    assert np.isnan(found["targets"]).all()


@pytest.mark.parametrize("season", [0, 1, 3])
def test_the_forecast_is_put_back_exactly_and_nothing_after_the_window_is_read(ops, rng, season):
    values = rng.normal(size=(20, 1))
    scaling = WindowScaling(SCALINGS["standard"], season, FLOOR, False)
    known = scaled_windows(ops, values, [3], [0], scaling, 4)
    put_back = known["base"] + known["spread"][:, None] * known["targets"]
    np.testing.assert_allclose(put_back, values[10:14].T, atol=1e-14)
    ahead = scaled_windows(ops, np.where(np.arange(20) < 10, values.T, np.nan).T, [3], [0], scaling, 0, steps=4)
    for name in ("windows", "past", "base", "spread"):
        np.testing.assert_array_equal(ahead[name], known[name])


def test_targets_are_weighed_by_row_and_by_step(ops, rng):
    of_rows = rng.random(30)
    of_steps = np.array([1.0, 0.5, 0.0])
    ends = np.array([4, 27, 0, 9])
    weights = on_device(ops, np.full((4, 3), 99.0))
    ops.weigh_targets(on_device(ops, of_rows), on_device(ops, ends), on_device(ops, of_steps), weights)
    np.testing.assert_array_equal(ops.to_host(weights), of_rows[ends[:, None] + np.arange(3)] * of_steps)
