from __future__ import annotations

import json
import math

import numba
import numpy as np
import pytest

from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.batches import StreamBatches, WindowBatches
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.training.loop import EpochRecord, SingleSteps, Snapshot, TrainingError, fit
from gatecast.lstm.training.optim import Adam

SETTINGS = ForecasterSettings(
    lookback=6, hidden_size=5, learning_rate=0.02, batch_size=8, max_epochs=4, patience=4, seed=3
).plain


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


AVERAGED = {"average_decay": 0.9}


@pytest.mark.parametrize("stateful", [False, True])
def test_the_average_of_the_weights_is_validated_and_kept_while_training_goes_on_with_themselves(stateful):
    plain, batches, _ = build(stateful=stateful)
    raw = []
    fit(plain, batches, script(4.0, 3.0, 2.0, 1.0), SETTINGS, on_epoch=lambda _, snapshot: raw.append(snapshot.values))

    network, batches, _ = build(stateful=stateful)
    validated = []
    next_loss = script(4.0, 2.0, 3.0, 3.5)

    def validate():
        validated.append(network.parameters.values.copy())
        return next_loss()

    snapshots = []

    def keep(_, snapshot):
        assert np.array_equal(network.parameters.values, validated[-1])
        snapshots.append(snapshot)

    fit(network, batches, validate, SETTINGS, **AVERAGED, on_epoch=keep)
    for snapshot, values, average in zip(snapshots, raw, validated, strict=True):
        assert np.array_equal(snapshot.values, values), "the steps are those of a training without an average"
        assert np.array_equal(snapshot.validated_values, average)
        assert not np.array_equal(average, values)
    assert np.array_equal(network.parameters.values, validated[1])


def test_the_average_is_that_of_the_steps():
    network, batches, _ = build()
    expected = network.parameters.values.astype(np.float64)
    optimizer = Adam(network.parameters, network.ops, average_decay=0.5)
    for number, _ in enumerate(SingleSteps(network, batches, optimizer).epoch(1, lambda _: 0.01, 8), start=1):
        kept = min(0.5, (1 + number) / (10 + number))
        expected = kept * expected + (1 - kept) * network.parameters.values
    assert number == 8
    np.testing.assert_allclose(optimizer.state_dict()["average"], expected, atol=1e-6)


@pytest.mark.parametrize("options", [AVERAGED, {"validate_first": True}, {**AVERAGED, "validate_first": True}])
def test_trainings_with_an_average_or_an_epoch_0_go_on_to_the_same_bits(options):
    snapshots = []
    network, batches, validate = build()
    keep = snapshots.append
    final = fit(network, batches, validate, SETTINGS, **options, on_epoch=lambda _, snapshot: keep(snapshot))
    assert len(snapshots) == 4 + options.get("validate_first", False)
    for start in snapshots:
        restored = Snapshot.restore(start.validated_values, start.to_arrays(), start.to_document())
        other, batches, validate = build(seed=9)
        resumed = fit(other, batches, validate, SETTINGS, **options, start=restored)
        assert np.array_equal(other.parameters.values, network.parameters.values)
        assert resumed.history == final.history
        for name, array in final.to_arrays().items():
            assert np.array_equal(resumed.to_arrays()[name], array), name


def test_epoch_0_is_the_network_before_its_first_step():
    network, batches, _ = build()
    first = network.parameters.values.copy()
    seen = []
    losses = script(2.0, 3.0, 1.0, 4.0, 5.0)
    snapshot = fit(
        network, batches, losses, SETTINGS, validate_first=True, on_epoch=lambda record, _: seen.append(record)
    )
    assert [record.epoch for record in seen] == [0, 1, 2, 3, 4]
    record = seen[0]
    assert (record.step, record.validation_loss, record.best, record.learning_rate) == (0, 2.0, True, 0.0)
    assert math.isnan(record.train_loss) and math.isnan(record.gradient_norm)
    document = json.loads(json.dumps(record.to_dict(), allow_nan=False))
    assert EpochRecord.from_dict(document) == record
    assert snapshot.best_epoch == 2
    assert not np.array_equal(network.parameters.values, first)


@pytest.mark.parametrize("options", [{}, AVERAGED])
def test_what_training_began_with_is_kept_if_nothing_better_comes(options):
    settings = SETTINGS.model_copy(update={"max_epochs": 30, "patience": 3})
    network, batches, _ = build(settings)
    first = network.parameters.values.copy()
    snapshot = fit(network, batches, script(1.0, 2.0, 1.0, 2.0), settings, validate_first=True, **options)
    assert snapshot.best_epoch == 0
    assert snapshot.history[-1].epoch == 3
    assert np.array_equal(network.parameters.values, first)
    assert np.array_equal(snapshot.best_values, first)


def test_epoch_0_changes_no_step():
    results = []
    for validate_first in (False, True):
        network, batches, validate = build()
        results.append(fit(network, batches, validate, SETTINGS, validate_first=validate_first))
    assert np.array_equal(results[0].values, results[1].values)
    assert results[0].history == results[1].history[1:]


def test_a_loss_that_is_not_finite_before_the_first_step_is_an_error():
    network, batches, _ = build()
    with pytest.raises(TrainingError, match="is nan before the first step; check the weights"):
        fit(network, batches, script(math.nan), SETTINGS, validate_first=True)


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
