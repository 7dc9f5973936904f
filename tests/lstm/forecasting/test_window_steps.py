"""Steps in compiled code are the steps of the layers, to the bit."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.batches import StreamBatches, WindowBatches
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.forecasting.window_steps import make_steps
from gatecast.lstm.training.loop import SingleSteps, fit
from gatecast.lstm.training.optim import Adam
from tests.conftest import get_ops

ROWS = 60
COLUMNS = 2
LOOKBACK = 5


def _network(**settings) -> Network:
    settings = {"hidden_size": 7, "lookback": LOOKBACK, "seed": 3, **settings}
    return Network(COLUMNS, settings.get("horizon", 1), ForecasterSettings(**settings))


def _batches(network: Network, batch_size: int, horizon: int = 1, steps_per_epoch: int | None = None) -> WindowBatches:
    values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(network.dtype)
    ends = np.arange(LOOKBACK, ROWS - horizon)
    return WindowBatches(values, ends, LOOKBACK, horizon, batch_size, 0, network.ops, steps_per_epoch=steps_per_epoch)


def _trained(network, batches, clip=1.0, **options):
    settings = ForecasterSettings(max_epochs=3, patience=3, schedule="cosine", weight_decay=0.01, gradient_clip=clip)
    losses = iter([3.0, 2.0, 1.0])
    return fit(network, batches, lambda: next(losses), settings, **options)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_size": 3},
        {"num_layers": 3, "horizon": 4},
        {"hidden_size": 33, "num_layers": 2, "gradient_clip": 0.1},
        {"dtype": "float64"},
        {"hidden_size": 1, "batch_size": 70},
        {"batch_size": 8, "steps_per_epoch": 5},  # 40 of 54 windows: the second epoch begins the next pass
        {"average_decay": 0.9},
        {"hidden_size": 3, "num_layers": 2, "batch_size": 30, "backend": "cuda"},
        {"hidden_size": 3, "batch_size": 30, "average_decay": 0.9, "backend": "cuda"},
    ],
)
def test_same_bits_as_single_steps(settings):
    get_ops(settings.get("backend", "cpu"))
    settings = dict(settings)
    options = {"average_decay": settings.pop("average_decay", None)}
    outcomes = []
    for make in (SingleSteps, make_steps):
        network = _network(**settings)
        sizes = settings.get("batch_size", 20), settings.get("horizon", 1), settings.get("steps_per_epoch")
        batches = _batches(network, *sizes)
        outcomes.append(_trained(network, batches, settings.get("gradient_clip", 1.0), make_steps=make, **options))
    single, compiled = outcomes
    assert [record.to_dict() for record in single.history] == [record.to_dict() for record in compiled.history]
    np.testing.assert_array_equal(single.values, compiled.values)
    assert ("average" in single.optimizer) == (options["average_decay"] is not None)
    for name, moment in single.optimizer.items():
        np.testing.assert_array_equal(moment, compiled.optimizer[name], err_msg=name)


def test_total_steps_may_end_within_an_epoch_and_a_call():
    network = _network()
    snapshot = _trained(network, _batches(network, 20), total_steps=4, make_steps=make_steps)
    other = _network()
    single = _trained(other, _batches(other, 20), total_steps=4)
    assert snapshot.optimizer_steps == single.optimizer_steps == 4
    np.testing.assert_array_equal(snapshot.values, single.values)


def test_every_step_is_told():
    network = _network()
    told = []
    _trained(network, _batches(network, 20), make_steps=make_steps, on_step=lambda step, loss: told.append(step))
    assert told == list(range(1, 10))


@pytest.mark.parametrize(
    "settings",
    [
        {"dropout": 0.1},
        {"recurrent_dropout": 0.1},
        {"input_dropout": 0.1},
        {"weight_dropout": 0.1},
        {"bidirectional": True},
        {"attention": "dot"},
        {"num_layers": 2, "residual": True},
        {"num_layers": 2, "layer_norm": True},
    ],
)
def test_other_networks_take_single_steps(settings):
    network = _network(**settings)
    steps = make_steps(network, _batches(network, 20), Adam(network.parameters, network.ops))
    assert isinstance(steps, SingleSteps)


def test_streams_take_single_steps():
    network = _network()
    values = np.zeros((ROWS, COLUMNS), "float32")
    ends = np.arange(LOOKBACK, ROWS - 1)
    streams = StreamBatches(values, np.zeros(len(ends)), ends, LOOKBACK, 1, 4, 0, network.ops)
    assert isinstance(make_steps(network, streams, Adam(network.parameters, network.ops)), SingleSteps)


@pytest.mark.parametrize("way", ["steps", "spread"])
def test_same_bits_as_single_steps_where_a_layer_is_too_large_for_a_block(monkeypatch, way):
    get_ops("cuda")
    from gatecast.kernels.cuda import launch, lstm

    monkeypatch.setattr(lstm, "plan_sequence", lambda *_: None)
    monkeypatch.setattr(launch, "_SPREAD_UNITS", 2)
    if way == "steps":
        monkeypatch.setattr(lstm, "make_spread", lambda *_: None)
    outcomes = []
    trained = None
    for make in (SingleSteps, make_steps):
        network = _network(hidden_size=3, num_layers=2, backend="cuda")
        first = network.parameters.to_host()
        outcomes.append(_trained(network, _batches(network, 30), make_steps=make))
        trained = {name: np.abs(array - first[name]).max() for name, array in network.parameters.to_host().items()}
    assert min(trained.values()) > 1e-4, "every parameter is trained"
    np.testing.assert_array_equal(outcomes[0].values, outcomes[1].values)


_SINGLE_STEPS = """
import numpy as np
from gatecast import LSTMRegressor
LSTMRegressor(hidden_size=3, max_epochs=1).fit(np.ones((40, 5, 1), "float32"), np.arange(40.0))
"""
_MANY_STEPS = """
import numpy as np, pandas as pd
from gatecast import Forecaster
frame = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2020-01-01", periods=40), "y": np.arange(40.0)})
Forecaster(lookback=5, hidden_size=3, max_epochs=1, batch_size=8).fit(frame)
"""


def test_steps_compiled_with_kernels_from_disk_are_loaded_by_another_process(tmp_path):
    """The first process leaves the kernels of single steps, the second compiles the steps in one call with them."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for program in (_SINGLE_STEPS, _MANY_STEPS, _MANY_STEPS):
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
        assert result.returncode == 0, result.stderr
