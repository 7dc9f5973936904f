from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import gatecast
from gatecast.data.errors import InputError
from gatecast.lstm.forecasting.uncertainty import deviation_of, draw_samples, intervals
from tests.lstm.frames import PLAIN, sine_frame, small_model

DROPOUT = {"dropout": 0.2, "recurrent_dropout": 0.2}


def test_intervals_are_quantiles_of_the_samples():
    columns = intervals(np.arange(101.0)[:, None] * [1, 10], (90, 50))
    assert columns["y_hat"].tolist() == [50, 500]
    np.testing.assert_allclose(columns["y_hat-lo-90"], [5, 50])
    np.testing.assert_allclose(columns["y_hat-hi-90"], [95, 950])
    np.testing.assert_allclose(columns["y_hat-hi-50"], [75, 750])
    with pytest.raises(ValueError, match="between 0 and 100"):
        intervals(np.zeros((2, 1)), (100,))


def test_samples_hold_what_the_network_does_not_know_and_the_noise():
    steps = []

    def predict(step):
        steps.append(step)
        return np.array([step % 2 * 2.0 - 1])

    samples = draw_samples(predict, 0.0, 4000, seed=1)
    assert len(set(steps)) == 4000
    assert samples.std() == pytest.approx(1, rel=0.01)
    assert draw_samples(predict, 1.0, 4000, seed=1).var() == pytest.approx(2, rel=0.05)


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
    _, samples = model.sample(n_samples=200)
    noise = np.sqrt(min(record.validation_loss for record in model.history)) * model.scalers["alpha"].scale[0]
    assert samples.std() > 1.01 * noise


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
