from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.lstm.forecasting.probability import (
    coverage,
    crps,
    crps_of_samples,
    interval_score,
    quantile_name,
    weighted_quantile_loss,
)
from tests.lstm import measures
from tests.lstm.measures import GLUONTS_ACTUAL, GLUONTS_FORECAST, GLUONTS_SCORES, GLUONTS_TRAINING

QUANTILES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


@pytest.fixture
def predictions() -> pd.DataFrame:
    """The example of GluonTS, its series in an order that is not that of their names."""
    y, y_hat = np.ravel(GLUONTS_ACTUAL), np.ravel(GLUONTS_FORECAST)
    frame = pd.DataFrame({"unique_id": np.repeat(["s2", "s0", "s1"], 5), "cutoff": np.tile(range(5), 3), "y": y})
    frame["y_hat"], frame["y_hat-lo-90"], frame["y_hat-hi-90"] = y_hat, (0.4 * y_hat).round(4), (1.9 * y_hat).round(4)
    return frame.assign(**{quantile_name("y_hat", q): ((0.5 + q) * y_hat).round(4) for q in QUANTILES})


def test_a_quantile_has_a_name():
    assert [quantile_name("y_hat", q) for q in (0.1, 0.025, 0.5)] == ["y_hat-q-10", "y_hat-q-2.5", "y_hat-q-50"]


def test_the_weighted_quantile_loss_is_that_of_gluonts(predictions):
    expected = GLUONTS_SCORES["weighted_quantile_loss"]
    assert weighted_quantile_loss(predictions, "y_hat", QUANTILES) == pytest.approx(expected, rel=1e-9)


def test_the_interval_score_by_the_seasonal_error_is_that_of_gluonts(predictions):
    scale = [measures.seasonal_error(training, 4) for training in GLUONTS_TRAINING]
    scores = interval_score(predictions, "y_hat", 90)
    expected = np.array(GLUONTS_SCORES["scaled_interval_score"]) * scale
    np.testing.assert_allclose(scores[["s2", "s0", "s1"]], expected, rtol=1e-9)


def test_coverage_is_the_share_within(predictions):
    inside = (predictions["y"] >= predictions["y_hat-lo-90"]) & (predictions["y"] <= predictions["y_hat-hi-90"])
    expected = inside.groupby(predictions["unique_id"]).mean()
    assert 0 < expected.mean() < 1
    assert coverage(predictions, "y_hat", 90).to_dict() == expected.to_dict()


def test_a_zero_actual_counts(predictions):
    zeros = predictions.assign(y=0.0)
    assert np.isnan(weighted_quantile_loss(zeros, "y_hat", QUANTILES))
    assert (crps(zeros, "y_hat", QUANTILES) > 0).all()
    assert (coverage(zeros, "y_hat", 90) == 0).all()


def test_the_score_of_quantiles_nears_that_of_the_distribution(rng):
    """A standard normal forecast of 0.3: the closed form is that of Gneiting & Raftery (2007), eq. 5."""
    from scipy.stats import norm

    quantiles = (np.arange(500) + 0.5) / 500
    names = {quantile_name("y_hat", q): [norm.ppf(q)] for q in quantiles}
    frame = pd.DataFrame({"unique_id": "x", "y": [0.3], **names})
    expected = 0.3 * (2 * norm.cdf(0.3) - 1) + 2 * norm.pdf(0.3) - 1 / np.sqrt(np.pi)
    assert crps(frame, "y_hat", quantiles)["x"] == pytest.approx(expected, rel=2e-3)
    assert crps_of_samples(np.array([0.3]), rng.normal(size=(40_000, 1)))[0] == pytest.approx(expected, rel=2e-2)


def test_the_score_of_samples_is_that_of_all_pairs(rng):
    y, samples = rng.normal(size=4), rng.normal(size=(9, 4)).round(1)
    expected = [measures.crps_of_samples(y[k], samples[:, k]) for k in range(4)]
    np.testing.assert_allclose(crps_of_samples(y, samples), expected, rtol=1e-12)
    np.testing.assert_allclose(crps_of_samples(y, samples[:1]), np.abs(samples[0] - y), rtol=1e-12)
