"""Oracles in plain float64 NumPy, written from the equations and importing nothing of the project."""

from __future__ import annotations

import itertools

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_forward(w_ih, w_hh, bias, x, h, c, h_mask=None):
    """One layer over (B, T, I); returns y (B, T, H), h_n, c_n and what the backward pass needs.

    `h_mask` (B, T, H) multiplies h_{t-1} where it enters the gates.
    """
    w_ih, w_hh, bias, x, h, c = (np.asarray(a, np.float64) for a in (w_ih, w_hh, bias, x, h, c))
    steps = []
    for t in range(x.shape[1]):
        h_prev = h if h_mask is None else h * h_mask[:, t]
        z_i, z_f, z_g, z_o = np.split(x[:, t] @ w_ih.T + h_prev @ w_hh.T + bias, 4, axis=1)
        i = sigmoid(z_i)
        f = sigmoid(z_f)
        g = np.tanh(z_g)
        o = sigmoid(z_o)
        c_prev = c
        c = f * c + i * g
        h = o * np.tanh(c)
        steps.append((x[:, t], h_prev, c_prev, i, f, g, o, c, h))
    return np.stack([step[-1] for step in steps], axis=1), h, c, steps


def lstm_backward(w_ih, w_hh, steps, dy, dh_n, dc_n, h_mask=None):
    """Back-propagation through time; returns dw_ih, dw_hh, dbias, dx, dh_0, dc_0."""
    w_ih = np.asarray(w_ih, np.float64)
    w_hh = np.asarray(w_hh, np.float64)
    dw_ih = np.zeros_like(w_ih)
    dw_hh = np.zeros_like(w_hh)
    dbias = np.zeros(len(w_ih))
    dh, dc = np.array(dh_n, np.float64), np.array(dc_n, np.float64)
    dx = np.zeros((len(dh), len(steps), w_ih.shape[1]))
    for t in reversed(range(len(steps))):
        x, h_prev, c_prev, i, f, g, o, c, _ = steps[t]
        dh = dh + dy[:, t]
        tanh_c = np.tanh(c)
        dc = dc + dh * o * (1 - tanh_c**2)
        dz = np.concatenate(
            [dc * g * i * (1 - i), dc * c_prev * f * (1 - f), dc * i * (1 - g**2), dh * tanh_c * o * (1 - o)], axis=1
        )
        dw_ih += dz.T @ x
        dw_hh += dz.T @ h_prev
        dbias += dz.sum(axis=0)
        dx[:, t] = dz @ w_ih
        dh, dc = dz @ w_hh, dc * f
        dh = dh if h_mask is None else dh * h_mask[:, t]
    return dw_ih, dw_hh, dbias, dx, dh, dc


def cross_entropy(logits, targets, weights):
    """Weighted mean of -log softmax(logits)[target], and its gradient."""
    logits = np.asarray(logits, np.float64)
    weights = np.asarray(weights, np.float64)
    counts = weights > 0
    logits = logits[counts]
    chosen = np.asarray(targets)[counts]
    weights = weights[counts]
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(chosen))
    gradient = np.zeros((len(counts), logits.shape[1]))
    gradient[counts] = (np.exp(log_softmax) - np.eye(logits.shape[1])[chosen]) * (weights / weights.sum())[:, None]
    return -(weights * log_softmax[rows, chosen]).sum() / weights.sum(), gradient


def adam(values, gradients, learning_rate, betas, epsilon, weight_decay):
    """Run AdamW over a list of gradients; returns the values after the last."""
    values = np.array(values, np.float64)
    first = np.zeros_like(values)
    second = np.zeros_like(values)
    for step, gradient in enumerate(gradients, start=1):
        gradient = np.asarray(gradient, np.float64)
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        m_hat = first / (1 - betas[0] ** step)
        v_hat = second / (1 - betas[1] ** step)
        values -= learning_rate * weight_decay * values
        values -= learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)
    return values


def relative_error(a, b):
    """max|a - b| / max(1, max|b|), as DESIGN §2 defines it."""
    a = np.asarray(a, np.float64)
    b = np.asarray(b, np.float64)
    assert a.shape == b.shape, (a.shape, b.shape)
    return np.max(np.abs(a - b), initial=0) / max(1, np.max(np.abs(b), initial=0))


def philox(element, step, key):
    """Philox2x32-10 in Python's integers: one random word of 32 bits (Salmon et al. 2011)."""
    left, right = element, step
    for number in range(10):
        product = left * 0xD256D193
        left, right = (product >> 32) ^ (key + number * 0x9E3779B9) % 2**32 ^ right, product % 2**32
    return left


