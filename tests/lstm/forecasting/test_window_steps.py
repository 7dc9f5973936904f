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
from gatecast.lstm.forecasting.scaled_windows import scaling_of
from gatecast.lstm.forecasting.target_weights import TargetWeights
from gatecast.lstm.forecasting.window_steps import WindowSteps, make_steps
from gatecast.lstm.training.loop import SingleSteps, fit
from gatecast.lstm.training.optim import Adam
from tests.conftest import get_ops

ROWS = 60
COLUMNS = 2
LOOKBACK = 5


def _settings(settings: dict) -> ForecasterSettings:
    plain = {"window_scaling": "none", "season": "none", "residual": "none", "linear_skip": "none", "loss": "mse"}
    chosen = {name: value for name, value in settings.items() if name not in ("gradient_clip", "rows", "average_decay")}
    plain |= {"learning_rate": 1e-3, "steps_per_epoch": None}
    return ForecasterSettings(**{**plain, "hidden_size": 7, "lookback": LOOKBACK, "seed": 3, **chosen})


def _network(**settings) -> Network:
    chosen = _settings(settings)
    scaling = scaling_of(chosen)
    skip_size = LOOKBACK if chosen.linear_skip == "window" else 0
    columns = COLUMNS + (scaling is not None and scaling.indicator)
    return Network(columns, chosen.horizon, chosen, skip_size, chosen.loss, (2, chosen.series_embedding))


def _batches(network: Network, settings: dict) -> WindowBatches:
    chosen = _settings(settings)
    rows = settings.get("rows", ROWS)
    values = np.random.default_rng(0).normal(size=(rows, COLUMNS)).astype(network.dtype)
    scaling = scaling_of(chosen)
    if scaling is not None:  # missing values, and windows that begin before the first row of their series
        values[10:13, 0] = np.nan
        values[8, 1] = np.nan
    ends = np.arange(LOOKBACK - 2 if scaling is not None else LOOKBACK, rows - chosen.horizon)
    firsts = np.where(ends < 28, 0, 25)
    size = settings.get("batch_size", 20)
    where = values, ends, LOOKBACK, chosen.horizon, size, 0, network.ops
    of_rows = network.ops.as_array(np.random.default_rng(1).random(rows), network.dtype)
    of_steps = network.ops.as_array(np.array(chosen.step_weights or [1.0] * chosen.horizon), network.dtype)
    weights = TargetWeights(of_rows, of_steps) if chosen.is_weighted else None
    series = (firsts > 0).astype(np.int64) if chosen.series_embedding else None
    return WindowBatches(
        *where, firsts, scaling, chosen.epoch_steps, weights, series, embedding_size=chosen.series_embedding
    )


