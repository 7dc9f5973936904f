from __future__ import annotations

import math

import numba
import numpy as np
import pytest

from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.batches import StreamBatches, WindowBatches
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.training.loop import EpochRecord, TrainingError, fit

SETTINGS = ForecasterSettings(
    schedule="cosine",
    steps_per_epoch=None,
    lookback=6,
    hidden_size=5,
    learning_rate=0.02,
    batch_size=8,
    max_epochs=4,
    patience=4,
    seed=3,
)


def series(rows=80):
    angle = np.arange(rows) * 2 * np.pi / 9
    return np.stack([np.sin(angle), np.cos(angle)], axis=1).astype("float32")


def build(settings=SETTINGS, stateful=False, rows=80, seed=0):
    """Network, batches and validation (on the training windows) for a sine."""
    network = Network(2, 1, settings.model_copy(update={"seed": seed}))
    values = series(rows)
    ends = np.arange(settings.lookback, rows - 1)
    options = {"lookback": settings.lookback, "horizon": 1, "batch_size": settings.batch_size}
    options |= {"seed": settings.seed, "ops": network.ops}
    windows = WindowBatches(values, ends, **options)
    batches = StreamBatches(values, np.zeros(len(ends), int), ends, **options) if stateful else windows
    whole = windows.gather(*(network.ops.as_array(rows, "int64") for rows in windows.places(1)))

    def validate():
        return float(np.mean((network.forward(whole.x)[0] - whole.y) ** 2))

    return network, batches, validate


def script(*losses):
    """A validation that returns given losses."""
    remaining = iter(losses)
    return lambda: next(remaining)


@pytest.mark.parametrize("stateful", [False, True])
def test_loss_falls_on_a_series_that_can_be_learnt(stateful):
    settings = SETTINGS.model_copy(update={"max_epochs": 25, "patience": 25})
    network, batches, validate = build(settings, stateful)
    snapshot = fit(network, batches, validate, settings)
    first, last = snapshot.history[0], snapshot.history[-1]
    assert last.train_loss < 0.2 * first.train_loss
    assert last.validation_loss < 0.2 * first.validation_loss


@pytest.mark.parametrize("stateful", [False, True])
def test_the_state_is_carried_from_batch_to_batch_of_an_epoch_where_stateful(monkeypatch, stateful):
    network, batches, _ = build(stateful=stateful, rows=300)
    calls = []
    forward = network.forward

    def recording(x, state=None, **options):
        y_hat, after = forward(x, state, **options)
        calls.append((state, after))
        return y_hat, after

    monkeypatch.setattr(network, "forward", recording)
    epochs = []
    fit(network, batches, lambda: 1.0, SETTINGS, on_epoch=lambda record, _: epochs.append(len(calls)))
    assert epochs[0] > 1
    for number, (state, _) in enumerate(calls):
        begins = number in (0, *epochs)
        assert state is (None if begins or not stateful else calls[number - 1][1])


def test_the_history_says_what_happened():
    network, batches, validate = build()
    seen = []
    snapshot = fit(network, batches, validate, SETTINGS, on_epoch=lambda record, _: seen.append(record))
    assert tuple(seen) == snapshot.history
    assert [record.epoch for record in seen] == [1, 2, 3, 4]
    assert [record.step for record in seen] == [batches.steps_per_epoch * epoch for epoch in (1, 2, 3, 4)]
    assert all(record.seconds > 0 and record.gradient_norm > 0 for record in seen)
    rates = [record.learning_rate for record in seen]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(SETTINGS.learning_rate / 20)
    assert "seconds" not in seen[0].to_dict()
    assert EpochRecord(**seen[0].to_dict()) == seen[0]
    assert math.isnan(EpochRecord(**seen[0].to_dict()).seconds)


def test_training_stops_when_validation_has_not_improved_for_patience_epochs():
    settings = SETTINGS.model_copy(update={"max_epochs": 30, "patience": 3})
    network, batches, _ = build(settings)
    snapshot = fit(network, batches, script(5.0, 3.0, 4.0, 3.0, 3.5, 0.0), settings)
    assert [record.best for record in snapshot.history] == [True, True, False, False, False]
    assert snapshot.best_epoch == 2


