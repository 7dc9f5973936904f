"""What `window_training` works on: a plain network of LSTM layers with a linear head, laid out for training steps."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["AdamArrays", "AdamConstants", "LayerPass", "WindowPass"]


class LayerPass(NamedTuple):
    """One LSTM layer, and what it reads and writes in a step."""

    weights: Any
    """LSTMWeights"""
    gradients: Any
    """LSTMWeights"""
    workspace: Any
    """From `lstm_workspace`"""
    x: Any
    """(B, T, I): the windows, or `y` of the layer below"""
    y: Any
    """(B, T, H); empty for the last layer, where only the last step is wanted"""
    dx: Any
    """(B, T, I); empty for the first layer"""
    dy: Any
    """(B, T, H): `dx` of the layer above; empty for the last layer"""


class WindowPass(NamedTuple):
    """The network and everything a step writes, for one size of batch."""

    layers: tuple[LayerPass, ...]
    head_weights: Any
    """LinearWeights"""
    head_gradients: Any
    """LinearWeights"""
    head_workspace: Any
    """From `linear_workspace`"""
    y: Any
    """(B, horizon, 1): what followed each window"""
    y_hat: Any
    """(B, horizon)"""
    dy_hat: Any
    """(B, horizon)"""
    row_weights: Any
    """(B,) ones"""
    zero_state: Any
    """(B, H) zeros, which nothing writes"""
    h_n: Any
    """(B, H): final hidden state of the last layer"""
    dh_n: Any
    """(B, H): its gradient"""
    unused_state: Any
    """(B, H): where final states and gradients of first states go; never read"""


class AdamArrays(NamedTuple):
    """The flat vectors that the optimiser works on, each (n,)."""

    values: Any
    gradients: Any
    first_moment: Any
    second_moment: Any
    average: Any
    """Of the weights; empty where they are not averaged"""


class AdamConstants(NamedTuple):
    """The optimiser's settings."""

    beta_1: float
    beta_2: float
    epsilon: float
    weight_decay: float
    gradient_clip: float
    average_decay: float
