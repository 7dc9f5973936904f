"""Gatecast compared with torch and cuDNN on one GPU: ``python -m benchmarks.gpu``.

Training steps and inference of one LSTM layer, a character model, and a fleet of small models trained at once; each
compared with what the card itself can do: its copy bandwidth and its rate of float32 matrix products. How it is timed:
`benchmarks.gpu_method`. Without a GPU it says so in one sentence and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.gpu_method import Side, numba_clock, record_torch, take_turns, torch_clock
from benchmarks.measure import installed, require_agreement
from benchmarks.sizes import Sizes

__all__ = ["CHARACTERS", "FLEET", "LAYERS", "Row", "main"]

LAYERS = {  # and the least ratio to cuDNN in float32 that is asked for, forward and backward
    Sizes(64, 60, 8, 64): 1.0,
    Sizes(256, 60, 8, 128): 1.0,
    Sizes(1024, 60, 8, 128): 1.0,
    Sizes(64, 100, 64, 256): 0.5,
    Sizes(128, 100, 128, 512): 0.5,
}
WINDOWS = (Sizes(32, 60, 1, 64), Sizes(64, 60, 8, 64))
CHARACTERS = Sizes(64, 128, 128, 512)
FLEET = Sizes(32, 60, 1, 32)
FLEET_MODELS = 1000
_STEPS_TO_AGREE = 3
_PIECES = 16
_WINDOW_ROWS = 5000


class Row(NamedTuple):
    """The result of one row."""

    name: str
    seconds: dict[str, float]
    """Of a call of each side"""
    flop: float
    floor: float | None = None
    """Least ratio of cuDNN's seconds to Gatecast's"""
    note: str = ""

    def ratio(self) -> float | None:
        """Return how many times as fast as cuDNN in float32 Gatecast is, both replayed if both could be."""
        for suffix in (", graph", ""):
            if f"cudnn{suffix}" in self.seconds and f"gatecast{suffix}" in self.seconds:
                return self.seconds[f"cudnn{suffix}"] / self.seconds[f"gatecast{suffix}"]
        return None

    def __str__(self) -> str:
        parts = [f"{name} {1e6 * seconds:,.0f} us" for name, seconds in self.seconds.items()]
        parts.append(f"{self.flop / self.seconds['gatecast'] / 1e12:.1f} TFLOP/s")
        ratio = self.ratio()
        if ratio is not None:
            parts.append(f"{ratio:.2f} x cuDNN" + (f" (at least {self.floor:g} is asked for)" if self.floor else ""))
        return f"{self.name}: " + "; ".join([*parts, *([self.note] if self.note else [])])


def main() -> int:
    """Measure all rows; return 1 if there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Gatecast and cuDNN on one GPU.")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/gpu.json"), help="the JSON file")
    arguments = parser.parse_args()
    from gatecast.kernels import BackendError, get_backend
    from gatecast.kernels.backend import describe

    try:
        get_backend("cuda")
    except BackendError as error:
        print(f"The GPU benchmark cannot run: {error}.", file=sys.stderr)
        return 1
    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        print("The GPU benchmark cannot run in Numba's simulator; unset NUMBA_ENABLE_CUDASIM.", file=sys.stderr)
        return 1
    card = {"gpu": describe()["gpu"], **rates()}
    print(f"{card['gpu']}\ncopies {card['copy_gb']:,.0f} GB/s, float32 products {card['product_tflop']:.1f} TFLOP/s")
    rows = []
    for row in measure():
        print(row, flush=True)
        rows.append(row)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    document = {"card": card, "rows": [{**row._asdict(), "ratio": row.ratio()} for row in rows]}
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")
    print(arguments.output.resolve())
    return 0


