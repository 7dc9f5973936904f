"""How a language model writes: token after token, drawn from what it expects."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gatecast.data.errors import InputError
from gatecast.data.language.text import Vocabulary
from gatecast.lstm.language.network import TextNetwork

__all__ = ["Writer"]

# Tokens that are written at once: few enough that a terminal shows them as they come.
_STEPS = 64


class Writer:
    """Writes with the weights that a network has when the writer is made; they are packed once.

    Parameters
    ----------
    network : TextNetwork
    vocabulary : Vocabulary
    """

    def __init__(self, network: TextNetwork, vocabulary: Vocabulary):
        self._network = network
        self._vocabulary = vocabulary
        self._packed = network.make_writer()

    def stream(
        self,
        prompt: str,
        length: int,
        temperature: float,
        top_k: int | None,
        top_p: float,
        seed: int,
        stop: str | None,
    ) -> Iterator[str]:
        """Give what follows a prompt, in parts; see `gatecast.CharLM.generate`."""
        for name, value, fits, allowed in (
            ("length", length, length >= 0, "0 or more"),
            ("temperature", temperature, 0 <= temperature < math.inf, "0 or more"),
            ("top_k", top_k, top_k is None or top_k >= 1, "1 or more"),
            ("top_p", top_p, 0 < top_p <= 1, "above 0 and at most 1"),
            ("seed", seed, seed >= 0, "0 or more"),
        ):
            if not fits:
                raise InputError(f"{name} is {value}; it has to be {allowed}.")
        if stop == "":
            raise InputError("The stop string is empty; leave it out or give one.")
        tokens = self._tokens(self._vocabulary.encode(prompt or "\n"), length, temperature, top_k, top_p, seed)
        return _until(stop, (self._vocabulary.decode(part) for part in tokens))

    def _tokens(
        self, prompt: np.ndarray, length: int, temperature: float, top_k: int | None, top_p: float, seed: int
    ) -> Iterator[np.ndarray]:
        """Give the numbers of the tokens that follow a prompt, some at a time."""
        network = self._network
        ops = self._network.ops
        h, c = network.read(prompt[:-1])
        token = int(prompt[-1])
        generator = np.random.default_rng(seed)
        most = top_k or len(self._vocabulary)
        for first in range(0, length, _STEPS):
            count = min(_STEPS, length - first)
            tokens = ops.zeros((count,), "int64")
            draws = ops.as_array(generator.random(count), network.dtype)
            ops.generate_tokens(self._packed, token, h, c, draws, temperature, most, top_p, tokens)
            written = ops.to_host(tokens)
            token = int(written[-1])
            yield written


def _until(stop: str | None, parts: Iterator[str]) -> Iterator[str]:
    """Yield the parts of a text up to a string, holding back what could be its beginning."""
    if stop is None:
        yield from parts
        return
    held = ""
    for part in parts:
        held += part
        before, found, _ = held.partition(stop)
        if found:
            yield before
            return
        sure = len(held) - next((n for n in range(len(stop) - 1, 0, -1) if held.endswith(stop[:n])), 0)
        yield held[:sure]
        held = held[sure:]
    yield held
