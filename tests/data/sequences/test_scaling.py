from __future__ import annotations

import json

import numpy as np
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sequences.scaling import Scaler

COLUMNS = ("y", "x")


def make_values(rows: int = 50) -> np.ndarray:
    return np.random.default_rng(0).normal([3, -100], [0.1, 40], (rows, 2))


@pytest.mark.parametrize(
    ("kind", "center", "scale"),
    [
        ("standard", lambda v: v.mean(axis=0), lambda v: v.std(axis=0)),
        ("minmax", lambda v: v.min(axis=0), lambda v: np.ptp(v, axis=0)),
        ("robust", lambda v: np.median(v, axis=0), lambda v: np.subtract(*np.percentile(v, [75, 25], axis=0))),
        ("size", lambda v: np.zeros(2), lambda v: np.abs(v).mean(axis=0)),
        ("none", lambda v: np.zeros(2), lambda v: np.ones(2)),
    ],
)
def test_each_kind_has_its_center_and_scale(kind, center, scale):
    values = make_values()
    scaler = Scaler.fit(values, COLUMNS, kind)
    np.testing.assert_allclose(scaler.center, center(values), rtol=1e-12)
    np.testing.assert_allclose(scaler.scale, scale(values), rtol=1e-12)
    np.testing.assert_allclose(scaler.inverse(scaler.transform(values)), values, rtol=1e-12)


@pytest.mark.parametrize("kind", ["standard", "minmax", "robust"])
def test_a_constant_column_has_scale_one(kind):
    scaler = Scaler.fit(np.full((5, 1), 7.0), ("y",), kind)
    assert scaler.scale.tolist() == [1.0]
    assert scaler.transform(np.array([[7.0]])).tolist() == [[0.0]]


def test_a_column_of_zeros_has_size_one():
    scaler = Scaler.fit(np.zeros((5, 1)), ("y",), "size")
    assert (scaler.center.tolist(), scaler.scale.tolist(), scaler.is_constant) == ([0.0], [1.0], True)
    assert scaler.of_forecasts == (0.0, 0.0)


def test_a_constant_that_is_divided_by_its_size_keeps_its_sign():
    scaler = Scaler.fit(np.full((5, 1), -7.0), ("y",), "size")
    assert scaler.scale.tolist() == [7.0]
    for each in (scaler, Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))):
        assert each.constant == -1.0
        assert each.of_forecasts == (-7.0, 0.0)


@pytest.mark.parametrize(
    ("kind", "theirs", "center", "scale"),
    [
        ("standard", "StandardScaler", lambda s: s.mean_, lambda s: s.scale_),
        ("minmax", "MinMaxScaler", lambda s: s.data_min_, lambda s: 1 / s.scale_),
        ("robust", "RobustScaler", lambda s: s.center_, lambda s: s.scale_),
    ],
)
def test_scalers_are_those_of_scikit_learn(kind, theirs, center, scale):
    from sklearn import preprocessing

    values = np.column_stack([make_values(), np.full(50, 0.1), np.full(50, 1e9), np.zeros(50)])
    reference = getattr(preprocessing, theirs)().fit(values)
    scaler = Scaler.fit(values, tuple("abcde"), kind)
    np.testing.assert_allclose(scaler.center, center(reference), rtol=1e-12)
    np.testing.assert_allclose(scaler.scale, scale(reference), rtol=1e-12)


def test_json_round_trip_keeps_every_bit():
    scaler = Scaler.fit(make_values(), COLUMNS)
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    assert (again.kind, again.columns) == (scaler.kind, scaler.columns)
    assert again.center.tobytes() == scaler.center.tobytes()
    assert again.scale.tobytes() == scaler.scale.tobytes()


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="Unknown scaling 'max'; choose one of standard, minmax, robust, size, none"):
        Scaler.fit(make_values(), COLUMNS, "max")  # type: ignore[arg-type]


def test_no_rows_are_refused():
    with pytest.raises(InputError, match="at least one training row"):
        Scaler.fit(make_values(0), COLUMNS)


@pytest.mark.parametrize("kind", ["standard", "minmax", "robust", "none"])
@pytest.mark.parametrize(("value", "words"), [(1e155, "too large to scale, 1e\\+155"), (-1e300, "too large")])
def test_a_value_whose_square_is_infinite_is_refused_with_its_column(kind, value, words):
    values = make_values()
    values[3, 1] = value
    with pytest.raises(InputError, match=f"^shop has a value of {COLUMNS[1]} that is {words}"):
        Scaler.fit(values, COLUMNS, kind, "shop")


@pytest.mark.parametrize("factor", [1e-300, 5e-324])
def test_values_whose_squares_vanish_are_refused_with_their_column(factor):
    values = make_values()
    values[:, 1] *= factor
    with pytest.raises(InputError, match=f"^shop has values of {COLUMNS[1]} that are too small to scale"):
        Scaler.fit(values, COLUMNS, "standard", "shop")


@pytest.mark.parametrize("factor", [1e145, 1e-140])
def test_unusual_units_are_scaled_as_usual_ones(factor):
    usual, unusual = (Scaler.fit(values, COLUMNS) for values in (make_values(), make_values() * factor))
    np.testing.assert_allclose(
        unusual.transform(make_values() * factor), usual.transform(make_values()), rtol=1e-9, atol=1e-9
    )
