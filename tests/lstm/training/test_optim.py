from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest

from gatecast.kernels import get_backend
from gatecast.lstm.config import Schedule
from gatecast.lstm.nn.parameters import Parameters
from gatecast.lstm.training.optim import Adam, learning_rate_at
from tests.reference import adam, relative_error

OPS = get_backend("cpu")


def make(values, dtype="float64"):
    return Parameters({"weight": np.asarray(values, dtype)}, OPS)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_agree_with_the_oracle(rng, weight_decay, dtype, tolerance):
    start = rng.standard_normal(37).astype(dtype)
    gradients = rng.standard_normal((20, 37)).astype(dtype)
    parameters = make(start, dtype)
    optimizer = Adam(parameters, OPS, weight_decay=weight_decay, betas=(0.8, 0.95), epsilon=1e-6)
    for gradient in gradients:
        parameters.gradients[:] = gradient
        norm = optimizer.step(0.01)
        assert norm == pytest.approx(np.linalg.norm(gradient.astype(np.float64)), rel=1e-6)
    expected = adam(start, gradients, 0.01, (0.8, 0.95), 1e-6, weight_decay)
    assert relative_error(parameters.values, expected) <= tolerance
    assert optimizer.steps == 20


@pytest.mark.parametrize(("clip", "scale"), [(1.0, 0.2), (5.0, 1.0), (6.0, 1.0), (math.inf, 1.0)])
def test_a_gradient_is_scaled_down_to_the_greatest_norm_and_no_further(clip, scale):
    parameters = make([0.0, 0.0])
    optimizer = Adam(parameters, OPS, gradient_clip=clip)
    parameters.gradients[:] = [3.0, -4.0]
    assert optimizer.step(0.1) == 5.0
    np.testing.assert_allclose(parameters.gradients, np.array([3.0, -4.0]) * scale, rtol=1e-15)


def test_an_optimiser_goes_on_from_its_state_bit_for_bit(rng):
    gradients = rng.standard_normal((9, 5))
    straight = make(np.ones(5))
    interrupted = make(np.ones(5))
    optimizer = Adam(straight, OPS)
    for gradient in gradients:
        straight.gradients[:] = gradient
        optimizer.step(0.01)
    first = Adam(interrupted, OPS)
    for gradient in gradients[:4]:
        interrupted.gradients[:] = gradient
        first.step(0.01)
    state = first.state_dict()
    steps = first.steps
    kept = {name: array.copy() for name, array in state.items()}
    interrupted.gradients[:] = 77
    first.step(0.0)  # what was handed out is a copy
    assert all(np.array_equal(state[name], kept[name]) for name in kept)
    second = Adam(interrupted, OPS)
    second.load_state_dict(state, steps)
    for gradient in gradients[4:]:
        interrupted.gradients[:] = gradient
        second.step(0.01)
    assert np.array_equal(straight.values, interrupted.values)


def test_a_constant_schedule_stays_at_its_peak():
    assert {learning_rate_at(step, 10, 0.3, "constant") for step in range(10)} == {0.3}


def test_a_cosine_falls_from_its_peak_to_a_twentieth():
    rates = [learning_rate_at(step, 11, 0.2, "cosine") for step in range(11)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0.01)
    assert rates[5] == pytest.approx(0.105)
    assert np.all(np.diff(rates) < 0)


def test_a_schedule_of_one_step_is_its_peak():
    assert learning_rate_at(0, 1, 0.2, "cosine") == 0.2


def test_one_cycle_rises_to_its_peak_and_falls_to_a_hundredth():
    rates = [learning_rate_at(step, 101, 0.2, "one_cycle") for step in range(101)]
    assert rates[0] == pytest.approx(0.01)
    assert np.argmax(rates) == 5
    assert rates[5] == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0.002)
    assert (np.diff(rates[:6]) > 0).all()
    assert (np.diff(rates[5:]) < 0).all()
    assert learning_rate_at(0, 1, 0.2, "one_cycle") == 0.2


def test_warm_up_rises_to_its_peak_stays_and_falls_to_a_hundredth():
    rates = [learning_rate_at(step, 101, 0.2, "warm_up") for step in range(101)]
    assert rates[0] == pytest.approx(0.01)
    assert (np.diff(rates[:6]) > 0).all()
    assert set(rates[5:81]) == {0.2}
    np.testing.assert_allclose(np.diff(rates[80:]), -0.198 / 20, rtol=1e-9)
    assert rates[-1] == pytest.approx(0.002)


@pytest.mark.parametrize("schedule", get_args(Schedule))
@pytest.mark.parametrize("total_steps", [1, 2, 4, 7])
def test_every_schedule_serves_short_trainings(schedule, total_steps):
    rates = [learning_rate_at(step, total_steps, 0.2, schedule) for step in range(total_steps)]
    assert rates[0] == 0.2
    assert all(0 < rate <= 0.2 for rate in rates)


def test_a_schedule_without_a_name_is_refused():
    with pytest.raises(ValueError, match="'sawtooth' is no schedule"):
        learning_rate_at(0, 10, 0.2, "sawtooth")


def test_plateau_halves_with_every_worse_epoch():
    assert [learning_rate_at(50, 100, 0.4, "plateau", worse) for worse in (0, 1, 3)] == [0.4, 0.2, 0.05]
