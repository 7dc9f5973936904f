from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import gpu, gpu_method
from benchmarks.gpu_fleet import FleetTrainer
from benchmarks.gpu_method import Side, calls_per_turn, take_turns
from benchmarks.sizes import Sizes
from benchmarks.trainers import GatecastTrainer, draw_weights
from tests.conftest import SIMULATED, get_ops


def test_the_rows_are_those_that_are_asked_for():
    assert [str(sizes) for sizes in gpu.LAYERS] == [
        "64/60/8/64", "256/60/8/128", "1024/60/8/128", "64/100/64/256", "128/100/128/512"
    ]  # fmt: skip
    assert [floor for sizes, floor in gpu.LAYERS.items() if sizes.hidden_size <= 128] == [1, 1, 1]
    assert str(gpu.CHARACTERS) == "64/128/128/512"
    assert gpu.FLEET_MODELS == 1000


@pytest.mark.skipif(not SIMULATED, reason="here is a GPU, and the benchmark would run")
@pytest.mark.parametrize("simulator", ["0", "1"])
def test_without_a_gpu_it_ends_in_one_sentence(simulator, tmp_path):
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": simulator}
    command = [sys.executable, "-m", "benchmarks.gpu", "--output", str(tmp_path / "gpu.json")]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("The GPU benchmark cannot run")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "gpu.json").exists()


def test_sides_take_turns_of_as_many_calls_as_fill_them_and_the_median_counts():
    asked = []
    costs = {"quick": iter([3e-3, 3e-3, 0.5, 0.7, 0.6]), "slow": iter([3.0, 3.0, 1.0, 9.0, 2.0])}

    def side(name):
        def clock(work, calls):
            work()
            asked.append((name, calls))
            return next(costs[name])

        return Side(lambda: None, clock)

    found = take_turns({name: side(name) for name in costs}, turns=3)
    assert asked[:4] == [("quick", 3), ("quick", 3), ("slow", 3), ("slow", 3)], "warm-up, then how long one takes"
    assert asked[4:] == [("quick", 200), ("slow", 1)] * 3
    assert found == {"quick": pytest.approx(0.6 / 200), "slow": 2.0}


@pytest.mark.parametrize(("seconds", "calls"), [(1.0, 1), (1e-3, 200), (1e-9, 10_000), (0.0, 10_000)])
def test_a_turn_has_at_least_one_call_and_not_too_many(seconds, calls):
    assert calls_per_turn(seconds) == calls


def test_a_row_compares_like_with_like():
    row = gpu.Row("training step", {"gatecast": 2e-3, "cudnn": 1e-3}, 2e9, 0.5)
    assert row.ratio() == 0.5
    assert str(row) == (
        "training step: gatecast 2,000 us; cudnn 1,000 us; 1.0 TFLOP/s; 0.50 x cuDNN (at least 0.5 is asked for)"
    )
    graphs = {**row.seconds, "gatecast, graph": 1e-4, "cudnn, graph": 3e-4}
    assert row._replace(seconds=graphs).ratio() == pytest.approx(3)
    assert gpu.Row("alone", {"gatecast": 1.0}, 1e12).ratio() is None


def test_every_side_is_timed_as_it_is_called_and_as_a_graph(monkeypatch):
    monkeypatch.setattr(gpu, "take_turns", lambda sides: dict.fromkeys(sides, 1e-4))
    side = Side(lambda: None, gpu_method.numba_clock)
    assert gpu.timed({"gatecast": side}) == {"gatecast": 1e-4, "gatecast, graph": 1e-4}


def test_the_trainer_of_the_gpu_does_the_work_of_the_cpu(rng):
    get_ops("cuda")
    sizes = Sizes(3, 4, 2, 5)
    x, y = rng.normal(size=(3, 4, 2)).astype("float32"), rng.normal(size=(3, 1)).astype("float32")
    losses = []
    for backend in ("cpu", "cuda"):
        trainer = GatecastTrainer(sizes, draw_weights(sizes, 0), backend)
        as_array = trainer.network.ops.as_array
        losses.append([trainer.step(as_array(x, "float32"), as_array(y, "float32")) for _ in range(3)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_fleet_of_the_gpu_trains_every_model_as_the_cpu_trains_it_alone():
    ops = get_ops("cuda")
    sizes = Sizes(4, 3, 1, 4)
    models = 2
    fleet = FleetTrainer(sizes, models, seed=5)
    series, starts, y = (ops.to_host(array) for array in (fleet._series, fleet._starts, fleet._y))
    expected = []
    for model in range(models):
        trainer = GatecastTrainer(sizes, draw_weights(sizes, 5 + model))
        for batch in range(2):
            x = np.stack([series[first : first + sizes.seq_len] for first in starts[batch, model]])
            loss = trainer.step(x, y[batch, model])
        expected.append(loss)
    for _ in range(2):
        fleet.step()
    assert ops.to_host(fleet.losses).tolist() == pytest.approx(expected, rel=1e-4)
