"""What each entry of a small vocabulary adds to the gates of the LSTM that reads it."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from gatecast.kernels.lookup import Lookup
from gatecast.lstm.nn.layers import Embedding
from gatecast.lstm.nn.recurrent import LSTM

__all__ = ["GateTable"]


class GateTable:
    """An embedding and the first layer's input product in one: ``weight_ih @ embedding + bias_ih`` of each entry.

    An LSTM over a text spends E / (E + H) of its arithmetic, for embeddings of E numbers and H units, on products of
    the same few vectors with the same weights. Here there is one product for each entry of the vocabulary, and its
    gradient is one product again:

    ::

        table = embedding @ weight_ih.T + bias_ih

    All entries take part in it, those that are not read with a gradient of zero; so an entry that is NaN spoils the
    gradient of ``weight_ih`` even if it is not read.

    Parameters
    ----------
    embedding : Embedding
    lstm : LSTM
        In one direction, without dropout on inputs; it reads what `forward` returns.
    ops : module
        The backend of both.
    """

    def __init__(self, embedding: Embedding, lstm: LSTM, ops: ModuleType):
        self._embedding = embedding
        self._lstm = lstm
        self._ops = ops
        self._memory: _Memory | None = None

    def is_worth(self, batch_size: int, seq_len: int) -> bool:
        """Whether reading `batch_size` sequences of `seq_len` steps takes less time this way than as vectors."""
        return self._ops.lookup_is_worth(batch_size, seq_len, self._embedding.vocabulary_size)

    def forward(self, indices: np.ndarray) -> Lookup:
        """Return what the LSTM reads for indices (batch, seq); the table serves until the next call."""
        memory = self._allocated()
        parameters = self._lstm.parameters
        weights = self._ops.LinearWeights(parameters["weight_ih_l0"], parameters["bias_ih_l0"])
        self._ops.linear_forward(weights, self._embedding.parameters["weight"], memory.workspace, memory.table)
        return Lookup(memory.table, indices)

    def backward(self, gradient: Lookup, accumulate: bool = False) -> None:
        """Write the gradients of embedding, ``weight_ih_l0`` and ``bias_ih_l0`` from what the LSTM's backward returns.

        They belong to the last `forward`, and are ``=``; with `accumulate` the embedding's is ``+=``, see
        `Embedding.backward`.
        """
        memory = self._allocated()
        parameters = self._lstm.parameters
        weights = self._ops.LinearWeights(parameters["weight_ih_l0"], parameters["bias_ih_l0"])
        gradients = self._ops.LinearWeights(parameters.gradient("weight_ih_l0"), parameters.gradient("bias_ih_l0"))
        self._ops.linear_backward(weights, gradient.table, memory.workspace, gradients, memory.d_embedding)
        d_weight = self._embedding.parameters.gradient("weight")
        self._ops.embedding_backward(memory.entries, memory.d_embedding, d_weight, accumulate)

    def _allocated(self) -> _Memory:
        """Return the memory, which is never allocated for a large vocabulary."""
        if self._memory is None:
            ops = self._ops
            dtype = self._lstm.dtype
            vocabulary_size = self._embedding.vocabulary_size
            size = self._embedding.embedding_size
            width = 4 * self._lstm.hidden_size
            self._memory = _Memory(
                ops.linear_workspace(vocabulary_size, size, width, dtype),
                ops.zeros((vocabulary_size, width), dtype),
                ops.zeros((vocabulary_size, size), dtype),
                ops.as_array(np.arange(vocabulary_size), "int64"),
            )
        return self._memory


class _Memory(NamedTuple):
    workspace: Any
    table: Any
    d_embedding: Any
    entries: Any  # 0, 1, ...: every entry of the embedding once
