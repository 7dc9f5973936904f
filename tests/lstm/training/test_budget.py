"""A time for training becomes a number of steps, on a clock that the test moves."""

from __future__ import annotations

import numpy as np
import pytest

from gatecast import CharLM
from gatecast.lstm.config import ForecasterSettings
from gatecast.lstm.forecasting.batches import WindowBatches
from gatecast.lstm.forecasting.network import Network
from gatecast.lstm.forecasting.window_steps import make_steps
from gatecast.lstm.language.network import TextNetwork
from gatecast.lstm.training import budget
from gatecast.lstm.training.budget import TimeLimit, steps_within
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
    timing = 1.0 + VALIDATION
    assert count == pytest.approx((120 - timing - VALIDATION) / (STEP + VALIDATION / 12), abs=6)


def test_a_brief_stall_costs_no_more_than_itself(clock):
    network, batches, validate = build(clock)
    slow = network.backpropagate
    calls = []

    def stalling(*arguments):
        calls.append(None)
        clock.now += 30.0 if len(calls) == 20 else 0.0
        return slow(*arguments)

    network.backpropagate = stalling
    expected = steps_within(2.0, *build(clock), SingleSteps) - 30 / (STEP + VALIDATION / 12)
    assert steps_within(2.0, network, batches, validate, SingleSteps) == pytest.approx(expected, rel=0.02)
    assert len(calls) > 20


def test_there_is_always_one_step(clock):
    assert steps_within(1e-9, *build(clock), SingleSteps) == 1


@pytest.mark.parametrize(("make", "dropout"), [(SingleSteps, 0.3), (make_steps, 0.0)])
def test_the_network_stays_as_it_is(make, dropout):
    network, batches, validate = build(Clock(), dropout)
    before = network.parameters.values.copy()
    assert steps_within(0.01, network, batches, validate, make) > 1
    np.testing.assert_array_equal(network.parameters.values, before)


SECONDS = 4.0
TEXT = "the rain in Spain stays mainly in the plain, and so does the grain\n" * 30


def train_on(clock, monkeypatch, slower):
    """Train on a machine that is so much slower after a hundred steps; return the model, and parts of a validation."""
    backpropagate, score = TextNetwork.backpropagate, TextNetwork.score
    calls = []
    scored = []

    def slow(*arguments):
        calls.append(None)
        clock.now += STEP * (slower if len(calls) > 100 else 1)
        return backpropagate(*arguments)

    def scoring(*arguments):
        scored.append(len(calls))
        clock.now += STEP * (slower if len(calls) > 100 else 1)
        return score(*arguments)

    monkeypatch.setattr(TextNetwork, "backpropagate", slow)
    monkeypatch.setattr(TextNetwork, "score", scoring)
    sizes = {"hidden_size": 4, "embedding_size": 4, "num_layers": 1, "batch_size": 8, "seq_len": 16}
    model = CharLM(max_minutes=SECONDS / 60, patience=1000, backend="cpu", **sizes).fit(TEXT)
    return model, scored.count(scored[-1])


@pytest.mark.parametrize("slower", [1, 3, 1000])
def test_a_time_is_a_limit_however_slow_the_machine_becomes(clock, monkeypatch, slower):
    model, parts = train_on(clock, monkeypatch, slower)
    uncounted = (2 + parts) * STEP  # before the time runs: two steps, and a validation
    last = STEP * slower  # the step that was begun within the time
    unforeseen = parts * STEP * slower if slower > 100 else 0  # the first validation of that speed
    assert clock.now <= SECONDS + uncounted + last + unforeseen + 1e-6
    assert model.history[-1].step == model.total_steps
    if slower < 100:
        assert clock.now > 0.8 * SECONDS, "most of the time is used"
        rates = [record.learning_rate for record in model.history]
        assert rates[-1] < 0.2 * max(rates), "the learning rate still falls"


def test_a_plan_is_never_made_longer(clock):
    limit = TimeLimit(10)
    limit.note(0)
    clock.now = 1.0
    assert limit.shortened(100, 50) == 100
    assert limit.shortened(1000, 50) == 550
    clock.now = 20.0
    assert limit.shortened(1000, 60) == 60
    assert limit.is_over()
