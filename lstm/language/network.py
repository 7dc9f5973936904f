"""Embedding, LSTM layers and softmax: the network of `CharLM`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatecast.data.language.text import Piece
from gatecast.kernels import get_backend
from gatecast.kernels.lookup import Lookup
from gatecast.lstm.nn.gate_table import GateTable
from gatecast.lstm.nn.initialisation import Initialisation
from gatecast.lstm.nn.layers import Dropout, Embedding, Linear
from gatecast.lstm.nn.parameters import Parameters
from gatecast.lstm.nn.recurrent import LSTM, State

__all__ = ["TextNetwork"]


class TextNetwork:
    """Predicts what comes after each token of a text.

    Parameters
    ----------
    vocabulary_size, embedding_size, hidden_size, num_layers : int
    tie_weights : bool
        Let the embedding's weight be the softmax's too (Press & Wolf 2017, arXiv 1608.05859); the sizes of embedding
        and hidden state are equal then.
    dropout, recurrent_dropout, embedding_dropout : float
        Shares of what is dropped in training, with one mask for all steps of a piece (Gal & Ghahramani 2016, arXiv
        1512.05287): of the hidden states that the next layer or the softmax reads, of those that a layer's own next
        step reads, and of the embeddings.
    dtype : {"float32", "float64"}
    backend : {"cpu", "cuda", "auto"}
    seed : int
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_size: int,
        hidden_size: int,
        num_layers: int,
        *,
        tie_weights: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        dtype: str = "float32",
        backend: str = "cpu",
        seed: int = 0,
    ):
        self.ops = get_backend(backend)
        self.dtype = dtype
        self.tie_weights = tie_weights
        generator = np.random.default_rng(seed)
        options: dict[str, Any] = {"dtype": dtype, "backend": backend, "seed": generator}
        # Logits are products with the embedding if it is shared, and should begin small.
        scale = hidden_size**-0.5 if tie_weights else 1.0
        self.embedding = Embedding(vocabulary_size, embedding_size, scale=scale, **options)
        self.lstm = LSTM(
            embedding_size, hidden_size, num_layers, dropout=dropout, recurrent_dropout=recurrent_dropout,
            input_dropout=embedding_dropout, initialisation=Initialisation(forget_bias=1.0), **options,
        )  # fmt: skip
        self._gate_table = GateTable(self.embedding, self.lstm, self.ops)
        self.dropout = Dropout(dropout, dtype=dtype, backend=backend, seed=seed)
        head = Linear(hidden_size, vocabulary_size, **options).parameters
        if tie_weights:
            head = Parameters({"bias": np.zeros(vocabulary_size, dtype)}, self.ops)
        self._head = head
        parts = {"embedding": self.embedding.parameters, "lstm": self.lstm.parameters, "head": head}
        self.parameters = Parameters.join(parts, self.ops)
        self._workspaces: dict[int, Any] = {}

    def backpropagate(self, piece: Piece, state: State | None, step: int) -> tuple[float, State]:
        """Write the gradients of one piece, ``=``; return its mean cross-entropy and the state after it.

        The incoming state is a constant: no gradient flows into the piece before (truncated back-propagation through
        time).
        """
        y, state = self.lstm.forward(self._inputs(piece.inputs, training=True), state, training=True, step=step)
        hidden = self.dropout.forward(y, training=True, step=step).reshape(-1, y.shape[2])
        # The gradient takes the place of the hidden states, which are no longer needed.
        loss, _, _ = self._softmax(hidden, piece, self._softmax_weights(gradient=True), hidden)
        d_inputs, _ = self.lstm.backward(self.dropout.backward(hidden.reshape(y.shape)))
        reader = self._gate_table if isinstance(d_inputs, Lookup) else self.embedding
        reader.backward(d_inputs, accumulate=self.tie_weights)
        return loss, state

    def score(self, piece: Piece, state: State | None) -> tuple[np.ndarray, np.ndarray, State]:
        """Run through one piece.

        Returns
        -------
        losses : (streams, seq_len) array
            Cross-entropy of each target in nats, 0 for one that does not count.
        predictions : int64, (streams, seq_len)
            The most probable token at each step.
        state : (h_n, c_n)
        """
        y, state = self.lstm.forward(self._inputs(piece.inputs, training=False), state, training=False)
        losses = np.zeros(piece.targets.shape, self.dtype)
        predictions = np.zeros(piece.targets.shape, np.int64)
        if piece.counts.any():
            _, *results = self._softmax(y.reshape(-1, y.shape[2]), piece)
            losses, predictions = (self.ops.to_host(array).reshape(piece.targets.shape) for array in results)
        return losses, predictions, state

    def read(self, tokens: np.ndarray) -> State:
        """Return the state, (num_layers, hidden_size) each, after some tokens; it may be written to."""
        shape = (self.lstm.num_layers, self.lstm.hidden_size)
        if len(tokens) == 0:
            return self.ops.zeros(shape, self.dtype), self.ops.zeros(shape, self.dtype)
        _, (h, c) = self.lstm.forward(self._inputs(tokens[None], training=False), training=False, every_step=False)
        return h.reshape(shape), c.reshape(shape)

    def make_writer(self) -> Any:
        """Pack the present weights for ``ops.generate_tokens``, which then never writes entry 0, ``<unk>``."""
        ops = self.ops
        head = self._softmax_weights()
        bias = ops.to_host(head.bias)
        bias[0] = -np.inf
        parameters = self.lstm.parameters
        layers = [
            ops.LSTMWeights(*(parameters[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih")))
            for layer in range(self.lstm.num_layers)
        ]
        head = ops.LinearWeights(head.weight, ops.as_array(bias, self.dtype))
        return ops.generation_workspace(self.embedding.parameters["weight"], layers, head)

    def _inputs(self, tokens: np.ndarray, training: bool) -> Any | Lookup:
        """Return what the LSTM reads: embeddings, or what they add to its gates if the vocabulary is small."""
        is_dropped = training and self.lstm.dropout_rates.input > 0
        if is_dropped or not self._gate_table.is_worth(*tokens.shape):
            return self.embedding.forward(tokens)
        return self._gate_table.forward(tokens)

    def _softmax(
        self, hidden: Any, piece: Piece, gradients: Any | None = None, d_hidden: Any | None = None
    ) -> tuple[float, Any, Any]:
        ops = self.ops
        rows = hidden.shape[0]
        if rows not in self._workspaces:
            if len(self._workspaces) == 2:  # as in LSTM: the pieces of training and those of scoring
                self._workspaces.clear()
            self._workspaces[rows] = ops.softmax_workspace(
                rows, self.lstm.hidden_size, self.embedding.vocabulary_size, self.dtype
            )
        losses = ops.zeros((rows,), self.dtype)
        predictions = ops.zeros((rows,), "int64")
        loss = ops.softmax_cross_entropy(
            self._softmax_weights(), hidden, ops.as_array(piece.targets.ravel(), "int64"),
            ops.as_array(piece.counts.ravel(), self.dtype), self._workspaces[rows], losses, predictions,
            gradients, d_hidden,
        )  # fmt: skip
        return loss, losses, predictions

    def _softmax_weights(self, gradient: bool = False) -> Any:
        weight = self.embedding.parameters if self.tie_weights else self._head
        if gradient:
            return self.ops.LinearWeights(weight.gradient("weight"), self._head.gradient("bias"))
        return self.ops.LinearWeights(weight["weight"], self._head["bias"])
