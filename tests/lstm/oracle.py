"""`tests.reference` for stacked layers under torch's names, and random arrays."""

from __future__ import annotations

import numpy as np

from tests.reference import lstm_backward, lstm_forward


def oracle_forward(state, num_layers, x, h_0, c_0):
    """Run `tests.reference` layer by layer; returns y, h_n, c_n and each layer's weights and steps."""
    y, finals, trace = x, [], []
    for layer in range(num_layers):
        w_ih, w_hh, bias_ih, bias_hh = (
            state[f"{name}_l{layer}"].astype(np.float64) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        y, h, c, steps = lstm_forward(w_ih, w_hh, bias_ih + bias_hh, y, h_0[layer], c_0[layer])
        finals.append((h, c))
        trace.append((w_ih, w_hh, steps))
    return y, np.stack([h for h, _ in finals]), np.stack([c for _, c in finals]), trace


def oracle_backward(trace, dy, dh_n, dc_n):
    """Return dx, dh_0, dc_0 and the gradients under torch's names."""
    gradients, d_first = {}, {}
    for layer in reversed(range(len(trace))):
        w_ih, w_hh, steps = trace[layer]
        dw_ih, dw_hh, dbias, dy, dh, dc = lstm_backward(w_ih, w_hh, steps, dy, dh_n[layer], dc_n[layer])
        gradients |= {f"weight_ih_l{layer}": dw_ih, f"weight_hh_l{layer}": dw_hh}
        gradients |= {f"bias_ih_l{layer}": dbias, f"bias_hh_l{layer}": dbias}
        d_first[layer] = dh, dc
    dh_0, dc_0 = (np.stack([d_first[layer][place] for layer in range(len(trace))]) for place in (0, 1))
    return dy, dh_0, dc_0, gradients


def draw(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)