def test_training_stops_at_max_epochs():
    network, batches, _ = build()
    assert len(fit(network, batches, script(5.0, 4.0, 3.0, 2.0, 1.0), SETTINGS).history) == 4


def test_the_network_ends_with_its_best_weights():
    network, batches, _ = build()
    weights = []
    losses = script(5.0, 3.0, 4.0, 6.0)
    snapshot = fit(network, batches, losses, SETTINGS, on_epoch=lambda _, snapshot: weights.append(snapshot.values))
    assert np.array_equal(network.parameters.values, weights[1])
    assert np.array_equal(snapshot.best_values, weights[1])
    assert np.array_equal(snapshot.values, weights[3])
    assert not np.array_equal(weights[1], weights[3])


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_validation_loss_that_is_not_finite_is_an_error_that_names_the_epoch(loss):
    network, batches, _ = build()
    weights = []
    with pytest.raises(TrainingError, match=r"epoch 3 .*smaller learning_rate") as caught:
        losses = script(3.0, 4.0, loss)
        fit(network, batches, losses, SETTINGS, on_epoch=lambda _, snapshot: weights.append(snapshot.values))
    assert "\n" not in str(caught.value)
    assert np.array_equal(network.parameters.values, weights[0]), "the best weights before it are left"


def test_a_learning_rate_that_is_far_too_large_is_an_error_without_stray_warnings():
    settings = SETTINGS.model_copy(update={"learning_rate": 1e30})
    network, batches, validate = build(settings)
    with pytest.raises(TrainingError, match="diverged"):
        fit(network, batches, validate, settings)


@pytest.mark.parametrize("stateful", [False, True])
def test_training_goes_on_from_every_epoch_to_the_same_bits(stateful):
    snapshots = []
    network, batches, validate = build(stateful=stateful)
    final = fit(network, batches, validate, SETTINGS, on_epoch=lambda _, snapshot: snapshots.append(snapshot))
    assert len(snapshots) == 4
    for start in snapshots:
        other, batches, validate = build(stateful=stateful, seed=9)
        resumed = fit(other, batches, validate, SETTINGS, start=start)
        assert np.array_equal(other.parameters.values, network.parameters.values)
        assert resumed.history == final.history
        assert resumed.optimizer_steps == final.optimizer_steps
        assert np.array_equal(resumed.values, final.values)
        for name, array in final.optimizer.items():
            assert np.array_equal(resumed.optimizer[name], array)


def test_a_snapshot_is_not_changed_by_the_epochs_after_it():
    kept = []

    def keep(_, snapshot):
        kept.append((snapshot, snapshot.values.copy(), snapshot.optimizer["first_moment"].copy()))

    fit(*build(), SETTINGS, on_epoch=keep)
    for snapshot, values, moment in kept:
        assert np.array_equal(snapshot.values, values)
        assert np.array_equal(snapshot.optimizer["first_moment"], moment)


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    results = []
    for seed in (3, 3, 4):
        settings = SETTINGS.model_copy(update={"seed": seed})
        network, batches, validate = build(settings)
        fit(network, batches, validate, settings)
        results.append(network.parameters.values.copy())
    assert np.array_equal(results[0], results[1])
    assert not np.array_equal(results[0], results[2])


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one thread is all this machine has")
@pytest.mark.parametrize("stateful", [False, True])
def test_one_thread_and_two_give_the_same_bits(stateful):
    settings = SETTINGS.model_copy(update={"batch_size": 70, "num_layers": 2, "max_epochs": 2})
    threads = numba.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            numba.set_num_threads(count)
            network, batches, validate = build(settings, stateful, rows=500)
            snapshot = fit(network, batches, validate, settings)
            results.append((network.parameters.values.copy(), snapshot.history))
    finally:
        numba.set_num_threads(threads)
    assert np.array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]
