"""What each entry of a small vocabulary adds to the gates of the LSTM that reads it."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from kernels.lookup import Lookup
from lstm.layers import Embedding
from lstm.recurrent import LSTM

__all__ = ["GateTable"]

# Steps that each entry of the vocabulary must be read on average for its row of the table to be worth its making, and
# the memory of its gradient.
_WORTH_STEPS = 4


class GateTable:
    """An embedding and the first layer's input product in one: a row of ``weight_ih @ embedding + bias_ih`` each.

    An LSTM over a text spends up to a third of its arithmetic on products of the same few vectors with the same
    weights. Here there is one product for each entry of the vocabulary, and its gradient is one product again:

    ::

        table = embedding @ weight_ih.T + bias_ih

    Parameters
    ----------
    embedding : Embedding
    lstm : LSTM
        In one direction, without dropout on inputs; it reads what `forward` returns.
    ops : module
        The backend of both.
    """

    def __init__(self, embedding: Embedding, lstm: LSTM, ops: ModuleType):
        self._ops, self._embedding, self._lstm = ops, embedding, lstm
        vocabulary_size, embedding_size, width = (
            embedding.vocabulary_size,
            embedding.embedding_size,
            4 * lstm.hidden_size,
        )
        self._workspace = ops.linear_workspace(vocabulary_size, embedding_size, width, lstm.dtype)
        self._entries = ops.as_array(np.arange(vocabulary_size), "int64")
        self._table = ops.zeros((vocabulary_size, width), lstm.dtype)
        self._d_embedding = ops.zeros((vocabulary_size, embedding_size), lstm.dtype)

    def is_worth(self, steps: int) -> bool:
        """Whether reading so many steps, of all sequences, takes less this way than as vectors."""
        return steps >= _WORTH_STEPS * self._embedding.vocabulary_size

    def forward(self, indices: np.ndarray) -> Lookup:
        """Return what the LSTM reads for indices (batch, seq); the table serves until the next call."""
        parameters = self._lstm.parameters
        weights = self._ops.LinearWeights(parameters["weight_ih_l0"], parameters["bias_ih_l0"])
        self._ops.linear_forward(weights, self._embedding.parameters["weight"], self._workspace, self._table)
        return Lookup(self._table, self._ops.as_array(self._embedding.checked(indices), "int64"))

    def backward(self, gradient: Lookup, accumulate: bool = False) -> None:
        """Write the gradients of embedding, ``weight_ih_l0`` and ``bias_ih_l0`` from what the LSTM's backward returns.

        They are ``=``; with `accumulate` the embedding's is ``+=``, see `Embedding.backward`.
        """
        parameters = self._lstm.parameters
        weights, gradients = (
            self._ops.LinearWeights(of("weight_ih_l0"), of("bias_ih_l0"))
            for of in (parameters.__getitem__, parameters.gradient)
        )
        self._ops.linear_backward(weights, gradient.table, self._workspace, gradients, self._d_embedding)
        d_weight = self._embedding.parameters.gradient("weight")
        self._ops.embedding_backward(self._entries, self._d_embedding, d_weight, accumulate)
