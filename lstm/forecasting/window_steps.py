"""Training steps on windows and rows in compiled code, many in a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gatecast.lstm.forecasting.batches import PlacedBatches
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.training.loop import Batches, SingleSteps, StepRecord, Steps
from gatecast.lstm.training.optim import Adam

__all__ = ["WindowSteps", "make_steps", "steps_per_call"]

# Multiply-adds of one call, about 20 ms of them: long enough that the overhead of a call is negligible, short enough
# that the program can be interrupted.
_CALL_WORK = 1 << 30
_MOST_STEPS = 1 << 12


def make_steps(network: Network, batches: Batches, optimizer: Adam) -> Steps:
    """Return what takes the steps: many in each call if the network reads windows.

    The rest are single steps: those of networks that read streams, since their state goes from batch to batch, and on a
    GPU those with dropout, whose launches are given the masks of their step and cannot be repeated.
    """
    is_repeatable = network.ops.name == "cpu" or not network.settings.has_dropout
    if isinstance(batches, PlacedBatches) and is_repeatable:
        return WindowSteps(network, batches, optimizer)
    return SingleSteps(network, batches, optimizer)


class WindowSteps:
    """The same steps as `lstm.training.loop.SingleSteps`, to the bit, many of them in each call.

    Parameters
    ----------
    network : Network
    batches : PlacedBatches
    optimizer : Adam
    """

    def __init__(self, network: Network, batches: PlacedBatches, optimizer: Adam):
        self._network = network
        self._batches = batches
        self._optimizer = optimizer
        self._trainings: dict[int, Any] = {}  # by batch size: whole batches, and the last one of an epoch

    def epoch(self, number: int, learning_rate: Callable[[int], float], total_steps: int) -> Iterator[StepRecord]:
        """Take the steps of an epoch: a `lstm.training.loop.Steps`."""
        places = self._batches.places(number)
        size = self._batches.batch_size
        whole = places.shape[1] // size * size
        for part, rows in ((places[:, :whole], size), (places[:, whole:], places.shape[1] - whole)):
            if part.size:
                of_steps = np.ascontiguousarray(part.reshape(len(part), -1, rows).swapaxes(0, 1))
                yield from self._take_all(self._network.ops.as_array(of_steps, "int64"), learning_rate, total_steps)

    def _take_all(self, places: Any, learning_rate: Callable[[int], float], total_steps: int) -> Iterator[StepRecord]:
        """Take the steps of batches of one size."""
        count = self._steps_per_call(places.shape[2])
        for first in range(0, len(places), count):
            last = min(first + count, len(places), first + total_steps - self._optimizer.steps)
            if last > first:
                yield from self.take(places[first:last], learning_rate)

    def take(self, places: Any, learning_rate: Callable[[int], float]) -> Iterator[StepRecord]:
        """Take a step for each batch of windows in one call.

        Parameters
        ----------
        places : (steps, kinds, B) int64 array
            Where the windows are: `PlacedBatches.places` of each batch. Not more steps than `steps_per_call` has.
        learning_rate : callable
            As for `epoch`.
        """
        ops = self._network.ops
        optimizer = self._optimizer
        rates = [learning_rate(optimizer.steps + n) for n in range(len(places))]
        batch_size = places.shape[2]
        is_first = batch_size not in self._trainings
        if is_first:
            self._trainings[batch_size] = self._make_training(places.shape[1], batch_size)
            self._network.lstm.release_memory()
        take = self._trainings[batch_size]
        losses, norms = take(ops.as_array(places, "int64"), optimizer.steps + 1, np.array(rates))
        if is_first:  # the memory of the step belongs to its replays now
            self._network.lstm.release_memory()
        optimizer.took(len(places))
        yield from map(StepRecord, rates, losses, norms)

    def _make_training(self, kinds: int, batch_size: int) -> Any:
        """Return what takes the steps on batches of one size, whose places are of so many kinds."""
        network = self._network
        batches = self._batches

        def backpropagate(places: Any, step: int) -> Any:
            """Write the gradients of the windows at these places, and return their loss."""
            loss, _ = network.backpropagate(batches.gather(*(places[kind] for kind in range(kinds))), None, step)
            return loss

        shape = self._steps_per_call(batch_size), kinds, batch_size
        return network.ops.window_training(backpropagate, shape, self._optimizer.arrays, self._optimizer.constants)

    def _steps_per_call(self, batch_size: int) -> int:
        return steps_per_call(len(self._network.parameters) * batch_size * self._batches.lookback)


def steps_per_call(work_of_a_step: int) -> int:
    """Return how many steps go into one call; the work is parameters times rows times time steps."""
    return max(1, min(_MOST_STEPS, _CALL_WORK // (3 * work_of_a_step)))
