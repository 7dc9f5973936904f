"""`tests.reference` for stacked layers under torch's names, and random arrays."""

from __future__ import annotations

import numpy as np

from tests.reference import lstm_backward, lstm_forward


def oracle_forward(state, num_layers, x, h_0, c_0):
    """Run `tests.reference` layer by layer; returns y, h_n, c_n and each layer's weights and steps."""
    y = x
    finals = []
    trace = []
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
    gradients = {}
    d_first = {}
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


def oracle_passes(state, num_layers, bidirectional, x, lengths, h_0, c_0, dy, dh_n, dc_n):
    """Forward and backward of stacked layers in one or both directions, one sequence at a time, cut at its true end.

    Returns y, h_n, c_n, dx, dh_0, dc_0 and the gradients under torch's names, all float64.
    """
    suffixes = ("", "_reverse") if bidirectional else ("",)
    y = np.zeros((*x.shape[:2], dy.shape[2]))
    dx = np.zeros(x.shape)
    h_n, c_n, dh_0, dc_0 = (np.zeros(h_0.shape) for _ in range(4))
    gradients = {name: np.zeros(array.shape) for name, array in state.items()}
    weights = {name: array.astype(np.float64) for name, array in state.items()}
    for b, length in enumerate(lengths):
        one = slice(b, b + 1)
        outputs = x[b : b + 1, :length].astype(np.float64)
        trace = []
        for layer in range(num_layers):
            sides = []
            for direction, suffix in enumerate(suffixes):
                place = layer * len(suffixes) + direction
                turn = slice(None, None, -1 if direction else 1)
                w_ih = weights[f"weight_ih_l{layer}{suffix}"]
                w_hh = weights[f"weight_hh_l{layer}{suffix}"]
                bias = weights[f"bias_ih_l{layer}{suffix}"] + weights[f"bias_hh_l{layer}{suffix}"]
                side, h_n[place, one], c_n[place, one], steps = lstm_forward(
                    w_ih, w_hh, bias, outputs[:, turn], h_0[place, one], c_0[place, one]
                )
                sides.append(side[:, turn])
                trace.append((layer, suffix, place, turn, w_ih, w_hh, steps))
            outputs = np.concatenate(sides, axis=2)
        y[b, :length] = outputs[0]
        d_outputs = dy[one, :length].astype(np.float64)
        d_inputs = 0
        for layer, suffix, place, turn, w_ih, w_hh, steps in reversed(trace):
            size = w_hh.shape[1]
            part = d_outputs[:, :, (place % len(suffixes)) * size :][:, :, :size]
            *dw, d_input, dh_0[place, one], dc_0[place, one] = lstm_backward(
                w_ih, w_hh, steps, part[:, turn], dh_n[place, one], dc_n[place, one]
            )
            for name, gradient in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), [*dw, dw[2]], strict=True):
                gradients[f"{name}_l{layer}{suffix}"] += gradient
            d_inputs = d_inputs + d_input[:, turn]
            if suffix == "":  # the last of the layer's directions in this order
                d_outputs = d_inputs
                d_inputs = 0
        dx[b, :length] = d_outputs[0]
    return y, h_n, c_n, dx, dh_0, dc_0, gradients
