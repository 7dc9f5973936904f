"""The gates and the state of one step, over all rows and units of a shard at once.

Units are padded to whole vectors, so that a step's numbers of one kind are contiguous, whatever the hidden size. Gates
are written over their pre-activations, and the gradients of these over the gates. The arrays that a function is given
must not overlap.
"""

from __future__ import annotations

from gatecast.kernels.cpu.alias import arrays_are_apart
from gatecast.kernels.cpu.compilation import inner_kernel
from gatecast.kernels.scalar import (
    candidate_gradient,
    cell_state,
    cell_state_gradient,
    forget_gate_gradient,
    hidden_state,
    input_gate_gradient,
    output_gate_gradient,
    sigmoid,
    tanh,
)

__all__ = ["activate_cell", "activate_output", "differentiate"]


@inner_kernel
def activate_cell(i, f, g, c_prev, c):
    """Turn a step's pre-activations into gates, and these and c_{t-1} into c_t.

    The output gate has a separate loop: together they need more registers than there are.
    """
    arrays_are_apart()
    for j in range(c.shape[0]):
        i_j = sigmoid(i[j])
        f_j = sigmoid(f[j])
        g_j = tanh(g[j])
        i[j] = i_j
        f[j] = f_j
        g[j] = g_j
        c[j] = cell_state(i_j, f_j, g_j, c_prev[j])


@inner_kernel
def activate_output(o, c, tanh_c, h):
    """Turn pre-activations into the output gate, and this and c_t into h_t."""
    arrays_are_apart()
    for j in range(c.shape[0]):
        o_j = sigmoid(o[j])
        tanh_c_j = tanh(c[j])
        o[j] = o_j
        tanh_c[j] = tanh_c_j
        h[j] = hidden_state(o_j, tanh_c_j)


@inner_kernel
def differentiate(i, f, g, o, c_prev, tanh_c, dh, dc):
    """Turn a step's gates into the gradients of their pre-activations, and dc_t into dc_{t-1}."""
    arrays_are_apart()
    for j in range(dc.shape[0]):
        i_j = i[j]
        f_j = f[j]
        g_j = g[j]
        o_j = o[j]
        dc_j = cell_state_gradient(dc[j], dh[j], o_j, tanh_c[j])
        i[j] = input_gate_gradient(dc_j, i_j, g_j)
        f[j] = forget_gate_gradient(dc_j, f_j, c_prev[j])
        g[j] = candidate_gradient(dc_j, i_j, g_j)
        o[j] = output_gate_gradient(dh[j], o_j, tanh_c[j])
        dc[j] = dc_j * f_j
