from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatecast.data.errors import InputError
from gatecast.data.sequences.scaling import Scaler, scale, scale_all, unscale_y
from gatecast.data.sequences.transforms import AS_IS, YTransform, back, transformed

KINDS = ["log", "log1p", "boxcox"]
COLUMNS = ("y", "x")


def make_values(rows: int = 60, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([np.exp(rng.normal(4, 1, rows)), rng.normal(-5, 2, rows)])


@pytest.mark.parametrize("kind", ["none", *KINDS])
@pytest.mark.parametrize("scaling", ["standard", "size", "none"])
def test_y_alone_is_transformed_before_it_is_scaled_and_comes_back(kind, scaling):
    values = make_values()
    values[7, 0] = np.nan
    scaler = Scaler.fit(values, COLUMNS, scaling, transform=kind)
    scaled = scaler.transform(values)
    np.testing.assert_allclose(scaler.inverse(scaled), values, rtol=1e-9)
    plain = Scaler.fit(values, COLUMNS, scaling)
    np.testing.assert_array_equal(scaled[:, 1], plain.transform(values)[:, 1])
    if kind == "log":
        logs = np.column_stack([np.log(values[:, 0]), values[:, 1]])
        np.testing.assert_allclose(scaled, Scaler.fit(logs, COLUMNS, scaling).transform(logs), rtol=1e-12)


@given(
    st.sampled_from(KINDS),
    st.floats(-1, 2),
    st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=20),
)
def test_every_value_comes_back(kind, power, y):
    values = np.array(y)
    # A power takes the last digits of values far from 1: of 1e4 ** -1, what is added to 1.
    np.testing.assert_allclose(back(kind, transformed(kind, values, power), power), values, rtol=1e-6)


def test_the_power_of_a_series_is_the_likeliest():
    from scipy.stats import boxcox

    y = make_values()[:, 0] ** 3
    power = YTransform.fit(y, "boxcox", "a").power
    assert power == pytest.approx(boxcox(y)[1], abs=1e-4)
    assert YTransform.fit(y * 1000, "boxcox", "a").power == pytest.approx(power, abs=1e-6)
    # One within the bounds, though the best one without is not.
    assert -1 <= YTransform.fit(np.exp(np.exp(np.linspace(0, 3, 50))), "boxcox", "a").power <= 2


def test_a_constant_has_a_power_too():
    scaler = Scaler.fit(np.full((5, 1), 7.0), ("y",), transform="boxcox")
    assert scaler.is_constant
    np.testing.assert_allclose(scaler.inverse(np.zeros((1, 1))), [[7.0]])
    corrected = unscale_y(np.zeros((1, 2)), [scaler], np.array([0]), np.ones(2))
    np.testing.assert_allclose(corrected, [[7.0, 7.0]])  # it has no errors to correct for


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, -3.5])
def test_a_value_without_a_logarithm_is_named_with_its_series_and_the_mend(kind, value):
    if (kind, value) == ("log1p", 0.0):
        value = -1.0
    values = make_values()
    scaler = Scaler.fit(values, COLUMNS, transform=kind)
    values[3, 0] = value
    bound = -1 if kind == "log1p" else 0
    message = f"^shop has a y of {value:g}, but the transform {kind} takes only values above {bound}; correct the value"
    with pytest.raises(InputError, match=message):
        Scaler.fit(values, COLUMNS, series="shop", transform=kind)
    with pytest.raises(InputError, match=message):
        scale("shop", values, scaler)
    both = np.vstack([make_values(), values])
    with pytest.raises(InputError, match=message):
        scale_all(["other", "shop"], both, np.array([0, 60, 120]), [scaler, scaler])


@pytest.mark.parametrize(("value", "other"), [(0.0, "log1p or none"), (-2.0, "none")])
def test_a_transform_that_takes_the_value_is_offered(value, other):
    with pytest.raises(InputError, match=f"or choose the transform {other}\\.$"):
        Scaler.fit(np.array([[1.0], [value]]), ("y",), transform="log")


def test_log1p_takes_zeros():
    values = np.array([[0.0], [1.0], [3.0]])
    scaler = Scaler.fit(values, ("y",), "none", transform="log1p")
    np.testing.assert_allclose(scaler.transform(values)[:, 0], np.log([1, 2, 4]))


@pytest.mark.parametrize("kind", KINDS)
def test_several_series_are_scaled_at_once_as_one_by_one(kind):
    parts = [make_values(40, 1), make_values(25, 2) ** 2]
    scalers = [Scaler.fit(part, COLUMNS, transform=kind) for part in parts]
    scaled = scale_all(["a", "b"], np.vstack(parts), np.array([0, 40, 65]), scalers)
    expected = np.vstack([scale("a", part, scaler) for part, scaler in zip(parts, scalers, strict=True)])
    np.testing.assert_array_equal(scaled, expected)
    series = np.repeat([0, 1], [40, 25])
    np.testing.assert_allclose(unscale_y(scaled[:, 0], scalers, series), np.vstack(parts)[:, 0], rtol=1e-4)


def test_a_forecast_of_logarithms_becomes_a_mean():
    rng = np.random.default_rng(0)
    deviation = 0.3
    y = np.exp(2 + deviation * rng.normal(size=200_000))
    assert back("log", np.array(2.0), 0.0, deviation**2) == pytest.approx(y.mean(), rel=2e-3)
    assert back("log1p", np.array(2.0), 0.0, deviation**2) == pytest.approx(y.mean() - 1, rel=2e-3)
    assert back("log", np.array(2.0), 0.0) == pytest.approx(np.median(y), rel=2e-3)


@pytest.mark.parametrize("power", [-0.3, 0.0, 0.5, 1.0, 1.5])
def test_a_forecast_of_powers_becomes_a_mean(power):
    w = 1.0 + 0.1 * np.random.default_rng(0).normal(size=200_000)
    y = back("boxcox", w, power)
    found = back("boxcox", np.array(1.0), power, 0.1**2)
    assert found == pytest.approx(y.mean(), rel=2e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("power", [-1.0, -1e-9, 0.0, 1e-9, 0.5, 2.0])
def test_forecasts_stay_finite(kind, power):
    y = back(kind, np.array([-1e30, -1e5, -2.0, 0.0, 5.0, 1e5, 1e30]), power, 1e10)
    assert np.isfinite(y).all()
    assert (np.diff(y) >= 0).all() or kind == "boxcox"
    assert np.isnan(back(kind, np.array([np.nan]), power, 1.0)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaler_is_the_same_after_json(kind):
    scaler = Scaler.fit(make_values(), COLUMNS, transform=kind)
    assert Scaler.from_dict(json.loads(json.dumps(scaler.to_dict()))).of_y == scaler.of_y


def test_a_scaler_without_transform_is_described_as_ever():
    state = Scaler.fit(make_values(), COLUMNS).to_dict()
    assert set(state) == {"kind", "columns", "center", "scale"}
    assert Scaler.from_dict(state).of_y == AS_IS


def test_an_unknown_transform_is_refused():
    with pytest.raises(InputError, match="Unknown transform 'sqrt'; choose one of none, log, log1p, boxcox"):
        Scaler.fit(make_values(), COLUMNS, transform="sqrt")  # type: ignore[arg-type]
    state = Scaler.fit(make_values(), COLUMNS, transform="log").to_dict()
    with pytest.raises(ValueError, match="a known kind"):
        Scaler.from_dict({**state, "of_y": {"kind": "sqrt", "power": 0.0}})