def rates() -> dict[str, float]:
    """Measure what the card can do: copy within its memory, GB/s read and written, and multiply, TFLOP/s in float32."""
    from numba import cuda

    source, target = (cuda.device_array(1 << 28, "float32") for _ in range(2))
    copied = take_turns({"copy": Side(lambda: target.copy_to_device(source), numba_clock)})["copy"]
    found = {"copy_gb": 2 * source.nbytes / copied / 1e9, "product_tflop": float("nan")}
    if installed("torch"):
        import torch

        a = torch.ones(8192, 8192, device="cuda")
        seconds = take_turns({"product": Side(lambda: a @ a, torch_clock)})["product"]
        found["product_tflop"] = 2 * 8192**3 / seconds / 1e12
    return found


def measure() -> Iterator[Row]:
    """Give the rows one after another."""
    for sizes, floor in LAYERS.items():
        yield from compare_layer(sizes, floor)
    for sizes in WINDOWS:
        yield compare_windows(sizes)
    yield compare_characters()
    yield train_fleet()


def compare_layer(sizes: Sizes, floor: float) -> Iterator[Row]:
    """Compare training steps, then inference, after checking that both sides reach the same losses."""
    from benchmarks.trainers import GatecastTrainer, TorchTrainer, draw_weights

    generator = np.random.default_rng(0)
    weights = draw_weights(sizes, seed=0)
    x = generator.normal(size=(sizes.batch_size, sizes.seq_len, sizes.input_size)).astype("float32")
    y = generator.normal(size=(sizes.batch_size, 1)).astype("float32")
    ours = GatecastTrainer(sizes, weights, "cuda")
    ops = ours.network.ops
    inputs = ops.as_array(x, "float32"), ops.as_array(y, "float32")
    losses = [ours.step(*inputs) for _ in range(_STEPS_TO_AGREE)]
    training = {"gatecast": Side(lambda: ours.train(*inputs), numba_clock)}
    inference = {"gatecast": Side(lambda: ours.network.forward(inputs[0]), numba_clock)}
    note = "torch is not installed"
    if installed("torch"):
        import torch

        peer = TorchTrainer(sizes, weights, "cuda")
        given = torch.from_numpy(x).cuda(), torch.from_numpy(y).cuda()
        torch.backends.cudnn.allow_tf32 = False
        note = f"losses agree to {require_agreement(losses, [peer.step(*given) for _ in losses]):.0e}"
        training["cudnn"] = Side(lambda: peer.train(*given), torch_clock)
        inference["cudnn"] = Side(lambda: peer.predict(given[0]), torch_clock)
    yield Row(f"training step {sizes}", timed(training), sizes.training_flop(), floor, note)
    yield Row(f"inference {sizes}", timed(inference), sizes.forward_flop())
    if installed("torch"):  # what cuDNN does if it may round to TF32, for comparison
        torch.backends.cudnn.allow_tf32 = True
        seconds = take_turns({"gatecast": training["gatecast"], "cudnn in TF32": training["cudnn"]})
        yield Row(f"training step {sizes}, cuDNN in TF32", seconds, sizes.training_flop())
        torch.backends.cudnn.allow_tf32 = False


def timed(sides: dict[str, Side]) -> dict[str, float]:
    """Return the seconds of each side as it is called, and as a CUDA graph."""
    from gatecast.kernels.cuda.call import record

    recorders = {"gatecast": record, "cudnn": record_torch}
    seconds = take_turns(sides)
    graphs = {f"{name}, graph": Side(recorders[name](side.work), side.clock) for name, side in sides.items()}
    return {**seconds, **take_turns(graphs)}