def dropout_mask(batch_size, steps, columns, mask):
    """Factors (B, T, columns) of a `kernels.masks.Mask`, element by element."""
    factors = np.empty((batch_size, steps, columns))
    for b, t, j in np.ndindex(factors.shape):
        word = philox(b * columns + j, t if mask.per_step else 0, mask.key)
        factors[b, t, j] = mask.scale if word >= mask.threshold else 0
    return factors


def softmax(scores):
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def _attend(scores, values, d_context):
    """One sequence and head: weights, context, and the gradients of scores and values."""
    weights = softmax(scores)
    d_weights = values @ d_context
    jacobian = np.diag(weights) - np.outer(weights, weights)
    return weights, weights @ values, jacobian @ d_weights, np.outer(weights, d_context)


def dot_attention(query, values, lengths, heads, d_context):
    """Returns weights, context, d_query, d_values; one sequence and head at a time, cut at its end."""
    query, values, d_context = (np.asarray(a, np.float64) for a in (query, values, d_context))
    weights = np.zeros((len(query), heads, values.shape[1]))
    context, d_query, d_values = (np.zeros(a.shape) for a in (query, query, values))
    for b, length in enumerate(lengths):
        for head, j in enumerate(np.split(np.arange(query.shape[1]), heads)):
            q = query[b, j]
            steps = values[b, :length, j].T
            weights[b, head, :length], context[b, j], d_scores, d_steps = _attend(steps @ q, steps, d_context[b, j])
            d_query[b, j] = d_scores @ steps
            d_values[b, :length, j] = (d_steps + np.outer(d_scores, q)).T
    return weights, context, d_query, d_values


def additive_attention(query, keys, v, values, lengths, heads, d_context):
    """Returns weights, context, d_query, d_keys, d_v, d_values; one sequence and head at a time, cut at its end."""
    query, keys, v, values, d_context = (np.asarray(a, np.float64) for a in (query, keys, v, values, d_context))
    weights = np.zeros((len(query), heads, values.shape[1]))
    context = np.zeros((len(query), values.shape[2]))
    d_query, d_keys, d_v, d_values = (np.zeros(a.shape) for a in (query, keys, v, values))
    parts = [np.split(np.arange(array.shape[-1]), heads) for array in (v, values)]
    for b, length in enumerate(lengths):
        for head, (a, j) in enumerate(zip(*parts, strict=True)):
            hidden = np.tanh(query[b, a] + keys[b, :length, a].T)
            steps = values[b, :length, j].T
            weights[b, head, :length], context[b, j], d_scores, d_steps = _attend(hidden @ v[a], steps, d_context[b, j])
            d_hidden = np.outer(d_scores, v[a]) * (1 - hidden**2)
            d_query[b, a] = d_hidden.sum(axis=0)
            d_keys[b, :length, a] = d_hidden.T
            d_v[a] += d_scores @ hidden
            d_values[b, :length, j] = d_steps.T
    return weights, context, d_query, d_keys, d_v, d_values


def layer_norm(x, weight, bias, epsilon, dy):
    """Returns y, dx, d_weight, d_bias; through the Jacobian of each row."""
    x, weight, bias, dy = (np.asarray(a, np.float64) for a in (x, weight, bias, dy))
    size = x.shape[1]
    y = np.zeros(x.shape)
    dx = np.zeros(x.shape)
    d_weight = np.zeros(weight.shape)
    centring = np.eye(size) - 1 / size
    for row in range(len(x)):
        deviation = np.sqrt(x[row].var() + epsilon)
        normalised = (x[row] - x[row].mean()) / deviation
        y[row] = normalised * weight + bias
        jacobian = (centring - np.outer(normalised, normalised) / size) / deviation
        dx[row] = jacobian.T @ (dy[row] * weight)
        d_weight += dy[row] * normalised
    return y, dx, d_weight, dy.sum(axis=0)


def crf_sequences(transitions, start, end, emissions):
    """Score every tag sequence of one sentence, emissions (T, K): returns sequences (K^T, T) and scores (K^T,)."""
    length, tags = emissions.shape
    sequences = np.array(list(itertools.product(range(tags), repeat=length)))
    scores = start[sequences[:, 0]] + end[sequences[:, -1]]
    for t in range(length):
        scores = scores + emissions[t, sequences[:, t]]
        if t > 0:
            scores = scores + transitions[sequences[:, t - 1], sequences[:, t]]
    return sequences, scores
