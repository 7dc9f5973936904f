"""Forecasts of transformed values: `Forecaster` with a transform."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast.data.errors import InputError
from gatecast.data.sequences.sequences import build_sequences
from gatecast.data.sequences.splits import TEST, VALIDATION, SplitSettings
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.recipe import recipe_of, sequence_settings
from gatecast.lstm.models import load

SPLIT = SplitSettings(validation_fraction=0.15, test_fraction=0.15)
ROWS = 160


def growing(names=("a", "b"), seed=0):
    """Seasons whose deviations grow with their level."""
    rng = np.random.default_rng(seed)
    steps = np.arange(ROWS)
    logs = 3 + 0.02 * steps + 0.3 * np.sin(2 * np.pi * steps / 12)
    ds = pd.date_range("2000-01-01", periods=ROWS)
    return pd.concat(
        pd.DataFrame({"unique_id": name, "ds": ds, "y": np.exp(k + logs + 0.2 * rng.normal(size=ROWS))})
        for k, name in enumerate(names)
    ).reset_index(drop=True)


def small(transform="log", **changes):
    settings = {"lookback": 12, "horizon": 3, "hidden_size": 4, "max_epochs": 2, "season": "none", "residual": "last"}
    return Forecaster(**{**settings, "transform": transform, **changes})


@pytest.fixture(scope="module")
def frame():
    return growing()


@pytest.mark.parametrize("loss", ["mse", "mae"])
def test_logarithms_within_are_logarithms_without(frame, loss):
    within = small(loss=loss).fit(frame, SPLIT).predict()
    logs = small("none", loss=loss).fit(frame.assign(y=np.log(frame["y"])), SPLIT)
    without = np.exp(logs.predict()["y_hat"])
    if loss == "mae":
        np.testing.assert_allclose(within["y_hat"], without, rtol=1e-6)
    else:
        assert (within["y_hat"] > without * (1 + 1e-4)).all()


def test_the_mean_of_logarithms_is_put_right_by_the_errors_of_the_validation(frame):
    model = small(loss="mse", fit_until="training").fit(frame, SPLIT)
    sequences = build_sequences(
        frame, sequence_settings(model.settings, frame, SPLIT).model_copy(update={"gaps": "mask"})
    )
    corrected = model.predict_windows(sequences, VALIDATION)
    variance, model.step_variance = model.step_variance, None
    medians = model.predict_windows(sequences, VALIDATION)
    errors = np.log(medians["y_hat"]) - np.log(medians["y"])
    scales = medians["unique_id"].map({name: scaler.scale[0] for name, scaler in model.scalers.items()})
    found = (errors / scales).groupby(medians["step"]).var(ddof=0)
    np.testing.assert_allclose(variance, found, rtol=1e-4)
    factors = 1 + variance[medians["step"] - 1] * scales**2 / 2
    np.testing.assert_allclose(corrected["y_hat"], medians["y_hat"] * factors, rtol=1e-9)
    np.testing.assert_allclose(corrected["y"], corrected.merge(frame, on=["unique_id", "ds"])["y_y"], rtol=1e-5)


@pytest.mark.parametrize("transform", ["log", "log1p", "boxcox"])
def test_a_model_forecasts_the_same_after_it_is_loaded(frame, tmp_path, transform):
    model = small(transform, loss="mse").fit(frame, SPLIT)
    again = load(model.save(tmp_path / "model"))
    assert again.step_variance.tolist() == model.step_variance.tolist()
    pd.testing.assert_frame_equal(again.predict(), model.predict())
    new = growing(("c",), seed=1)  # a series that it has not seen
    pd.testing.assert_frame_equal(again.predict(new), model.predict(new))
    assert np.isfinite(model.predict(new)["y_hat"]).all()


def test_an_ensemble_puts_forecasts_together_in_the_unit_of_y(frame, tmp_path):
    model = small("log", loss="mse", n_models=2).fit(frame, SPLIT)
    first, second = (member.predict()["y_hat"] for member in model.members)
    assert model.members[0].step_variance.tolist() != model.members[1].step_variance.tolist()
    np.testing.assert_allclose(model.predict()["y_hat"], (first + second) / 2, rtol=1e-12)
    pd.testing.assert_frame_equal(load(model.save(tmp_path / "model")).predict(), model.predict())


def test_forecasts_that_are_medians_are_not_corrected(frame):
    assert small("none", loss="mse").fit(frame, SPLIT).step_variance is None
    assert small("log", loss="mae").fit(frame, SPLIT).step_variance is None


def test_samples_are_of_y_and_positive(frame):
    model = small("log", loss="mse", dropout=0.2).fit(frame, SPLIT)
    _, samples = model.sample(n_samples=20)
    assert samples.min() > 0
    assert 0.3 < samples.mean() / model.predict()["y_hat"].mean() < 3


@pytest.mark.parametrize("transform", ["log", "log1p", "boxcox"])
def test_what_follows_the_training_changes_no_power_no_scaler_and_no_choice(frame, transform):
    changed = frame.copy()
    late = frame.groupby("unique_id").cumcount() >= ROWS * 0.75
    changed.loc[late, "y"] *= np.random.default_rng(0).uniform(1, 50, late.sum())
    settings = small(transform, season="auto", residual="auto", lookback="auto").settings
    assert recipe_of(settings, frame, SPLIT) == recipe_of(settings, changed, SPLIT)
    before, after = (
        build_sequences(data, sequence_settings(settings, frame, SPLIT)).scalers for data in (frame, changed)
    )
    assert [scaler.to_dict() for scaler in before] == [scaler.to_dict() for scaler in after]
    assert all(scaler.of_y.kind == transform for scaler in before)


@pytest.mark.parametrize(("row", "value"), [(3, -2.0), (ROWS - 1, -1.5)])
@pytest.mark.parametrize("transform", ["log", "log1p", "boxcox"])
def test_a_value_that_has_no_logarithm_ends_the_training_with_its_series(frame, row, value, transform):
    wrong = frame.copy()
    wrong.loc[ROWS + row, "y"] = value
    with pytest.raises(InputError, match=f"^b has a y of {value:g}, but the transform {transform} takes only"):
        small(transform).fit(wrong, SPLIT)


def test_a_value_that_has_no_logarithm_is_not_forecast_from(frame):
    model = small().fit(frame, SPLIT)
    for name in ("b", "new"):
        wrong = growing((name,)).assign(y=0.0)
        with pytest.raises(InputError, match=f"^{name} has a y of 0, but the transform log takes only values above 0"):
            model.predict(wrong)


def test_sequences_of_another_transform_are_refused(frame):
    sequences = build_sequences(frame, sequence_settings(small("none").settings, frame, SPLIT))
    with pytest.raises(InputError, match="The sequences have transform none, but the model has log"):
        small().fit_sequences(sequences)


def test_a_constant_is_forecast_as_that_constant_without_a_correction(frame):
    constant = frame[frame["unique_id"] == "a"].assign(unique_id="flat", y=5.0)
    model = small(loss="mse").fit(pd.concat([frame, constant]), SPLIT)
    y_hat = model.predict().set_index("unique_id")["y_hat"]
    np.testing.assert_allclose(y_hat["flat"], 5.0)


def test_without_a_transform_the_recipe_has_none_and_with_one_it_says_so(frame):
    assert recipe_of(small("auto").settings, frame, SPLIT).settings.transform == "none"
    assert "rows of logarithms, scaled" in recipe_of(small().settings, frame, SPLIT).sentence


def test_test_windows_are_forecast_in_the_unit_of_y(frame):
    model = small("boxcox", loss="mse", max_epochs=5).fit(frame, SPLIT)
    settings = sequence_settings(model.settings, frame, SPLIT).model_copy(update={"gaps": "mask"})
    rows = model.predict_windows(build_sequences(frame, settings, scalers=model.scalers), TEST)
    np.testing.assert_allclose(rows["y"], rows.merge(frame, on=["unique_id", "ds"])["y_y"], rtol=1e-4)
    assert (np.log(rows["y_hat"] / rows["y"])).abs().mean() < 0.5