def compare_windows(sizes: Sizes) -> Row:
    """Compare a forecaster's step, which gathers its windows from the series, with torch's on a ready batch."""
    from benchmarks.trainers import GatecastWindowTrainer, TorchTrainer, draw_weights
    from gatecast.lstm.forecasting.window_steps import steps_per_call

    generator = np.random.default_rng(0)
    weights = draw_weights(sizes, seed=0)
    values = generator.normal(size=(_WINDOW_ROWS, sizes.input_size)).astype("float32")
    parameters = sum(array.size for array in weights.values())
    steps = steps_per_call(parameters * sizes.batch_size * sizes.seq_len)
    starts = generator.integers(0, _WINDOW_ROWS - sizes.seq_len, (steps, sizes.batch_size))
    ours = GatecastWindowTrainer(sizes, weights, values, "cuda")
    places = ours.places(starts)
    losses = [ours.steps(places)[0]]
    sides = {"gatecast": Side(lambda: ours.take(places), numba_clock)}
    note = "torch is not installed"
    if installed("torch"):
        import torch

        peer = TorchTrainer(sizes, weights, "cuda")
        x = np.stack([values[start : start + sizes.seq_len] for start in starts[0]])
        given = torch.from_numpy(x).cuda(), torch.from_numpy(values[starts[0] + sizes.seq_len, :1]).cuda()
        note = f"first losses agree to {require_agreement(losses, [peer.step(*given)]):.0e}"
        sides["cudnn"] = Side(lambda: [peer.train(*given) for _ in range(steps)], torch_clock)
    seconds = {name: found / steps for name, found in take_turns(sides).items()}
    return Row(f"training on windows {sizes}", seconds, sizes.training_flop(), note=f"{steps} steps a call; {note}")


def compare_characters() -> Row:
    """Compare training steps of a character model; both sides read every loss, as they do when they train."""
    from benchmarks.char_lm import sample, torch_training
    from gatecast.data.language.text import TextStreams
    from gatecast.lstm.language.network import TextNetwork
    from gatecast.lstm.training.optim import Adam

    sizes, (tokens, vocabulary_size) = CHARACTERS, sample()
    pieces = list(islice(TextStreams(tokens, sizes.batch_size, sizes.seq_len, 0).epoch(1), _PIECES))
    network = TextNetwork(vocabulary_size, sizes.input_size, sizes.hidden_size, 1, backend="cuda")
    sides = {}
    if installed("torch"):
        sides["cudnn"] = Side(torch_training(network.parameters.to_host(), pieces, "cuda"), torch_clock)
    optimizer = Adam(network.parameters, network.ops, gradient_clip=1.0)
    ours = cycle(pieces)
    state: Any = None

    def step() -> float:
        nonlocal state
        loss, state = network.backpropagate(next(ours), state, 0)
        optimizer.step(1e-3)
        return float(loss)

    sides = {"gatecast": Side(step, numba_clock), **sides}
    losses = {name: [side.work() for _ in range(_STEPS_TO_AGREE)] for name, side in sides.items()}
    note = "torch is not installed"
    if "cudnn" in losses:
        note = f"losses agree to {require_agreement(losses['gatecast'], losses['cudnn']):.0e}"
    seconds = take_turns(sides)
    head = 3 * 2 * sizes.batch_size * sizes.seq_len * sizes.hidden_size * vocabulary_size
    rate = sizes.batch_size * sizes.seq_len / seconds["gatecast"]
    flop = sizes.training_flop() + head
    return Row(f"character model {sizes}", seconds, flop, 0.5, f"{rate:,.0f} characters/s; {note}")


def train_fleet() -> Row:
    """Time a step of all models of a fleet, and how many models a second 200 steps each are."""
    from benchmarks.gpu_fleet import FLEET_STEPS, FleetTrainer

    step = FleetTrainer(FLEET, FLEET_MODELS, seed=0).step
    begun = time.perf_counter()
    seconds = take_turns({"gatecast": Side(step, numba_clock)})
    rate = FLEET_MODELS / (FLEET_STEPS * seconds["gatecast"])
    note = f"{rate:,.0f} models/s of {FLEET_STEPS} steps; `python -m benchmarks --rows fleet` gives the CPU's"
    print(f"  measured in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return Row(f"fleet of {FLEET_MODELS} models {FLEET}", seconds, FLEET_MODELS * FLEET.training_flop(), note=note)


if __name__ == "__main__":
    sys.exit(main())
