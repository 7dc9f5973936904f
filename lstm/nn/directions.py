"""How the LSTMs of one layer, one or two, read the same sequences and write one array."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from gatecast.lstm.nn.kept_arrays import KeptArrays

__all__ = ["Directions"]


class Directions:
    """The forward direction alone, or both; the second one reads every sequence from its true end.

    With one direction all methods return what they were given.

    Parameters
    ----------
    count : int
        1 or 2.
    hidden_size : int
        Of each direction.
    ops : module
    kept : KeptArrays
    """

    def __init__(self, count: int, hidden_size: int, ops: ModuleType, kept: KeptArrays):
        self._count = count
        self._hidden_size = hidden_size
        self._ops = ops
        self._kept = kept
        self._whole: dict[tuple[int, int], Any] = {}  # by batch and seq: lengths of sequences that are not padded

    def read(self, x: Any, lengths: Any | None) -> list[Any]:
        """Return what each direction reads."""
        if self._count == 1:
            return [x]
        turned = self._kept.get("turned", *x.shape)
        self._ops.copy_steps(x, 0, turned, 0, x.shape[2], self._all_lengths(x, lengths), True, False)
        return [x, turned]

    def join(self, outputs: list[Any], make: Callable[..., Any], lengths: Any | None) -> Any:
        """Return the outputs side by side, in the order of the steps; `make` takes a shape and returns an array."""
        if self._count == 1 or outputs[0] is None:
            return outputs[0]
        size = self._hidden_size
        joined = make(*outputs[0].shape[:2], 2 * size)
        lengths = self._all_lengths(joined, lengths)
        for direction, output in enumerate(outputs):
            self._ops.copy_steps(output, 0, joined, direction * size, size, lengths, direction == 1, False)
        return joined

    def split(self, dy: Any | None, lengths: Any | None) -> list[Any]:
        """Undo `join` for gradients."""
        if self._count == 1 or dy is None:
            return [dy] * self._count
        size = self._hidden_size
        parts = [self._kept.get(f"output gradient {direction}", *dy.shape[:2], size) for direction in range(2)]
        lengths = self._all_lengths(dy, lengths)
        for direction, part in enumerate(parts):
            self._ops.copy_steps(dy, direction * size, part, 0, size, lengths, direction == 1, False)
        return parts

    def add(self, gradients: list[Any], lengths: Any | None) -> Any:
        """Undo `read` for gradients: add them to the first, and return it."""
        total = gradients[0]
        if self._count == 2 and total is not None:
            lengths = self._all_lengths(total, lengths)
            self._ops.copy_steps(gradients[1], 0, total, 0, total.shape[2], lengths, True, True)
        return total

    def _all_lengths(self, array: Any, lengths: Any | None) -> Any:
        if lengths is not None:
            return lengths
        sizes = batch_size, seq_len = array.shape[:2]
        if sizes not in self._whole:
            if len(self._whole) == 4:  # as many as LSTM has workspaces
                self._whole.clear()
            self._whole[sizes] = self._ops.as_array(np.full(batch_size, seq_len), "int64")
        return self._whole[sizes]
