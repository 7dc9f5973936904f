"""A time for training, turned into a number of steps: what is kept of it, so that a training can be repeated."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from gatecast.lstm.training.loop import Batches, MakeSteps, Trainable
from gatecast.lstm.training.optim import Adam

__all__ = ["steps_within"]

# What is timed: groups of steps that take this long each, or of one step; so many of them, and so long at least.
_GROUP_SECONDS = 0.05
_TIMED_GROUPS = 8
_TIMED_SECONDS = 1.0


def steps_within(
    minutes: float,
    network: Trainable,
    batches: Batches,
    validate: Callable[[], float],
    make_steps: MakeSteps,
) -> int:
    """Return how many steps fit into a time, with the validation after each epoch; at least one.

    Steps of learning rate 0 are timed, which leave the network as it is. What is compiled before them does not count.

    Parameters
    ----------
    minutes : float
    network, batches, validate, make_steps
        As for `lstm.training.loop.fit`.
    """
    values = network.ops.to_host(network.parameters.values)
    optimizer = Adam(network.parameters, network.ops)
    steps = make_steps(network, batches, optimizer)

    def take(count: int) -> float:
        """Take the first steps of an epoch, and return the seconds of each."""
        begun = time.perf_counter()
        losses = [record.loss for record in steps.epoch(1, lambda _: 0.0, optimizer.steps + count)]
        network.ops.to_floats(losses[-1:])  # waits for the GPU
        return (time.perf_counter() - begun) / len(losses)

    for _ in range(2):  # the first steps allocate, and may compile
        take(1)
    validate()
    group = max(1, min(int(_GROUP_SECONDS / take(1)), batches.steps_per_epoch))
    timed: list[float] = []
    begun = time.perf_counter()
    while len(timed) < _TIMED_GROUPS or time.perf_counter() - begun < _TIMED_SECONDS:
        timed.append(take(group))
    # Median: a brief stall must not shorten the training, as it would with the mean.
    seconds_per_step = statistics.median(timed)
    begun = time.perf_counter()
    validate()
    seconds_per_step += (time.perf_counter() - begun) / batches.steps_per_epoch
    network.parameters.set_flat(values)  # a gradient that is not finite would have changed them even so
    return max(1, int(60 * minutes / seconds_per_step))
