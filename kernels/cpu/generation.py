"""Writing text: embedding, LSTM layers, softmax and draw, token after token, in one compiled loop.

At batch size 1 every weight is read once per token, so reading sets the pace: the weights are packed once, and a step
is nothing but products of one row with panels that are stored in the order in which they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gatecast.kernels.cpu.compilation import inner_kernel, kernel
from gatecast.kernels.cpu.linear import LinearWeights
from gatecast.kernels.cpu.memory import aligned_zeros
from gatecast.kernels.cpu.pack import pack, padded, panels_shape, product
from gatecast.kernels.cpu.workspace import LSTMWeights
from gatecast.kernels.sampling import sample
from gatecast.kernels.scalar import cell_state, hidden_state, sigmoid, tanh

__all__ = ["generate_tokens", "generation_workspace"]


class _Workspace(NamedTuple):
    """Weights, packed, and what a step writes; units and vocabulary are padded to whole panels, P and Q of them."""

    embedding: np.ndarray  # (vocabulary, E)
    input_panels: np.ndarray  # (layers, 4, ...) packed W_ih.T of each gate; room for the greater of E and H rows
    hidden_panels: np.ndarray  # (layers, 4, ...) packed W_hh.T of each gate
    bias: np.ndarray  # (layers, 4, P)
    head_panels: np.ndarray  # packed w.T
    head_bias: np.ndarray  # (1, Q)
    gates: np.ndarray  # (4, P)
    hidden: np.ndarray  # (layers, P)
    cell: np.ndarray  # (layers, P)
    logits: np.ndarray  # (1, Q)


def generation_workspace(embedding: np.ndarray, layers: Sequence[LSTMWeights], head: LinearWeights) -> _Workspace:
    """Pack the weights of a network for `generate_tokens`.

    Parameters
    ----------
    embedding : (vocabulary, E) array
        Copied, as all others are.
    layers : sequence of LSTMWeights
        The first reads E numbers, the others the H units of the one below.
    head : LinearWeights
        weight (vocabulary, H), bias (vocabulary,); a bias of -infinity keeps an entry from being drawn.
    """
    dtype = embedding.dtype.name
    hidden_size = layers[0].w_hh.shape[1]
    depth = max(embedding.shape[1], hidden_size)
    units = padded(hidden_size, dtype)
    vocabulary = padded(embedding.shape[0], dtype)

    def zeros(*shape: int) -> np.ndarray:
        return aligned_zeros(shape, dtype)

    workspace = _Workspace(
        embedding=embedding.copy(),
        input_panels=zeros(len(layers), 4, *panels_shape(depth, hidden_size, dtype)),
        hidden_panels=zeros(len(layers), 4, *panels_shape(hidden_size, hidden_size, dtype)),
        bias=zeros(len(layers), 4, units),
        head_panels=zeros(*panels_shape(hidden_size, embedding.shape[0], dtype)),
        head_bias=zeros(1, vocabulary),
        gates=zeros(4, units),
        hidden=zeros(len(layers), units),
        cell=zeros(len(layers), units),
        logits=zeros(1, vocabulary),
    )
    for layer, weights in enumerate(layers):
        workspace.bias[layer, :, :hidden_size] = weights.bias.reshape(4, hidden_size)
        for gate in range(4):
            rows = slice(gate * hidden_size, (gate + 1) * hidden_size)
            pack(weights.w_ih[rows].T, workspace.input_panels[layer, gate], 0)
            pack(weights.w_hh[rows].T, workspace.hidden_panels[layer, gate], 0)
    pack(head.weight.T, workspace.head_panels, 0)
    workspace.head_bias[0, : len(head.bias)] = head.bias
    return workspace


def generate_tokens(
    workspace: _Workspace,
    first: int,
    h: np.ndarray,
    c: np.ndarray,
    draws: np.ndarray,
    temperature: float,
    top_k: int,
    top_p: float,
    tokens: np.ndarray,
) -> None:
    """Write tokens, each drawn from what the network expects after all before it; see `kernels.sampling.sample`.

    Parameters
    ----------
    workspace : from `generation_workspace`
    first : int
        The token before the first one that is written.
    h, c : (layers, H) arrays
        ``=``: the state before `first` was read; then that before the last token written was.
    draws : (n,) array
        Uniform on [0, 1).
    temperature, top_p : float
    top_k : int
    tokens : (n,) int64 array
        ``=``
    """
    number = h.dtype.type
    _generate(workspace, first, h, c, draws, number(temperature), top_k, number(top_p), tokens)


@kernel
def _generate(workspace, token, h, c, draws, temperature, top_k, top_p, tokens):
    layers, hidden_size = h.shape
    vocabulary = workspace.embedding.shape[0]
    for layer in range(layers):
        for j in range(hidden_size):
            workspace.hidden[layer, j] = h[layer, j]
            workspace.cell[layer, j] = c[layer, j]
    for n in range(tokens.shape[0]):
        for layer in range(layers):
            # Two slices of one type, so that one product is compiled for both.
            below = workspace.hidden[max(layer - 1, 0) : max(layer - 1, 0) + 1, :hidden_size]
            if layer == 0:
                below = workspace.embedding[token : token + 1, : workspace.embedding.shape[1]]
            _step(workspace, layer, below, hidden_size)
        for j in range(workspace.logits.shape[1]):
            workspace.logits[0, j] = workspace.head_bias[0, j]
        product(workspace.hidden[layers - 1 : layers, :hidden_size], workspace.head_panels, workspace.logits, True)
        token = sample(workspace.logits[0, :vocabulary], temperature, top_k, top_p, draws[n])
        tokens[n] = token
    for layer in range(layers):
        for j in range(hidden_size):
            h[layer, j] = workspace.hidden[layer, j]
            c[layer, j] = workspace.cell[layer, j]


@inner_kernel
def _step(workspace, layer, below, hidden_size):
    """Advance one layer by one step; its hidden state and cell are overwritten."""
    gates = workspace.gates
    h = workspace.hidden[layer]
    c = workspace.cell[layer]
    for gate in range(4):
        for j in range(gates.shape[1]):
            gates[gate, j] = workspace.bias[layer, gate, j]
        product(below, workspace.input_panels[layer, gate], gates[gate : gate + 1], True)
        hidden = workspace.hidden[layer : layer + 1, :hidden_size]
        product(hidden, workspace.hidden_panels[layer, gate], gates[gate : gate + 1], True)
    for j in range(c.shape[0]):
        c[j] = cell_state(sigmoid(gates[0, j]), sigmoid(gates[1, j]), tanh(gates[2, j]), c[j])
        h[j] = hidden_state(sigmoid(gates[3, j]), tanh(c[j]))
