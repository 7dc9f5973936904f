"""A model on the GPU is the model on the CPU: its training copies nothing back at each step, and moves both ways."""

from __future__ import annotations

from itertools import pairwise

import numba.cuda
import numpy as np
import pytest

from gatecast import Forecaster, load
from gatecast.kernels import BackendError
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.batches import WindowBatches
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.training.loop import fit
from tests.conftest import get_ops
from tests.lstm.frames import sine_frame
from tests.reference import relative_error

SETTINGS = ForecasterSettings(
    lookback=3, hidden_size=4, learning_rate=0.02, batch_size=4, max_epochs=3, patience=3, seed=3, dropout=0.2
).plain


@pytest.fixture(autouse=True)
def _gpu():
    get_ops("cuda")


def make_network(backend, settings=SETTINGS):
    return Network(2, 1, settings.model_copy(update={"backend": backend}))


def make_batches(ops, rows=15):
    angle = np.arange(rows) * 2 * np.pi / 5
    values = np.stack([np.sin(angle), np.cos(angle)], axis=1).astype("float32")
    return WindowBatches(values, np.arange(3, rows - 1), 3, 1, 4, 3, ops)


class Copies:
    """Counts what is copied between host and device, wherever the call is."""

    def __init__(self, monkeypatch):
        self.up = self.down = 0
        arrays = type(get_ops("cuda").zeros((1,), "float32"))
        to_device = numba.cuda.to_device
        fetch = arrays.copy_to_host
        put = arrays.copy_to_device

        def counted_up(array, *arguments, **options):
            self.up += 1
            return to_device(array, *arguments, **options)

        def counted_put(array, source, *arguments, **options):
            self.up += isinstance(source, np.ndarray)
            return put(array, source, *arguments, **options)

        def counted_down(array, *arguments, **options):
            self.down += 1
            return fetch(array, *arguments, **options)

        monkeypatch.setattr(numba.cuda, "to_device", counted_up)
        monkeypatch.setattr(arrays, "copy_to_device", counted_put)
        monkeypatch.setattr(arrays, "copy_to_host", counted_down)

    def counts(self):
        return self.up, self.down


def test_a_step_copies_nothing_and_an_epoch_brings_its_losses_and_a_snapshot(monkeypatch):
    network = make_network("cuda")
    batches = make_batches(network.ops)
    copies = Copies(monkeypatch)
    at_step = []
    at_validation = []
    network.backpropagate(next(batches.epoch(9)), None, 0)  # allocates what every later step uses again
    make_step = network.backpropagate

    def counted_step(*arguments):
        at_step.append(copies.counts())
        return make_step(*arguments)

    def validate():
        at_validation.append(copies.counts())
        return 1.0

    network.backpropagate = counted_step
    fit(network, batches, validate, SETTINGS)
    steps = batches.steps_per_epoch
    assert steps == 3
    for epoch in range(1, SETTINGS.max_epochs):  # the first allocates for the last, smaller batch
        within = at_step[epoch * steps : (epoch + 1) * steps]
        assert set(within) == {within[0]}, "a step copied something"
        assert at_validation[epoch][0] == within[0][0], "a step copied something to the GPU"
        assert at_validation[epoch][1] == within[0][1] + 2, "losses and norms come back, each at once"
    snapshots = [now[1] - before[1] for before, now in pairwise(at_validation)]
    assert set(snapshots) == {2 + 3}, "an epoch brings its losses, norms, values and two moments"


def test_the_counter_of_copies_counts(monkeypatch):
    ops = get_ops("cuda")
    copies = Copies(monkeypatch)
    array = ops.as_array(np.ones(2), "float64")
    ops.copy_into(np.zeros(2), array)
    ops.to_host(array)
    assert copies.counts() == (2, 1)


def test_a_loss_on_the_gpu_is_a_number_once_it_is_looked_at():
    network = make_network("cuda")
    loss, _ = network.backpropagate(next(make_batches(network.ops).epoch(1)), None, 0)
    assert float(loss) > 0
    assert f"{loss:.3f}" == f"{float(loss):.3f}"
    assert repr(loss) == f"DeviceNumber({float(loss)})"
    assert network.ops.to_floats([loss, loss]) == [float(loss)] * 2
    assert network.ops.to_floats([]) == []


@pytest.mark.parametrize(("first", "second"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_training_begun_on_one_backend_ends_on_the_other(first, second):
    snapshots = []
    network = make_network(first)
    keep = {"on_epoch": lambda _, snapshot: snapshots.append(snapshot)}
    whole = fit(network, make_batches(network.ops), lambda: 1.0, SETTINGS, **keep)
    other = make_network(second)
    resumed = fit(other, make_batches(other.ops), lambda: 1.0, SETTINGS, start=snapshots[0])
    assert resumed.optimizer_steps == whole.optimizer_steps
    assert relative_error(resumed.values, whole.values) < 1e-5
    for name, moment in whole.optimizer.items():
        assert relative_error(resumed.optimizer[name], moment) < 1e-5, name
    for record, expected in zip(resumed.history, whole.history, strict=True):
        assert record.train_loss == pytest.approx(expected.train_loss, rel=1e-5)
        assert record.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-4)


OPTIONS = {"lookback": 3, "horizon": 1, "hidden_size": 3, "max_epochs": 2, "patience": 2, "batch_size": 16, "seed": 1}


def test_a_saved_model_is_loaded_on_the_other_backend_and_forecasts_the_same(tmp_path):
    model = Forecaster(**OPTIONS).fit(sine_frame(40))
    model.save(tmp_path / "model")
    moved = load(tmp_path / "model", backend="cuda")
    assert moved.network.ops.name == "cuda"
    assert load(tmp_path / "model").network.ops.name == "cpu"
    ours = moved.predict()["y_hat"].to_numpy()
    expected = model.predict()["y_hat"].to_numpy()
    assert relative_error(ours, expected) < 1e-5
    moved.save(tmp_path / "moved")
    assert load(tmp_path / "moved").network.ops.name == "cuda"
    back = load(tmp_path / "moved", backend="cpu")
    np.testing.assert_array_equal(back.predict()["y_hat"], model.predict()["y_hat"])


def test_a_model_of_the_gpu_says_so_where_there_is_none(tmp_path, monkeypatch):
    model = Forecaster(**OPTIONS).fit(sine_frame(40))
    model.save(tmp_path / "model")
    monkeypatch.setattr(numba.cuda, "is_available", lambda: False)
    with pytest.raises(BackendError, match="backend cuda needs"):
        load(tmp_path / "model", backend="cuda")


def test_a_fit_that_was_stopped_on_the_cpu_is_resumed_on_the_gpu(tmp_path):
    class Stopped(Exception):
        pass

    def stop(record):
        raise Stopped

    frame = sine_frame(40)
    whole = Forecaster(**OPTIONS).fit(frame)
    with pytest.raises(Stopped):
        Forecaster(**OPTIONS).fit(frame, checkpoints=tmp_path, on_epoch=stop)
    resumed = Forecaster(**OPTIONS, backend="cuda").fit(frame, checkpoints=tmp_path, resume=True)
    assert resumed.network.ops.name == "cuda"
    assert [record.step for record in resumed.history] == [record.step for record in whole.history]
    for record, expected in zip(resumed.history, whole.history, strict=True):
        assert record.train_loss == pytest.approx(expected.train_loss, rel=1e-5, nan_ok=True)
    ours = resumed.predict()["y_hat"].to_numpy()
    expected = whole.predict()["y_hat"].to_numpy()
    assert relative_error(ours, expected) < 1e-5
