"""Training steps on windows in compiled code, for the networks that `kernels` can train without the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gatecast.kernels.window_training import LayerPass, WindowPass
from gatecast.lstm.config import NetworkSettings
from gatecast.lstm.forecasting.batches import WindowBatches
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.training.loop import Batches, SingleSteps, StepRecord, Steps
from gatecast.lstm.training.optim import Adam

__all__ = ["WindowSteps", "make_steps", "steps_per_call"]

# Multiply-adds of one call, about 20 ms of them: long enough that the overhead of a call is negligible, short enough
# that the program can be interrupted.
_CALL_WORK = 1 << 30


def make_steps(network: Network, batches: Batches, optimizer: Adam) -> Steps:
    """Return what takes the steps: in compiled code if the network is plain and reads windows."""
    if isinstance(batches, WindowBatches) and batches.scaling is None and _is_plain(network.settings):
        return WindowSteps(network, batches, optimizer)
    return SingleSteps(network, batches, optimizer)


def _is_plain(settings: NetworkSettings) -> bool:
    """Whether the network is nothing but LSTM layers of one direction and the head."""
    rates = settings.dropout, settings.input_dropout, settings.recurrent_dropout, settings.weight_dropout
    options = settings.bidirectional, settings.residual_layers, settings.layer_norm, settings.attention != "none"
    return not any(rates) and not any(options)


class WindowSteps:
    """The same steps as `lstm.training.loop.SingleSteps`, to the bit, many of them in each call.

    Parameters
    ----------
    network : Network
        A plain one; see `make_steps`.
    batches : WindowBatches
    optimizer : Adam
    """

    def __init__(self, network: Network, batches: WindowBatches, optimizer: Adam):
        self._network = network
        self._batches = batches
        self._optimizer = optimizer
        self._trainings: dict[int, Any] = {}  # by batch size: whole batches, and the last one of an epoch

    def epoch(self, number: int, learning_rate: Callable[[int], float], total_steps: int) -> Iterator[StepRecord]:
        """Take the steps of an epoch: a `lstm.training.loop.Steps`."""
        starts = self._network.ops.as_array(self._batches.ends(number) - self._batches.lookback, "int64")
        size = self._batches.batch_size
        whole = len(starts) // size * size
        if whole:
            yield from self._take_all(starts[:whole].reshape(whole // size, size), learning_rate, total_steps)
        if len(starts) > whole:
            yield from self._take_all(starts[whole:].reshape(1, len(starts) - whole), learning_rate, total_steps)

    def _take_all(self, starts: Any, learning_rate: Callable[[int], float], total_steps: int) -> Iterator[StepRecord]:
        """Take the steps of batches of one size, (steps, B)."""
        count = steps_per_call(len(self._network.parameters) * starts.shape[1] * self._batches.lookback)
        for first in range(0, len(starts), count):
            last = min(first + count, len(starts), first + total_steps - self._optimizer.steps)
            if last > first:
                yield from self.take(starts[first:last], learning_rate)

    def take(self, starts: Any, learning_rate: Callable[[int], float]) -> Iterator[StepRecord]:
        """Take a step for each batch of windows in one call.

        Parameters
        ----------
        starts : (steps, B) int64 array
            First row of each window.
        learning_rate : callable
            As for `epoch`.
        """
        ops = self._network.ops
        optimizer = self._optimizer
        rates = [learning_rate(optimizer.steps + n) for n in range(len(starts))]
        take = self._training_of(starts.shape[1])
        losses, norms = take(ops.as_array(starts, "int64"), optimizer.steps + 1, np.array(rates))
        optimizer.took(len(starts))
        yield from map(StepRecord, rates, losses, norms)

    def _training_of(self, batch_size: int) -> Any:
        """Return what takes the steps on batches of one size."""
        if batch_size not in self._trainings:
            arrays = _make_pass(self._network, self._batches, batch_size)
            self._trainings[batch_size] = self._network.ops.window_training(
                self._batches.values, arrays, self._optimizer.arrays, self._optimizer.constants
            )
        return self._trainings[batch_size]


def steps_per_call(work_of_a_step: int) -> int:
    """Return how many steps go into one call; the work is parameters times rows times time steps."""
    return max(1, _CALL_WORK // (3 * work_of_a_step))


def _make_pass(network: Network, batches: WindowBatches, batch_size: int) -> WindowPass:
    """Lay out a step for batches of one size."""
    ops = network.ops
    dtype = network.dtype
    horizon = batches.horizon
    hidden_size = network.settings.hidden_size
    layers = network.settings.num_layers

    def zeros(*shape: int) -> Any:
        return ops.zeros(shape, dtype)

    def between(layer: int) -> Any:
        """Return what goes from one layer to the next; nothing goes out of the last or back out of the first."""
        inner = 0 < layer < layers
        return zeros(batch_size, batches.lookback, hidden_size) if inner else zeros(0, 0, 0)

    outputs, gradients = ([between(layer) for layer in range(layers + 1)] for _ in range(2))
    inputs = [zeros(batch_size, batches.lookback, batches.values.shape[1]), *outputs[1:]]
    weights = network.lstm.parameters
    head = network.head.parameters
    return WindowPass(
        layers=tuple(
            LayerPass(
                weights=_lstm_weights(ops, weights.__getitem__, layer),
                gradients=_lstm_weights(ops, weights.gradient, layer),
                workspace=ops.lstm_workspace(
                    batch_size, batches.lookback, inputs[layer].shape[2], hidden_size, dtype
                ),
                x=inputs[layer],
                y=outputs[layer + 1],
                dx=gradients[layer],
                dy=gradients[layer + 1],
            )
            for layer in range(layers)
        ),
        head_weights=ops.LinearWeights(head["weight"], head["bias"]),
        head_gradients=ops.LinearWeights(head.gradient("weight"), head.gradient("bias")),
        head_workspace=ops.linear_workspace(batch_size, hidden_size, horizon, dtype),
        y=zeros(batch_size, horizon, 1),
        y_hat=zeros(batch_size, horizon),
        dy_hat=zeros(batch_size, horizon),
        row_weights=ops.ones((batch_size,), dtype),
        zero_state=zeros(batch_size, hidden_size),
        h_n=zeros(batch_size, hidden_size),
        dh_n=zeros(batch_size, hidden_size),
        unused_state=zeros(batch_size, hidden_size),
    )  # fmt: skip


def _lstm_weights(ops: Any, array: Callable[[str], Any], layer: int) -> Any:
    return ops.LSTMWeights(*(array(f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih")))
