"""`Attention`: the last hidden state looks back over all of them."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Literal, NamedTuple, Protocol, get_args

import numpy as np

from gatecast.kernels import get_backend
from gatecast.lstm.nn.columns import copy_columns
from gatecast.lstm.nn.initialisation import init_linear
from gatecast.lstm.nn.layers import Linear
from gatecast.lstm.nn.parameters import Parameters, require_dtype, require_size

__all__ = ["Attention", "Score"]

Score = Literal["dot", "general", "additive"]


class Attention:
    """Global attention over hidden states, and their mean joined to the state that asked (Luong et al. 2015).

    ::

        a_t = softmax over t of score(query, y_t)       context = sum over t of a_t * y_t
        output = tanh(weight_c @ [context | query] + bias)

    with one of the scores

    ::

        dot         query . y_t                                     Luong, Pham & Manning 2015, arXiv 1508.04025, eq. 8
        general     query . (weight_a @ y_t)                        the same
        additive    v . tanh(weight_q @ query + weight_k @ y_t)     Bahdanau, Cho & Bengio 2015, arXiv 1409.0473, A.1.2

    With several heads, the features are cut into as many equal parts; each has its own scores and weights.

    Parameters
    ----------
    size : int
        Features of a hidden state; of both directions together, if there are two.
    score : {"dot", "general", "additive"}
    heads : int
        A divisor of `size`.
    attention_size : int, optional
        Units of the additive score's tanh, a multiple of `heads`; by default a quarter of `size`, or somewhat more,
        since they are the whole cost of the score.
    dtype : {"float32", "float64"}
    backend : {"cpu", "cuda", "auto"}
    seed : int or Generator
    """

    def __init__(
        self,
        size: int,
        score: Score = "dot",
        heads: int = 1,
        *,
        attention_size: int | None = None,
        dtype: str = "float32",
        backend: str = "cpu",
        seed: int | np.random.Generator = 0,
    ):
        if score not in get_args(Score):
            raise ValueError(f"score is {score!r}; choose dot, general or additive")
        require_size("size", size)
        require_dtype(dtype)
        if attention_size is None:
            attention_size = heads * max(1, -(-size // (4 * heads))) if heads > 0 else size
        for name, features in (("size", size), ("attention_size", attention_size)):
            if features < 1 or heads < 1 or features % heads:
                raise ValueError(f"heads is {heads} and {name} {features}; heads must divide it, and both be positive")
        self.size = size
        self.score = score
        self.heads = heads
        self.dtype = dtype
        self._ops: ModuleType = get_backend(backend)
        generator = np.random.default_rng(seed)

        def linear(inputs: int, outputs: int, bias: bool) -> Linear:
            return Linear(inputs, outputs, bias=bias, dtype=dtype, backend=backend, seed=generator)

        if score == "additive":
            query = linear(size, attention_size, False)
            key = linear(size, attention_size, False).parameters
            v = Parameters({"weight": init_linear(attention_size, 1, generator, dtype)["weight"][0]}, self._ops)
            self._score: _Score = _AdditiveScore(query, key, v, self._ops)
        else:
            self._score = _ProductScore(linear(size, size, False) if score == "general" else None, self._ops)
        self._attention_size = attention_size if score == "additive" else 0
        self._projection = linear(2 * size, size, True)
        self.parameters = Parameters.join({**self._score.parts, "projection": self._projection.parameters}, self._ops)
        self._memories: dict[tuple[int, int], _Memory] = {}
        self._pass: _Pass | None = None

    def forward(self, y: Any, query: Any, lengths: Any | None = None) -> Any:
        """Look back from `query` over the hidden states.

        Parameters
        ----------
        y : (batch, seq, size) array
            Hidden states of every step; to be left unchanged until `backward`.
        query : (batch, size) array
            The last hidden state; to be left unchanged until `backward`.
        lengths : (batch,) integers from 1 to seq, optional
            True lengths; `y` beyond them is not read and has weight 0.

        Returns
        -------
        (batch, size) array
            To be left unchanged until `backward`.
        """
        ops = self._ops
        y = ops.as_array(y, self.dtype)
        query = ops.as_array(query, self.dtype)
        if y.ndim != 3 or y.shape[2] != self.size or query.shape != (y.shape[0], self.size) or 0 in y.shape:
            raise ValueError(
                f"y has shape {y.shape} and query {query.shape}; they must be (batch, seq, {self.size}), none of them "
                f"0, and (batch, {self.size})"
            )
        batch_size, seq_len, _ = y.shape
        memory = self._memory_for(batch_size, seq_len)
        true_lengths = memory.whole if lengths is None else _checked_lengths(lengths, batch_size, seq_len, ops)
        weights = ops.empty((batch_size, self.heads, seq_len), self.dtype)
        self._score.forward(query, y, true_lengths, memory.workspace, weights, memory.joined)
        copy_columns(ops, query, memory.joined, destination_column=self.size)
        output = self._projection.forward(memory.joined)
        ops.tanh_forward(output)
        self._pass = _Pass(query, y, true_lengths, memory.workspace, weights, output)
        return output

    def backward(self, d_output: Any, *, in_place: bool = False) -> tuple[Any, Any]:
        """Back-propagate, once after each `forward`; the gradients of the parameters are written, ``=``.

        Parameters
        ----------
        d_output : (batch, size) array
        in_place : bool
            True writes `dy` over `y`, which is in cache then; other memory would have to be fetched.

        Returns
        -------
        dy : (batch, seq, size) array
            Zero beyond the true lengths.
        d_query : (batch, size) array
        """
        if self._pass is None or self._pass.is_used:
            raise RuntimeError("backward needs a forward before it, and each such pass serves once")
        ops, (query, y, lengths, workspace, weights, output, _) = self._ops, self._pass
        self._pass = self._pass._replace(is_used=True)
        d_output = ops.as_array(d_output, self.dtype)
        if d_output.shape != query.shape:
            raise ValueError(f"d_output has shape {d_output.shape}; it must be {query.shape}")
        d_tanh = ops.empty(query.shape, self.dtype)
        ops.tanh_backward(output, d_output, d_tanh)
        d_joined = self._projection.backward(d_tanh)
        dy = y if in_place else ops.empty(y.shape, self.dtype)
        d_query = self._score.backward(query, y, lengths, weights, d_joined, workspace, dy)
        copy_columns(ops, d_joined, d_query, source_column=self.size, accumulate=True)
        return dy, d_query

    def _memory_for(self, batch_size: int, seq_len: int) -> _Memory:
        sizes = batch_size, seq_len
        if sizes not in self._memories:
            if len(self._memories) == 2:  # as in Linear: a full batch and the last one of an epoch
                self._memories.clear()
            ops = self._ops
            self._memories[sizes] = _Memory(
                ops.attention_workspace(batch_size, seq_len, self.size, self.heads, self.dtype, self._attention_size),
                ops.empty((batch_size, 2 * self.size), self.dtype),
                ops.as_array(np.full(batch_size, seq_len), "int64"),
            )
        return self._memories[sizes]

    @property
    def weights(self) -> np.ndarray:
        """Weights of the last forward pass: (batch, seq), or (batch, heads, seq) with several heads; rows add up to 1.

        They are zero beyond the true lengths.
        """
        if self._pass is None:
            raise RuntimeError("there are no weights before the first forward")
        weights = self._ops.to_host(self._pass.weights)
        return weights[:, 0] if self.heads == 1 else weights


class _Memory(NamedTuple):
    """What a pass over batches of one shape needs, reused from pass to pass."""

    workspace: Any
    joined: Any  # (batch, 2 * size): [context | query]
    whole: Any  # (batch,): lengths of sequences that are not padded


class _Pass(NamedTuple):
    """What a forward pass leaves for the backward pass."""

    query: Any
    y: Any
    lengths: Any
    workspace: Any
    weights: Any
    output: Any
    is_used: bool = False


class _Score(Protocol):
    """How query and hidden states become weights and context."""

    parts: dict[str, Parameters]

    def forward(self, query: Any, y: Any, lengths: Any, workspace: Any, weights: Any, context: Any) -> None:
        """Write weights (batch, heads, seq) and the first columns of context (batch, size or more), ``=``."""
        ...

    def backward(self, query: Any, y: Any, lengths: Any, weights: Any, d_context: Any, workspace: Any, dy: Any) -> Any:
        """Write `dy`, ``=``; return the gradient of the query."""
        ...


class _ProductScore:
    """Dot; and general, in which the query goes through a layer first: ``query . (W @ y)`` is ``(W.T @ query) . y``.

    The layer's weight is the transpose of Luong's, so that it is multiplied once, with the query.
    """

    def __init__(self, layer: Linear | None, ops: ModuleType):
        self._layer = layer
        self._ops = ops
        self.parts = {} if layer is None else {"query": layer.parameters}
        self._query: Any = None

    def forward(self, query: Any, y: Any, lengths: Any, workspace: Any, weights: Any, context: Any) -> None:
        self._query = query if self._layer is None else self._layer.forward(query)
        self._ops.dot_attention_forward(self._query, y, lengths, workspace, weights, context)

    def backward(self, query: Any, y: Any, lengths: Any, weights: Any, d_context: Any, workspace: Any, dy: Any) -> Any:
        d_query = self._ops.empty(query.shape, query.dtype.name)
        self._ops.dot_attention_backward(self._query, y, lengths, weights, d_context, workspace, d_query, dy)
        return d_query if self._layer is None else self._layer.backward(d_query)


class _AdditiveScore:
    """A tanh layer over query and hidden state, and a vector of weights that reduces it to one number."""

    def __init__(self, query: Linear, key: Parameters, v: Parameters, ops: ModuleType):
        self._query = query
        self._key = key
        self._v = v
        self._ops = ops
        self.parts = {"query": query.parameters, "key": key, "score": v}

    def forward(self, query: Any, y: Any, lengths: Any, workspace: Any, weights: Any, context: Any) -> None:
        self._ops.additive_attention_forward(
            self._query.forward(query), self._key["weight"], self._v["weight"], y, lengths, workspace, weights, context
        )

    def backward(self, query: Any, y: Any, lengths: Any, weights: Any, d_context: Any, workspace: Any, dy: Any) -> Any:
        d_query = self._ops.empty((y.shape[0], self._query.output_size), query.dtype.name)
        self._ops.additive_attention_backward(
            self._key["weight"], self._v["weight"], y, lengths, weights, d_context, workspace,
            d_query, self._key.gradient("weight"), self._v.gradient("weight"), dy,
        )  # fmt: skip
        return self._query.backward(d_query)


def _checked_lengths(lengths: Any, batch_size: int, seq_len: int, ops: ModuleType) -> Any:
    lengths = np.asarray(lengths)
    if lengths.shape != (batch_size,) or lengths.dtype.kind not in "iu":
        raise ValueError(
            f"lengths has shape {lengths.shape} and dtype {lengths.dtype}; it must be {batch_size} integers"
        )
    if lengths.min() < 1 or lengths.max() > seq_len:
        raise ValueError(f"lengths run from {lengths.min()} to {lengths.max()}; they must lie between 1 and {seq_len}")
    return ops.as_array(lengths, "int64")
