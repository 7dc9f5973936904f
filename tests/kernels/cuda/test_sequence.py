"""Every way through a sequence: in one launch with all or half of the weights in shared memory, spread, by steps."""

from __future__ import annotations

import numpy as np
import pytest

from gatecast.kernels.masks import NO_MASK, mask
from tests.conftest import SIMULATED, get_ops
from tests.kernels.test_lstm import Case
from tests.reference import relative_error

CUDA = get_ops("cuda")

from gatecast.kernels.cuda import launch, lstm, spread  # noqa: E402
from gatecast.kernels.cuda.launch import Device, padded  # noqa: E402
from gatecast.kernels.cuda.sequence import BACKWARD_BUFFERS  # noqa: E402

CONFIGURATIONS = 60


def room(way, hidden_size, itemsize, row_groups=4):
    """A GPU whose shared memory makes the rule go one way."""
    units = padded(hidden_size)
    exchanged = row_groups * units * BACKWARD_BUFFERS * itemsize
    outgoing = 4 * units * itemsize
    resident = {"whole": hidden_size, "part": -(-hidden_size // 2), "steps": -1}[way]
    return Device(multiprocessors=2, shared_bytes=exchanged + resident * outgoing if resident >= 0 else 0)


WAYS = ("whole", "part", "steps", "spread")


def take(monkeypatch, way, sizes):
    """Make the rules take a way; on a GPU, sizes take their own, but for "steps", which is for very large layers."""
    if way == "spread" and SIMULATED:
        monkeypatch.setattr(launch, "_SPREAD_UNITS", 2)
        monkeypatch.setattr(lstm, "plan_sequence", lambda *_: None)
        monkeypatch.setattr(lstm, "device", lambda: Device(multiprocessors=9, shared_bytes=227 * 1024))
    elif way == "steps" or SIMULATED:
        monkeypatch.setattr(lstm, "device", lambda: room(way, sizes[3], 4))


def random_case(generator, dtype="float32"):
    """Sizes, lengths and masks of one configuration."""
    largest = (9, 5, 6, 8) if SIMULATED else (300, 40, 70, 300)
    sizes = tuple(int(generator.integers(1, size + 1)) for size in largest)
    keys = generator.integers(1, 1 << 30, 2)
    per_step = bool(generator.integers(2))
    dropped = bool(generator.integers(2))
    masks = [mask(rate, per_step, int(key)) if dropped else NO_MASK for rate, key in zip((0.2, 0.4), keys, strict=True)]
    lengths = generator.integers(1, sizes[1] + 1, sizes[0]) if generator.integers(2) else None
    return Case(generator, sizes, dtype, tuple(masks)), lengths


def results(case, ops, lengths):
    return [*case.forward(ops, lengths=lengths), *case.backward(ops, lengths=lengths)]


@pytest.mark.parametrize("number", range(CONFIGURATIONS))
def test_outputs_and_gradients_agree_with_the_cpu_in_random_configurations(monkeypatch, number):
    generator = np.random.default_rng((20260101, number))
    case, lengths = random_case(generator)
    way = WAYS[number % 4]
    take(monkeypatch, way, case.sizes)
    ours = results(case, CUDA, lengths)
    expected = results(case, get_ops("cpu"), lengths)
    for name, array, other in zip(
        ("y", "h_n", "c_n", "w_ih", "w_hh", "bias", "dx", "dh_0", "dc_0"), ours, expected, strict=True
    ):
        assert relative_error(array, other) < 1e-5, (name, case.sizes, way)


@pytest.mark.parametrize("way", ["whole", "part", "steps"])
def test_the_rule_takes_the_way_that_these_tests_mean(way):
    for hidden_size in range(1, 9):
        plan = lstm.plan_sequence(1, 9, hidden_size, 4, BACKWARD_BUFFERS, room(way, hidden_size, 4))
        assert (plan is None) == (way == "steps")
        if way == "whole":
            assert plan.resident == hidden_size
        if way == "part" and hidden_size > 1:
            assert plan.resident < hidden_size or plan.row_groups < 4


def test_a_layer_that_is_spread_has_blocks_that_share_its_units_and_blocks_that_share_its_rows(monkeypatch):
    sizes = (9, 5, 6, 8) if SIMULATED else (128, 5, 6, 512)
    take(monkeypatch, "spread", sizes)
    plan = CUDA.lstm_workspace(*sizes, "float32").spread.plan
    assert plan.tiles > 1
    assert plan.row_tiles > 1
    assert plan.parts > 1


@pytest.mark.skipif(not SIMULATED, reason="on a GPU every sequence is spread in one launch")
def test_all_steps_in_one_launch_are_those_of_a_launch_each_where_one_block_has_all_units(monkeypatch):
    case, lengths = random_case(np.random.default_rng(5))
    monkeypatch.setattr(lstm, "plan_sequence", lambda *_: None)
    found = [results(case, CUDA, lengths)]
    assert case.workspace.spread.plan.tiles == 1
    monkeypatch.setattr(spread, "_steps_of_a_launch", lambda steps: steps)
    found.append(results(case, CUDA, lengths))
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_workspace_without_training_refuses_the_backward_pass(rng):
    case = Case(rng, (3, 4, 2, 5), "float32")
    case.forward(CUDA, workspace=CUDA.lstm_workspace(*case.sizes, case.dtype, training=False))
    with pytest.raises(ValueError, match="made without training"):
        case.backward(CUDA)


def test_the_bits_do_not_depend_on_where_the_weights_lie_or_how_the_rows_are_shared(monkeypatch):
    case, lengths = random_case(np.random.default_rng(5))
    found = []
    for gpu in (room("whole", 8, 4), room("part", 8, 4), Device(1, 227 * 1024), Device(100, 227 * 1024)):
        monkeypatch.setattr(lstm, "device", lambda gpu=gpu: gpu)
        found.append(results(case, CUDA, lengths))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("way", ["whole", "steps", "spread"])
def test_the_same_input_gives_the_same_bits(monkeypatch, way):
    case, lengths = random_case(np.random.default_rng(6))
    take(monkeypatch, way, case.sizes)
    for one, two in zip(results(case, CUDA, lengths), results(case, CUDA, lengths), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("way", ["whole", "spread"])
def test_a_pass_without_training_gives_the_same_outputs_and_leaves_the_steps_out(monkeypatch, rng, way):
    case = Case(rng, (3, 4, 2, 5 if SIMULATED or way == "whole" else 300), "float32")
    take(monkeypatch, way, case.sizes)
    expected = case.forward(CUDA)
    workspace = CUDA.lstm_workspace(*case.sizes, case.dtype, training=False)
    workspace.tanh_cell.copy_to_device(np.full(workspace.tanh_cell.shape, 7, "float32"))
    for one, two in zip(case.forward(CUDA, workspace=workspace), expected, strict=True):
        np.testing.assert_array_equal(one, two)
    assert (workspace.tanh_cell.copy_to_host() == 7).all()
