from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import gatecast
from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.uncertainty import Wanted, calibrated, deviation_of, intervals
from tests.lstm.frames import PLAIN, sine_frame, small_model

DROPOUT = {"dropout": 0.2, "recurrent_dropout": 0.2}


def test_intervals_are_quantiles_of_the_samples():
    columns = intervals(np.arange(101.0)[:, None] * [1, 10], (90, 50))
    assert columns["y_hat"].tolist() == [50, 500]
    np.testing.assert_allclose(columns["y_hat-lo-90"], [5, 50])
    np.testing.assert_allclose(columns["y_hat-hi-90"], [95, 950])
    np.testing.assert_allclose(columns["y_hat-hi-50"], [75, 750])
    assert intervals(np.arange(101.0), (), (0.5, 0.99))["y_hat-q-99"] == 99
    with pytest.raises(InputError, match="between 0 and 100"):
        intervals(np.zeros((2, 1)), (100,))


def test_what_is_asked_for_has_names():
    assert Wanted((80, 97.5, np.int64(50)), (0.1, 0.29, 0.005)).columns == pytest.approx(
        {
            "y_hat-lo-80": 0.1, "y_hat-hi-80": 0.9, "y_hat-lo-97.5": 0.0125, "y_hat-hi-97.5": 0.9875,
            "y_hat-lo-50": 0.25, "y_hat-hi-50": 0.75, "y_hat-q-10": 0.1, "y_hat-q-29": 0.29, "y_hat-q-0.5": 0.005,
        }
    )  # fmt: skip
    assert Wanted((), ()).columns == {}


@pytest.mark.parametrize("level", [(0,), (100,), (80, -5), (float("nan"),), (80, 80.0), 80, ("80",), (True,), (None,)])
def test_a_level_that_is_none_is_refused_in_one_sentence(level):
    with pytest.raises(InputError) as error:
        Wanted(level)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("quantiles", [(0,), (1.0,), (10,), (float("nan"),), (0.1, 0.5, 0.1), 0.5])
def test_a_quantile_that_is_none_is_refused_in_one_sentence(quantiles):
    with pytest.raises(InputError) as error:
        Wanted((), quantiles)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dropped_deviation", [0.0, 0.6, 3.0])
def test_samples_of_dropout_vary_as_much_as_the_errors_whatever_is_dropped(rng, dropped_deviation):
    dropped = 5 + dropped_deviation * np.array([1.0, 2.0])[:, None] * rng.normal(size=(4_000, 2, 3))
    errors = rng.normal(size=(4_000, 2, 3))
    samples = calibrated(dropped, np.full((2, 3), 7.0), np.array([1.0, 2.0]), errors)
    np.testing.assert_allclose(samples.std(axis=0), np.repeat([[1.0], [2.0]], 3, axis=1), rtol=0.05)
    np.testing.assert_allclose(samples.mean(axis=0), 7, atol=0.1)
    if dropped_deviation == 3.0:  # more than the errors: only its form counts
        correlation = np.corrcoef(samples[:, 0, 0], dropped[:, 0, 0])[0, 1]
        assert correlation > 0.99


def test_what_varies_more_with_dropout_has_wider_samples(rng):
    dropped = np.array([0.2, 0.8])[:, None] * rng.normal(size=(4_000, 2, 1))
    samples = calibrated(dropped, np.zeros((2, 1)), np.ones(2), rng.normal(size=(4_000, 2, 1)))
    assert samples[:, 1].std() > 1.1 * samples[:, 0].std()
    assert samples.var(axis=0).mean() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(
    "settings",
    [DROPOUT, {"weight_dropout": 0.3}, {**DROPOUT, "num_layers": 2, "residual": True, "attention": "dot"},
     {**DROPOUT, "stateful": True, "batch_size": 2}],
    ids=["plain", "weights", "deep", "stateful"],
)  # fmt: skip
def test_prediction_with_samples_has_intervals_and_the_seed_decides(tmp_path, settings):
    model = small_model(horizon=2, **settings).fit(sine_frame(names=("alpha", "beta")))
    forecast = model.predict(n_samples=50, level=(80, 95), seed=3)
    assert list(forecast) == ["unique_id", "ds", "y_hat", "y_hat-lo-80", "y_hat-hi-80", "y_hat-lo-95", "y_hat-hi-95"]
    assert len(forecast) == 4
    ordered = forecast[["y_hat-lo-95", "y_hat-lo-80", "y_hat", "y_hat-hi-80", "y_hat-hi-95"]].to_numpy()
    assert (np.diff(ordered, axis=1) > 0).all()
    plain = model.predict()
    again = gatecast.load(model.save(tmp_path / "model")).predict(n_samples=50, level=(80, 95), seed=3)
    pd.testing.assert_frame_equal(again, forecast)
    assert not model.predict(n_samples=50, seed=4)["y_hat"].equals(forecast["y_hat"])
    pd.testing.assert_frame_equal(model.predict(), plain)  # sampling leaves nothing behind


def test_samples_differ_by_what_is_dropped_and_not_by_noise_alone():
    model = small_model(**DROPOUT, **PLAIN).fit(sine_frame())
    samples, of_errors = (model.sample(n_samples=200, dropout=dropout)[1] for dropout in (True, False))
    assert not np.allclose(samples, of_errors, rtol=1e-4)
    model.calibration = None  # as in a model of before
    _, samples = model.sample(n_samples=4_000, dropout=True)
    noise = np.sqrt(min(record.validation_loss for record in model.history)) * model.scalers["alpha"].scale[0]
    assert samples.std() > 0.97 * noise
    context, _ = model._given(None)
    assert model._ensemble().sample_dropout(context, None, 0.0, 50, seed=0).std() > 0.01 * noise


@pytest.mark.parametrize(
    ("settings", "n_samples", "message"), [({}, 10, "without dropout"), (DROPOUT, 1, "at least 2")]
)
def test_what_cannot_be_sampled_is_refused(settings, n_samples, message):
    model = small_model(max_epochs=1, **settings).fit(sine_frame())
    with pytest.raises(InputError, match=message):
        model.predict(n_samples=n_samples)


def test_most_of_what_follows_lies_within_the_intervals():
    whole = sine_frame(rows=420, noise=0.3)
    model = small_model(hidden_size=8, max_epochs=12, patience=12, **DROPOUT).fit(whole[:300])
    inside = []
    for end in range(310, 420, 2):
        forecast = model.predict(whole[:end], n_samples=60)
        inside.append(bool(forecast["y_hat-lo-90"][0] <= whole["y"][end] <= forecast["y_hat-hi-90"][0]))
    assert 0.8 <= np.mean(inside) <= 1


@pytest.mark.parametrize(
    ("kind", "loss_of"),
    [("mse", np.square), ("mae", np.abs), ("huber", lambda e: np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5))],
)
def test_the_deviation_of_errors_follows_from_their_loss(rng, kind, loss_of):
    errors = 0.3 * rng.normal(size=100_000)
    assert deviation_of(float(np.mean(loss_of(errors))), kind) == pytest.approx(0.3, rel=0.02)
