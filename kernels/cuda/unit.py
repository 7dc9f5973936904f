"""One LSTM unit at one time step, forward and backward: every path through a sequence ends up here."""

from __future__ import annotations

from numba.extending import register_jitable

from gatecast.kernels.scalar import (
    candidate_gradient,
    cell_state,
    cell_state_gradient,
    dropout_factor,
    forget_gate_gradient,
    hidden_state,
    input_gate_gradient,
    output_gate_gradient,
    sigmoid,
    tanh,
)

__all__ = ["activate", "differentiate", "mask_factor", "read_gates", "write_gates"]


@register_jitable
def activate(z_i, z_f, z_g, z_o, c_prev):
    """Return the gates i, f, g, o, the cell state, its tanh and the hidden state, from the gates' pre-activations."""
    i = sigmoid(z_i)
    f = sigmoid(z_f)
    g = tanh(z_g)
    o = sigmoid(z_o)
    c = cell_state(i, f, g, c_prev)
    tanh_c = tanh(c)
    return i, f, g, o, c, tanh_c, hidden_state(o, tanh_c)


@register_jitable
def differentiate(i, f, g, o, c_prev, tanh_c, dh, dc):
    """Return the gradients of z_i, z_f, z_g, z_o and of the cell state before, from those of h_t and c_t."""
    dc = cell_state_gradient(dc, dh, o, tanh_c)
    return (
        input_gate_gradient(dc, i, g),
        forget_gate_gradient(dc, f, c_prev),
        candidate_gradient(dc, i, g),
        output_gate_gradient(dh, o, tanh_c),
        dc * f,
    )


@register_jitable
def mask_factor(mask, element, t):
    """Return what dropout multiplies an element by at step t."""
    if mask.threshold == 0:
        return mask.scale
    return dropout_factor(element, t if mask.per_step else 0, mask.key, mask.threshold, mask.scale)


@register_jitable
def read_gates(row, j):
    """Return the numbers of unit j's four gates from a row of 4H."""
    units = row.shape[0] // 4
    return row[j], row[units + j], row[2 * units + j], row[3 * units + j]


@register_jitable
def write_gates(row, j, i, f, g, o):
    """Undo `read_gates`."""
    units = row.shape[0] // 4
    row[j] = i
    row[units + j] = f
    row[2 * units + j] = g
    row[3 * units + j] = o
