"""A character model: training step and writing compared with torch, the quality after three minutes, and the memory.

Both sides train embedding, one LSTM layer and softmax on the same pieces of the sample text, with the state carried
from piece to piece, clipping and Adam; one bias for each gate, as in `benchmarks.trainers`. Gatecast computes what a
character adds to the gates once a step for each character of the vocabulary, see `lstm.nn.gate_table`. Writing draws
one character after another; torch runs its own layers step by step, without gradients.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np

from benchmarks.measure import Case, Plan, installed, require_agreement, take_turns
from benchmarks.processes import run_program
from benchmarks.programs.train_char_lm import BATCH_SIZE, HIDDEN_SIZE, SEQ_LEN
from benchmarks.results import Bounded, Comparison, Quality
from benchmarks.sizes import Sizes

__all__ = ["cases", "sample", "torch_training"]

TRAINING = "character model"
WRITING = "writing characters"
MEMORY = "memory of"
QUALITY = "quality"
_LEARNING_RATE = 1e-3
_GRADIENT_CLIP = 1.0
_PIECES = 16
_PIECES_TO_AGREE = 4
_WRITTEN = 500
_MINUTES = 3.0
_MEMORY_MINUTES = 0.4
_MEMORY_LIMIT = 600_000_000
_MEMORY_SECONDS = 60.0


class _Entry(NamedTuple):
    sizes: Sizes
    floor: float
    quick: bool


_ENTRIES = (
    _Entry(Sizes(64, 64, 64, 128), 1.5, True),
    _Entry(Sizes(64, 64, 64, 512), 1.2, False),
)


def cases(plan: Plan) -> list[Case]:
    """Return a case for each size, one for writing and one for the quality; the quick form has the first alone."""
    entries = [entry for entry in _ENTRIES if entry.quick or not plan.quick]
    steps = [Case(f"{TRAINING} {entry.sizes}", partial(_compare_training, entry, plan)) for entry in entries]
    if plan.quick:
        return steps
    return [
        *steps,
        Case(f"{WRITING} 512", partial(_compare_writing, 512, plan)),
        Case(f"{MEMORY} CharLM", partial(_hold, plan)),
        Case(f"{QUALITY} CharLM", _train_for_minutes),
    ]


def sample() -> tuple[np.ndarray, int]:
    """Return the sample text as tokens, and the size of its vocabulary."""
    from gatecast.data.language.text import Vocabulary, sample_text

    text = sample_text()
    vocabulary = Vocabulary.build(text)
    return vocabulary.encode(text), len(vocabulary)


def _compare_training(entry: _Entry, plan: Plan) -> list[Comparison]:
    from gatecast.data.language.text import TextStreams
    from gatecast.lstm.language.network import TextNetwork
    from gatecast.lstm.training.optim import Adam

    sizes = entry.sizes
    tokens, vocabulary_size = sample()
    pieces = list(islice(TextStreams(tokens, sizes.batch_size, sizes.seq_len, 0).epoch(1), _PIECES))
    network = TextNetwork(vocabulary_size, sizes.input_size, sizes.hidden_size, 1)
    sides = {}
    if installed("torch"):
        sides["torch"] = torch_training(network.parameters.to_host(), pieces)
    optimizer = Adam(network.parameters, network.ops, gradient_clip=_GRADIENT_CLIP)
    ours = cycle(pieces)
    state = None

    def step() -> float:
        nonlocal state
        loss, state = network.backpropagate(next(ours), state, 0)
        optimizer.step(_LEARNING_RATE)
        return loss

    sides = {"gatecast": step, **sides}
    note = "torch is not installed"
    if "torch" in sides:
        losses = {name: [work() for _ in range(_PIECES_TO_AGREE)] for name, work in sides.items()}
        note = f"losses agree to {require_agreement(losses['gatecast'], losses['torch']):.0e}"
    timings = take_turns(sides, plan)
    rows = sizes.batch_size * sizes.seq_len
    # What Gatecast computes: torch multiplies every embedding with the input weights, forward, for dx and for dW.
    recurrent = sizes._replace(input_size=0).training_flop()
    table = 3 * 2 * vocabulary_size * sizes.input_size * 4 * sizes.hidden_size
    head = 3 * 2 * rows * sizes.hidden_size * vocabulary_size
    tokens_per_second = rows / timings["gatecast"].seconds.median
    row = Comparison(
        group=TRAINING, name=str(sizes), peer="torch", gatecast=timings["gatecast"], other=timings.get("torch"),
        flop=recurrent + table + head, floor=entry.floor,
        note=f"{tokens_per_second:,.0f} characters/s; {note}",
    )  # fmt: skip
    return [row]


def torch_training(weights: dict[str, np.ndarray], pieces: list[Any], device: str = "cpu") -> Callable[[], float]:
    """Return a callable that trains torch's model on the next of the pieces and returns its loss."""
    import torch

    model = _torch_model(weights).to(device)
    for name, value in model.named_parameters():
        value.requires_grad_("bias_hh" not in name)
    parameters = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=_LEARNING_RATE, fused=True)
    batches = cycle([[torch.from_numpy(array).to(device) for array in piece[:2]] for piece in pieces])
    state = None

    def step() -> float:
        """Train on the next batch, the state carried on; return its loss."""
        nonlocal state
        inputs, targets = next(batches)
        optimizer.zero_grad()
        y, (h, c) = model["lstm"](model["embedding"](inputs), state)
        state = h.detach(), c.detach()
        loss = torch.nn.functional.cross_entropy(model["head"](y).flatten(0, 1), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, _GRADIENT_CLIP)
        optimizer.step()
        return loss.item()

    return step


