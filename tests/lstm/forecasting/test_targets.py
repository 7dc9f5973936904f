"""What training makes of targets: their weights, differences, and what is learnt of each series."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gatecast import Forecaster, load
from gatecast.data.errors import InputError, SettingsError
from gatecast.data.sequences.sequences import build_sequences
from gatecast.data.sequences.splits import VALIDATION, SplitSettings
from gatecast.lstm.forecasting.prediction import window_loss
from gatecast.lstm.forecasting.reader import WindowReader
from gatecast.lstm.forecasting.recipe import sequence_settings
from gatecast.lstm.forecasting.target_weights import TargetWeights

SIZES = {"hidden_size": 4, "max_epochs": 3, "horizon": 3, "lookback": 14, "season": 7, "residual": "seasonal"}

STATEFUL = {"stateful": True, "residual": "auto", "season": "auto"}


def frame(rows=160, names=("a", "b"), seed=0):
    generator = np.random.default_rng(seed)
    ds = pd.date_range("2020-01-01", periods=rows)
    season = np.sin(2 * np.pi * np.arange(rows) / 7)
    return pd.concat(
        [
            pd.DataFrame(
                {"unique_id": name, "ds": ds, "y": 10 + k + season + 0.3 * generator.normal(size=rows), "w": 1.0}
            )
            for k, name in enumerate(names)
        ],
        ignore_index=True,
    )


@pytest.mark.parametrize("fit_until", ["training", "validation"])
@pytest.mark.parametrize("options", [{}, {"loss": "mse", "transform": "log"}])
def test_what_weighs_nothing_is_not_learnt(fit_until, options):
    data = frame()
    data.loc[data["unique_id"] == "b", "w"] = 0
    changed = data.copy()
    is_b = data["unique_id"] == "b"
    changed.loc[is_b, "y"] = 1 + abs(9 * np.random.default_rng(1).normal(size=is_b.sum()).cumsum())
    forecasts = []
    for each in (data, changed):
        model = Forecaster(**SIZES, **options, weight_column="w", fit_until=fit_until).fit(each)
        forecasts.append(model.predict(data[~is_b])["y_hat"])
    pd.testing.assert_series_equal(*forecasts, check_exact=True)
    settings = {**SIZES, **options, "fit_until": fit_until}
    unweighted = [Forecaster(**settings).fit(each.drop(columns="w")) for each in (data, changed)]
    ours, theirs = (model.predict(data[~is_b])["y_hat"] for model in unweighted)
    assert (ours - theirs).abs().max() > 1e-4


@pytest.mark.parametrize("factor", [1e-29, 1e-6, 2.0, 1e29])
def test_only_the_ratios_of_weights_count(factor):
    data = frame().assign(w=np.random.default_rng(3).uniform(0.5, 2, 320))
    first, second = (
        Forecaster(**SIZES, weight_column="w").fit(data.assign(w=data["w"] * each)).predict()["y_hat"]
        for each in (1.0, factor)
    )
    np.testing.assert_allclose(first, second, rtol=1e-5)


@pytest.mark.parametrize("weight", [1e-300, 1e300])
def test_only_the_ratios_of_the_weights_of_steps_count(weight):
    data = frame().drop(columns="w")
    first, second = (
        Forecaster(**SIZES, step_weights=weights, learning_rate=0.01).fit(data).predict()["y_hat"]
        for weights in ((1, 0, 1), (weight, 0, weight))
    )
    pd.testing.assert_series_equal(first, second, check_exact=True)


@pytest.mark.parametrize("loss", ["mse", "mae"])
def test_the_validation_loss_is_the_weighted_mean(loss):
    data = frame()
    data["w"] = np.random.default_rng(2).integers(0, 3, len(data)).astype(float)
    model = Forecaster(**SIZES, loss=loss, weight_column="w", step_weights=(1, 0, 2), dtype="float64")
    sequences = build_sequences(data, sequence_settings(model.settings, data, SplitSettings()))
    model.fit_sequences(sequences)
    windows = sequences.windows_of(VALIDATION)
    reader = WindowReader(model.network, model.chosen, model.scaling, sequences)
    weights = TargetWeights.of(model.chosen, sequences, model.network.ops)
    found = window_loss(reader, windows.series, windows.end, weights)
    scaled = reader.read(windows.series, windows.end, known=True)
    errors = np.asarray(reader.forward(scaled, windows.series)) - np.asarray(scaled.targets)
    losses = errors**2 if loss == "mse" else np.abs(errors)
    of_targets = sequences.weights[windows.end[:, None] + np.arange(3)] * np.array([1, 0, 2])
    assert found == pytest.approx((of_targets * losses).sum() / of_targets.sum(), rel=1e-9)


def test_a_step_that_weighs_nothing_stays_as_the_network_began():
    data = frame().drop(columns="w")
    trained, begun = (
        Forecaster(**SIZES, step_weights=(1, 1, 0), fit_until="training", learning_rate=rate).fit(data).predict()
        for rate in (3e-3, 1e-12)
    )
    moved = (trained["y_hat"] - begun["y_hat"]).abs().to_numpy().reshape(-1, 3)
    assert moved[:, :2].max() > 1e-4
    assert moved[:, 2].max() < 2e-3  # weight decay alone


def test_the_beginning_is_chosen_by_the_steps_that_count():
    """The next row follows from the one before, and what comes after it is noise: another penalty suits each."""
    generator = np.random.default_rng(5)
    y = generator.normal(size=240)
    y[1::2] = y[::2]
    data = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2020-01-01", periods=240), "y": y})
    settings = {**SIZES, "season": "none", "residual": "none", "fit_until": "training", "learning_rate": 1e-12}
    first, second, third = (
        Forecaster(**settings, step_weights=weights).fit(data).predict()["y_hat"].to_numpy()
        for weights in ((1, 0, 0), (0, 0, 1), (1, 0, 1e-9))
    )
    assert abs(first - second).max() > 1e-3
    np.testing.assert_allclose(first, third, rtol=1e-6)


def promotions(rows=600, seed=0):
    """A covariate that moves the next value of one series up and of the other down; their windows look alike."""
    generator = np.random.default_rng(seed)
    parts = []
    for name, effect in (("up", 3.0), ("down", -3.0)):
        promotion = (generator.random(rows) < 0.3).astype(float)
        y = 0.3 * generator.normal(size=rows) + effect * np.concatenate([[0.0], promotion[:-1]])
        ds = pd.date_range("2020-01-01", periods=rows)
        parts.append(pd.DataFrame({"unique_id": name, "ds": ds, "y": y, "promotion": promotion}))
    return pd.concat(parts, ignore_index=True)


def test_a_vector_of_each_series_tells_series_apart_whose_windows_look_alike(tmp_path):
    data = promotions()
    settings = {
        "lookback": 2, "horizon": 1, "hidden_size": 8, "season": "none", "window_scaling": "none", "max_epochs": 30,
        "linear_skip": "none", "learning_rate": 0.02, "loss": "mse", "scaling": "none", "residual": "none",
    }  # fmt: skip
    errors = {}
    for size in (0, 2):
        model = Forecaster(**settings, series_embedding=size).fit(data)
        sequences = build_sequences(
            data, sequence_settings(model.settings, data, SplitSettings(test_fraction=0)), scalers=model.scalers
        )
        rows = model.predict_windows(sequences, VALIDATION)
        errors[size] = float(np.sqrt(((rows["y_hat"] - rows["y"]) ** 2).mean()))
    assert errors[2] < 0.7 * errors[0]
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.predict(), model.predict())
    shuffled = pd.concat([of_series for _, of_series in list(data.groupby("unique_id"))[::-1]])
    by_name = [each.set_index("unique_id")["y_hat"].sort_index() for each in (model.predict(shuffled), model.predict())]
    pd.testing.assert_series_equal(*by_name)
    # A series that it does not know has no vector: neither up nor down.
    unknown = model.predict(data.assign(unique_id=data["unique_id"] + " too"))
    assert len(unknown) == 2


def test_a_vector_is_of_one_series_so_a_start_needs_the_same_ones():
    data = frame().drop(columns="w")
    options = {**SIZES, "series_embedding": 2, "fit_until": "training"}
    first = Forecaster(**options).fit(data)
    Forecaster(**options).fit(data, start=first)
    with pytest.raises(InputError, match="has learnt a vector for each of its series"):
        Forecaster(**options).fit(data.replace({"unique_id": {"b": "c"}}), start=first)
    with pytest.raises(InputError, match="trained on rows without missing values, and the data has some; start from"):
        Forecaster(**options).fit(data.assign(y=data["y"].where(data.index != 50)), start=first)


def test_differences_of_logarithms_follow_a_trend_that_grows():
    """Air passengers are of this kind: a trend, and a season that grows with it."""
    t = np.arange(144)
    generator = np.random.default_rng(0)
    y = np.exp(4.8 + 0.01 * t + 0.2 * np.sin(2 * np.pi * t / 12) + 0.03 * generator.normal(size=len(t)))
    data = pd.DataFrame({"unique_id": "air", "ds": pd.date_range("1949-01-01", periods=len(t), freq="MS"), "y": y})
    known, after = data.iloc[:-12], data["y"].iloc[-12:].to_numpy()
    last = known["y"].iloc[-1]
    for differences in ("first", "seasonal"):
        model = Forecaster(horizon=12, transform="log", differences=differences, season=12, lookback=24, seed=1)
        model.fit(known)
        assert model.chosen.residual == {"first": "last", "seasonal": "seasonal"}[differences]
        error = np.sqrt(np.mean((model.predict()["y_hat"].to_numpy() - after) ** 2))
        assert error < 0.5 * np.sqrt(np.mean((last - after) ** 2)), differences


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step_weights": (1, 1)}, "step_weights has 2 numbers for a horizon of 3; give one for each step ahead"),
        ({"step_weights": (0, 0, 0)}, "step_weights are all 0"),
        ({"differences": "first", "residual": "seasonal"}, "differences first are added to the residual last"),
        ({**STATEFUL, "weight_column": "w"}, "leave weight_column out"),
        ({**STATEFUL, "series_embedding": 2}, "leave series_embedding out"),
        ({**STATEFUL, "differences": "first"}, "leave differences out"),
    ],
)
def test_what_does_not_fit_together_is_told(settings, message):
    with pytest.raises(SettingsError, match=message):
        Forecaster(**{**SIZES, **settings})


def test_differences_over_a_season_need_more_than_a_season():
    with pytest.raises(InputError, match="differences seasonal needs a season within a window, but none of 14 rows"):
        Forecaster(**{**SIZES, "residual": "auto", "season": 14}, differences="seasonal").fit(frame().drop(columns="w"))


def test_a_lookback_left_to_the_data_has_room_for_differences_over_a_season():
    t = np.arange(72)
    data = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2020-01-31", periods=72, freq="ME")})
    data["y"] = 20 + np.sin(2 * np.pi * t / 12) + 0.1 * np.random.default_rng(0).normal(size=72)
    lookbacks = {
        differences: Forecaster(horizon=3, hidden_size=2, max_epochs=1, season=12, differences=differences)
        .fit(data)
        .chosen.lookback
        for differences in ("none", "seasonal")
    }
    assert lookbacks == {"none": 12, "seasonal": 24}


@pytest.mark.parametrize(
    "settings",
    [
        {"differences": "first"},
        {"differences": "seasonal", "transform": "log", "n_models": 2},
        {"weight_column": "w", "loss": "mse", "transform": "boxcox"},
        {"series_embedding": 2, "step_weights": (1, 2, 3)},
    ],
)
def test_what_follows_the_validation_changes_nothing_before_it(settings):
    data = frame()
    generator = np.random.default_rng(4)
    data["w"] = generator.uniform(0, 2, len(data))
    is_future = (data.groupby("unique_id").cumcount() >= 128).to_numpy()
    changed = data.copy()
    for column in ("y", "w"):
        changed.loc[is_future, column] = 3 * generator.permutation(data.loc[is_future, column])
    found = []
    for each in (data, changed):
        known = each if "weight_column" in settings else each.drop(columns="w")
        model = Forecaster(horizon=3, hidden_size=4, max_epochs=2, **settings)
        sequences = build_sequences(known, sequence_settings(model.settings, known, SplitSettings()))
        model.fit_sequences(sequences)
        found.append((model.chosen, model.predict_windows(sequences, VALIDATION)))
    (first, forecasts), (second, others) = found
    assert first == second
    pd.testing.assert_frame_equal(forecasts, others, check_exact=True)
