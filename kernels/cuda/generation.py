"""Writing text on the GPU: one block of threads runs the whole loop, since each token waits for the one before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from gatecast.kernels.cuda.call import as_device_array, kernel, new_array, run
from gatecast.kernels.cuda.linear import LinearWeights
from gatecast.kernels.cuda.lstm import LSTMWeights
from gatecast.kernels.sampling import sample
from gatecast.kernels.scalar import cell_state, hidden_state, sigmoid, tanh

__all__ = ["generate_tokens", "generation_workspace"]

_THREADS = 512


class _Workspace(NamedTuple):
    embedding: Any  # (vocabulary, E)
    w_ih: Any  # (layers, 4H, max(E, H)), padded with zeros
    w_hh: Any  # (layers, 4H, H)
    bias: Any  # (layers, 4H)
    head_weight: Any  # (vocabulary, H)
    head_bias: Any  # (vocabulary,)
    z: Any  # (4H,)
    logits: Any  # (vocabulary,)


def generation_workspace(embedding: Any, layers: Sequence[LSTMWeights], head: LinearWeights) -> _Workspace:
    """Gather the weights of a network for `generate_tokens`; as `kernels.cpu.generation.generation_workspace`."""
    host = [LSTMWeights(*(array.copy_to_host() for array in weights)) for weights in layers]
    dtype = np.dtype(embedding.dtype)
    hidden_size = host[0].w_hh.shape[1]
    w_ih = np.zeros((len(host), 4 * hidden_size, max(embedding.shape[1], hidden_size)), dtype)
    for layer, weights in enumerate(host):
        w_ih[layer, :, : weights.w_ih.shape[1]] = weights.w_ih
    return _Workspace(
        embedding=as_device_array(embedding.copy_to_host()),
        w_ih=as_device_array(w_ih),
        w_hh=as_device_array(np.stack([weights.w_hh for weights in host])),
        bias=as_device_array(np.stack([weights.bias for weights in host])),
        head_weight=as_device_array(head.weight.copy_to_host()),
        head_bias=as_device_array(head.bias.copy_to_host()),
        z=new_array(4 * hidden_size, dtype),
        logits=new_array(embedding.shape[0], dtype),
    )


def generate_tokens(
    workspace: _Workspace,
    first: int,
    h: Any,
    c: Any,
    draws: Any,
    temperature: float,
    top_k: int,
    top_p: float,
    tokens: Any,
) -> None:
    """Write tokens; arguments as `kernels.cpu.generation.generate_tokens`."""
    number = np.dtype(h.dtype).type
    threads = min(_THREADS, 4 * h.shape[1])
    run(_generate, 1, threads, 0, *workspace, first, h, c, draws, number(temperature), top_k, number(top_p), tokens)


@kernel
def _generate(
    embedding,
    w_ih,
    w_hh,
    bias,
    head_weight,
    head_bias,
    z,
    logits,
    first,
    h,
    c,
    draws,
    temperature,
    top_k,
    top_p,
    tokens,
):
    thread = cuda.threadIdx.x
    threads = cuda.blockDim.x
    layers, units = h.shape
    for n in range(tokens.shape[0]):
        token = first if n == 0 else tokens[n - 1]
        for layer in range(layers):
            for row in range(thread, 4 * units, threads):
                total = bias[layer, row]
                if layer == 0:
                    for k in range(embedding.shape[1]):
                        total += w_ih[layer, row, k] * embedding[token, k]
                else:
                    for k in range(units):
                        total += w_ih[layer, row, k] * h[layer - 1, k]
                for k in range(units):
                    total += w_hh[layer, row, k] * h[layer, k]
                z[row] = total
            cuda.syncthreads()
            for j in range(thread, units, threads):
                i = sigmoid(z[j])
                f = sigmoid(z[units + j])
                g = tanh(z[2 * units + j])
                o = sigmoid(z[3 * units + j])
                c[layer, j] = cell_state(i, f, g, c[layer, j])
                h[layer, j] = hidden_state(o, tanh(c[layer, j]))
            cuda.syncthreads()
        for entry in range(thread, logits.shape[0], threads):
            total = head_bias[entry]
            for k in range(units):
                total += head_weight[entry, k] * h[layers - 1, k]
            logits[entry] = total
        cuda.syncthreads()
        if thread == 0:
            tokens[n] = sample(logits, temperature, top_k, top_p, draws[n])
        cuda.syncthreads()
