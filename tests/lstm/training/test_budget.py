"""A time for training becomes a number of steps, on a clock that the test moves."""

from __future__ import annotations

import numpy as np
import pytest

from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.batches import WindowBatches
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.forecasting.window_steps import make_steps
from gatecast.lstm.training import budget
from gatecast.lstm.training.budget import steps_within
from gatecast.lstm.training.loop import SingleSteps

STEP = 0.01
VALIDATION = 0.6


class Clock:
    """What stands in for the module `time`."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(budget, "time", clock)
    return clock


def build(clock, dropout=0.0):
    """Network, batches of 12 steps and a validation; each takes its time on the clock."""
    network = Network(1, 1, ForecasterSettings(hidden_size=3, dropout=dropout, backend="cpu"))
    values = np.random.default_rng(0).normal(size=(64, 1)).astype("float32")
    batches = WindowBatches(values, np.arange(4, 64 - 1)[:48], 4, 1, 4, 0, network.ops)
    backpropagate = network.backpropagate

    def slow(*arguments):
        clock.now += STEP
        return backpropagate(*arguments)

    def validate() -> float:
        clock.now += VALIDATION
        return 0.0

    network.backpropagate = slow
    return network, batches, validate


def test_the_steps_are_those_for_which_there_is_time_with_the_validations(clock):
    count = steps_within(2.0, *build(clock), SingleSteps)
    assert count == pytest.approx(120 / (STEP + VALIDATION / 12), abs=1)


def test_a_brief_stall_shortens_nothing(clock):
    network, batches, validate = build(clock)
    slow = network.backpropagate
    calls = []

    def stalling(*arguments):
        calls.append(None)
        clock.now += 30.0 if len(calls) == 20 else 0.0
        return slow(*arguments)

    network.backpropagate = stalling
    expected = steps_within(2.0, *build(clock), SingleSteps)
    assert steps_within(2.0, network, batches, validate, SingleSteps) == pytest.approx(expected, abs=1)
    assert len(calls) > 20


def test_there_is_always_one_step(clock):
    assert steps_within(1e-9, *build(clock), SingleSteps) == 1


@pytest.mark.parametrize(("make", "dropout"), [(SingleSteps, 0.3), (make_steps, 0.0)])
def test_the_network_stays_as_it_is(make, dropout):
    network, batches, validate = build(Clock(), dropout)
    before = network.parameters.values.copy()
    assert steps_within(0.01, network, batches, validate, make) > 1
    np.testing.assert_array_equal(network.parameters.values, before)
