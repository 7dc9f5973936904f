"""The sizes of a row, and the arithmetic they stand for."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Sizes"]


class Sizes(NamedTuple):
    """One LSTM over one batch."""

    batch_size: int
    seq_len: int
    input_size: int
    hidden_size: int
    num_layers: int = 1

    def __str__(self) -> str:
        layers = "" if self.num_layers == 1 else f" x{self.num_layers} layers"
        return "/".join(map(str, self[:4])) + layers

    def forward_flop(self) -> float:
        """Floating-point operations of a forward pass: ``2 B T 4H (I + H)`` a layer."""
        return sum(self._product(input_size + self.hidden_size) for input_size in self._input_sizes())

    def training_flop(self) -> float:
        """Floating-point operations of a training step.

        A forward pass, as much again for the weight gradients, ``2 B T 4H H`` a layer for dh, and ``2 B T 4H I`` for
        dx of the layers above the first.
        """
        hidden = self.num_layers * self._product(self.hidden_size)
        inputs = sum(self._product(input_size) for input_size in self._input_sizes()[1:])
        return 2 * self.forward_flop() + hidden + inputs

    def _input_sizes(self) -> list[int]:
        return [self.input_size] + [self.hidden_size] * (self.num_layers - 1)

    def _product(self, depth: int) -> float:
        return 2.0 * self.batch_size * self.seq_len * 4 * self.hidden_size * depth