def _torch_model(weights: dict[str, np.ndarray]) -> Any:
    """Return embedding, LSTM and linear layer with these weights, under torch's names, and second biases of zero."""
    import torch

    vocabulary_size, embedding_size = weights["embedding.weight"].shape
    hidden_size = weights["lstm.weight_hh_l0"].shape[1]
    model = torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(vocabulary_size, embedding_size),
            "lstm": torch.nn.LSTM(embedding_size, hidden_size, batch_first=True),
            "head": torch.nn.Linear(hidden_size, vocabulary_size),
        }
    )
    second = {"lstm.bias_hh_l0": np.zeros_like(weights["lstm.bias_ih_l0"])}
    # Copies: torch would train in the memory of the arrays it is given.
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in (weights | second).items()})
    return model


def _compare_writing(hidden_size: int, plan: Plan) -> list[Comparison]:
    from gatecast.lstm.language.network import TextNetwork

    _, vocabulary_size = sample()
    network = TextNetwork(vocabulary_size, 64, hidden_size, 1)
    ops = network.ops
    writer = network.make_writer()
    generator = np.random.default_rng(0)
    written = np.zeros(_WRITTEN, np.int64)

    def write() -> None:
        h, c = network.read(np.array([1, 2, 3]))
        draws = generator.random(_WRITTEN).astype("float32")
        ops.generate_tokens(writer, 1, h, c, draws, 1.0, vocabulary_size, 1.0, written)

    sides: dict[str, Callable[[], Any]] = {"gatecast": write}
    if installed("torch"):
        sides["torch"] = _torch_writing(network.parameters.to_host())
    timings = take_turns(sides, plan)
    pace = _WRITTEN / timings["gatecast"].seconds.median
    row = Comparison(
        group=WRITING, name=f"{_WRITTEN} at hidden {hidden_size}", peer="torch", gatecast=timings["gatecast"],
        other=timings.get("torch"), note=f"{pace:,.0f} characters/s; at least 5,000 are asked for",
    )  # fmt: skip
    return [row]


def _torch_writing(weights: dict[str, np.ndarray]) -> Callable[[], None]:
    import torch

    model = _torch_model(weights)

    @torch.no_grad()
    def write() -> None:
        token = torch.tensor([[3]])
        state = None
        for _ in range(_WRITTEN):
            y, state = model["lstm"](model["embedding"](token), state)
            token = torch.multinomial(model["head"](y[0, 0]).softmax(0), 1)[None]

    return write


def _hold(plan: Plan) -> list[Bounded]:
    """Measure the memory of a training whose kernels are on disk: a separate process puts them there."""
    for minutes in (0.01, _MEMORY_MINUTES):
        _, found = run_program("train_char_lm", str(minutes), timeout=plan.remaining())
    name = f"CharLM on the sample text (1.1 MB), batch {BATCH_SIZE}, seq {SEQ_LEN}, hidden {HIDDEN_SIZE}"
    return [
        Bounded(
            name=name, seconds=found["seconds"], seconds_limit=_MEMORY_SECONDS, memory=found["memory"],
            memory_limit=_MEMORY_LIMIT,
        )
    ]  # fmt: skip


def _train_for_minutes() -> list[Quality]:
    from gatecast import CharLM
    from gatecast.data.language.text import sample_text, split_text

    text = sample_text()
    CharLM(max_epochs=1).fit(text[: len(text) // 50])  # compiles the kernels, or loads them
    begun = time.perf_counter()
    model = CharLM(max_minutes=_MINUTES).fit(text)
    seconds = time.perf_counter() - begun
    _, validation = split_text(text, model.settings.validation_fraction)
    result = model.evaluate(validation)
    return [
        Quality(
            name=f"CharLM on the sample text, {_MINUTES:g} minutes of training, {model.history[-1].step:,} steps",
            measure="nats per character of the last tenth", value=result["cross_entropy"], allowed=1.56, aim=1.50,
            seconds=seconds,
        )
    ]  # fmt: skip