def _name(settings: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or "plain"


def _trained(network, batches, clip=1.0, **options):
    settings = ForecasterSettings(
        max_epochs=3, patience=3, learning_rate=1e-3, schedule="cosine", weight_decay=0.01, gradient_clip=clip
    ).plain
    losses = iter([3.0, 2.0, 1.0])
    return fit(network, batches, lambda: next(losses), settings, **options)


DROPOUT = {"dropout": 0.2, "recurrent_dropout": 0.3, "input_dropout": 0.1, "weight_dropout": 0.2}
PER_STEP = {**DROPOUT, "dropout_kind": "per_step"}
NETWORKS = [
    {},
    {"batch_size": 3},
    {"num_layers": 3, "horizon": 4},
    {"hidden_size": 33, "num_layers": 2, "gradient_clip": 0.1},
    {"hidden_size": 1, "batch_size": 70},
    {"batch_size": 8, "steps_per_epoch": 5},  # 40 of 54 windows: the second epoch begins the next pass
    {"average_decay": 0.9},
    {"num_layers": 2, **DROPOUT},
    {"num_layers": 2, "batch_size": 3, **PER_STEP},
    {"bidirectional": True, "num_layers": 2},
    {"bidirectional": True, **PER_STEP},
    {"attention": "dot"},
    {"attention": "general", **DROPOUT},
    {"attention": "additive", "attention_heads": 2, "hidden_size": 6, "bidirectional": True},
    {"num_layers": 3, "residual_layers": True},
    {"num_layers": 2, "layer_norm": True, "bidirectional": True},
    {"num_layers": 3, "residual_layers": True, "layer_norm": True, "attention": "additive", **DROPOUT},
]
METHODS = [
    {"window_scaling": "standard", "residual": "last", "linear_skip": "window", "loss": "mae"},
    {"window_scaling": "mean", "loss": "smape", "horizon": 3, "bidirectional": True, **DROPOUT},
    {"window_scaling": "last", "linear_skip": "window", "loss": "huber", "num_layers": 2, **PER_STEP},
    {"window_scaling": "standard", "differences": "first", "residual": "last", "weight_column": "w", "horizon": 2},
    {"series_embedding": 3, "step_weights": (1.0, 0.5), "horizon": 2, "loss": "mae", "input_dropout": 0.1},
]


def _assert_same_bits(settings: dict, **options) -> None:
    """Train the same network by single steps and by steps in compiled calls, and compare all that they leave."""
    options = {"average_decay": settings.get("average_decay")}
    outcomes = []
    for make, kind in ((SingleSteps, SingleSteps), (make_steps, WindowSteps)):
        network = _network(**settings)
        batches = _batches(network, settings)
        assert type(make(network, batches, Adam(network.parameters, network.ops))) is kind
        outcomes.append(_trained(network, batches, settings.get("gradient_clip", 1.0), make_steps=make, **options))
    single, compiled = outcomes
    assert [record.to_dict() for record in single.history] == [record.to_dict() for record in compiled.history]
    np.testing.assert_array_equal(single.values, compiled.values)
    for name, moment in single.optimizer.items():
        np.testing.assert_array_equal(moment, compiled.optimizer[name], err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", NETWORKS + METHODS, ids=_name)
def test_same_bits_as_single_steps(settings, dtype):
    _assert_same_bits({**settings, "dtype": dtype})


@pytest.mark.parametrize(
    "settings",
    [
        {"num_layers": 2, "average_decay": 0.9},
        {"bidirectional": True, "attention": "additive"},
        {"num_layers": 2, "residual_layers": True, "layer_norm": True},
        METHODS[0],
        METHODS[3],
        {**METHODS[4], "input_dropout": 0.0},
    ],
    ids=_name,
)
def test_same_bits_as_single_steps_on_a_gpu(settings):
    get_ops("cuda")
    _assert_same_bits({**settings, "hidden_size": 3, "rows": 15, "batch_size": 4, "backend": "cuda"}, total_steps=2)


def test_steps_of_other_sizes_in_between_do_not_disturb_the_memory_of_a_replay():
    """Networks reuse the memory of their oldest size of batch; that of a recorded step is not theirs to reuse."""
    values = []
    for make in (SingleSteps, make_steps):
        network = _network(num_layers=2)
        batches = _batches(network, {})
        steps = make(network, batches, Adam(network.parameters, network.ops))
        for epoch in range(1, 4):
            list(steps.epoch(epoch, lambda step: 1e-2, 1 << 60))
            for size in range(1, 8):
                network.forward(np.ones((size, LOOKBACK + size, COLUMNS), "float32"), training=bool(size % 2))
        values.append(network.parameters.to_host())
    for name in values[0]:
        np.testing.assert_array_equal(values[0][name], values[1][name], err_msg=name)


def test_total_steps_may_end_within_an_epoch_and_a_call():
    network = _network()
    snapshot = _trained(network, _batches(network, {}), total_steps=4, make_steps=make_steps)
    other = _network()
    single = _trained(other, _batches(other, {}), total_steps=4)
    assert snapshot.optimizer_steps == single.optimizer_steps == 4
    np.testing.assert_array_equal(snapshot.values, single.values)


def test_every_step_is_told():
    network = _network()
    told = []
    _trained(network, _batches(network, {}), make_steps=make_steps, on_step=lambda step, loss: told.append(step))
    assert told == list(range(1, 10))


def test_dropout_on_a_gpu_takes_single_steps():
    """A recorded launch would have the masks of one step again and again."""
    get_ops("cuda")
    network = _network(recurrent_dropout=0.1, hidden_size=2, backend="cuda")
    assert isinstance(make_steps(network, _batches(network, {}), Adam(network.parameters, network.ops)), SingleSteps)


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
        outcomes.append(_trained(network, _batches(network, {"rows": 15, "batch_size": 6}), make_steps=make))
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
