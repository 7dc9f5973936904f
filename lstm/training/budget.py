"""A time for training: a number of steps, which is kept so that a training can be repeated, and a limit.

The number of steps is what the time has room for as fast as the machine is at the beginning. If the machine is slower
afterwards, the plan is shortened after each epoch, so that the learning rate still runs its course, and a training that
would exceed the time all the same ends within the epoch.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from gatecast.lstm.training.loop import Batches, MakeSteps, Trainable
from gatecast.lstm.training.optim import Adam

__all__ = ["TimeLimit", "steps_within"]

# What is timed: groups of steps that take this long each, or of one step; so many of them, and so long at least.
_GROUP_SECONDS = 0.05
_TIMED_GROUPS = 8
_TIMED_SECONDS = 1.0
_MOST_SHARE = 0.1
"""Of the time, for timing steps"""


class TimeLimit:
    """The time in which a training has to end, validations included.

    It runs from the first use on, which comes after what is compiled for the first steps.

    Parameters
    ----------
    seconds : float
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: float | None = None
        self._begun: tuple[float, int] | None = None
        self._validation = 0.0

    def begin(self) -> None:
        """Let the time run, unless it does."""
        if self._until is None:
            self._until = time.perf_counter() + self._seconds

    def timed(self, validate: Callable[[], float]) -> Callable[[], float]:
        """Return the same validation, which also tells for how long the one after the last step will take."""

        def timed() -> float:
            begun = time.perf_counter()
            loss = validate()
            self._validation = time.perf_counter() - begun
            return loss

        return timed

    @property
    def seconds_left(self) -> float:
        """Time for further steps: all but that of a validation as long as the last one."""
        self.begin()
        assert self._until is not None
        return self._until - self._validation - time.perf_counter()

    def is_over(self) -> bool:
        """Tell whether no further step may be taken."""
        return self.seconds_left <= 0

    def note(self, done: int) -> None:
        """Take note that the steps after the first `done` begin now."""
        self._begun = time.perf_counter(), done

    def shortened(self, total_steps: int, done: int) -> int:
        """Return for how many steps in all there is time as fast as the last ones were, `total_steps` at most."""
        if self._begun is None or done <= self._begun[1]:
            return total_steps
        begun, before = self._begun
        seconds_per_step = (time.perf_counter() - begun) / (done - before)
        if seconds_per_step <= 0:
            return total_steps
        return min(total_steps, max(done, done + int(self.seconds_left / seconds_per_step)))


def steps_within(
    minutes: float,
    network: Trainable,
    batches: Batches,
    validate: Callable[[], float],
    make_steps: MakeSteps,
    limit: TimeLimit | None = None,
) -> int:
    """Return how many steps fit into a time, with the timing and the validation after each epoch; at least one.

    Steps of learning rate 0 are timed, which leave the network as it is. What is compiled before them does not count.

    Parameters
    ----------
    minutes : float
    network, batches, validate, make_steps
        As for `lstm.training.loop.fit`.
    limit : TimeLimit, optional
        Begins when what is compiled has been.
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
    begun = time.perf_counter()
    limit = limit or TimeLimit(60 * minutes)
    limit.begin()
    group = max(1, min(int(_GROUP_SECONDS / max(take(1), 1e-9)), batches.steps_per_epoch))
    timed = [take(group)]
    while len(timed) < _TIMED_GROUPS or time.perf_counter() - begun < _TIMED_SECONDS:
        if time.perf_counter() - begun >= _MOST_SHARE * 60 * minutes:
            break
        timed.append(take(group))
    # Median: a brief stall must not shorten the training, as it would with the mean.
    seconds_per_step = statistics.median(timed)
    before_validation = time.perf_counter()
    validate()
    validation = time.perf_counter() - before_validation
    seconds_per_step += validation / batches.steps_per_epoch
    network.parameters.set_flat(values)  # a gradient that is not finite would have changed them even so
    left = 60 * minutes - (time.perf_counter() - begun) - validation
    return max(1, int(left / seconds_per_step))
