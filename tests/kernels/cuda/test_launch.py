from __future__ import annotations

import pytest

from tests.conftest import get_ops

get_ops("cuda")

from gatecast.kernels.cuda import launch  # noqa: E402
from gatecast.kernels.cuda.launch import ROWS, Device, padded, plan_sequence, plan_spread, tiles  # noqa: E402
from gatecast.kernels.cuda.sequence import BACKWARD_BUFFERS, FORWARD_BUFFERS  # noqa: E402

HOPPER = Device(multiprocessors=132, shared_bytes=227 * 1024)
OLDER = Device(multiprocessors=40, shared_bytes=64 * 1024)
BOTH = [FORWARD_BUFFERS, BACKWARD_BUFFERS]


def plan(hidden_size, batch_size=64, itemsize=4, buffers=BACKWARD_BUFFERS, gpu=HOPPER, models=1):
    return plan_sequence(models, batch_size, hidden_size, itemsize, buffers, gpu)


@pytest.mark.parametrize("buffers", BOTH)
def test_small_layers_lie_in_shared_memory_whole_and_larger_ones_in_part(buffers):
    for hidden_size in (1, 7, 32, 64, 96):
        assert plan(hidden_size, buffers=buffers).resident == hidden_size
    assert 64 < plan(128, buffers=buffers).resident < 128
    assert plan(256, buffers=buffers) is None
    assert plan(1024, buffers=buffers) is None


def test_wider_numbers_and_older_gpus_have_room_for_less():
    assert plan(128, itemsize=8) is None
    assert plan(64, itemsize=8) is not None
    assert plan(64, gpu=OLDER).resident < 64
    assert plan(96, gpu=OLDER) is None


@pytest.mark.parametrize("buffers", BOTH)
@pytest.mark.parametrize("gpu", [HOPPER, OLDER])
@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize("batch_size", [1, 3, 64, 1024, 5000])
def test_no_plan_asks_for_more_than_a_block_may_have(buffers, gpu, itemsize, batch_size):
    for hidden_size in range(1, 260):
        found = plan(hidden_size, batch_size, itemsize, buffers, gpu)
        if found is not None:
            units = padded(hidden_size)
            assert found.shared_bytes <= gpu.shared_bytes
            assert units * found.row_groups <= 256
            assert found.shared_bytes == itemsize * units * (found.row_groups * buffers + 4 * found.resident)


def test_blocks_take_more_rows_once_every_multiprocessor_has_one():
    assert plan(64, 64).row_groups == 1
    assert plan(64, 4 * 132).row_groups == 1
    assert plan(64, 8 * 132).row_groups == 2
    assert plan(64, 64, models=1000).row_groups == 4  # 256 threads: all that a block may have


@pytest.fixture
def _real_blocks(monkeypatch):
    """In the simulator blocks have few threads; the rule is held to those of a GPU."""
    monkeypatch.setattr(launch, "_SPREAD_THREADS", 256)


def spread(hidden_size, batch_size=64, itemsize=4, gpu=HOPPER, models=1):
    return plan_spread(models, batch_size, hidden_size, itemsize, gpu)


@pytest.mark.usefixtures("_real_blocks")
@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize("batch_size", [1, 3, 64, 130])
@pytest.mark.parametrize("gpu", [HOPPER, OLDER])
def test_blocks_that_wait_for_one_another_all_run_at_once_and_cover_units_and_rows(gpu, batch_size, itemsize):
    found = 0
    for hidden_size in range(1, 1100, 7):
        plan = spread(hidden_size, batch_size, itemsize, gpu)
        if plan is not None:
            found += 1
            assert plan.tiles * plan.row_tiles <= gpu.multiprocessors
            assert max(plan.forward_bytes, plan.backward_bytes) <= gpu.shared_bytes
            assert plan.units * plan.row_groups * plan.parts <= 512
            assert plan.tiles * plan.units >= hidden_size > (plan.tiles - 1) * plan.units
            assert plan.row_tiles * plan.row_groups * ROWS >= batch_size
            assert (plan.row_tiles - 1) * plan.row_groups * ROWS < batch_size
            assert 1 <= plan.chunk <= padded(hidden_size)
    assert found > 5


@pytest.mark.usefixtures("_real_blocks")
def test_layers_are_spread_until_units_or_rows_are_too_many():
    assert all(spread(hidden_size) for hidden_size in (161, 256, 512, 768, 1000))
    assert spread(2048) is None
    assert spread(1000, gpu=OLDER) is None
    assert spread(256, batch_size=50_000) is None
    assert spread(256, models=200) is None


def test_tiles_cover_a_product_and_shrink_where_there_would_be_too_few():
    for rows, columns in ((1, 1), (5, 3), (64, 512), (100, 2048), (7680, 512)):
        (x, y, copies), (width, height) = tiles(rows, columns, 3)
        assert copies == 3
        assert 4 * width * x >= columns > 4 * width * (x - 1)
        assert 4 * height * y >= rows > 4 * height * (y - 1)
        assert width <= 16
        assert height <= 16


def test_sizes_are_rounded_up_to_fours():
    assert [padded(units) for units in (1, 4, 5, 8)] == [4, 4, 8, 8]
