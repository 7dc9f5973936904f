"""The CPU backend: the host-level operations, compiled for all cores of this machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatecast.kernels.cpu.activation import tanh_backward, tanh_forward
from gatecast.kernels.cpu.additive_attention import additive_attention_backward, additive_attention_forward
from gatecast.kernels.cpu.attention import attention_workspace, dot_attention_backward, dot_attention_forward
from gatecast.kernels.cpu.call import cleared
from gatecast.kernels.cpu.crf import CRFWeights, crf_log_partition, crf_loss, crf_marginals, crf_viterbi, crf_workspace
from gatecast.kernels.cpu.dropout import dropout
from gatecast.kernels.cpu.embedding import embedding_backward, embedding_forward, repeat_over_steps, sum_over_steps
from gatecast.kernels.cpu.gather import gather_windows, scale_windows, weigh_targets
from gatecast.kernels.cpu.generation import generate_tokens, generation_workspace
from gatecast.kernels.cpu.layer_norm import (
    LayerNormWeights,
    layer_norm_backward,
    layer_norm_forward,
    layer_norm_workspace,
)
from gatecast.kernels.cpu.linear import LinearWeights, linear_backward, linear_forward, linear_workspace
from gatecast.kernels.cpu.loss import cross_entropy_loss, forecast_loss, mse_loss
from gatecast.kernels.cpu.lstm import lstm_backward, lstm_forward
from gatecast.kernels.cpu.optim import adam_step, average_into, clip_gradient_norm
from gatecast.kernels.cpu.softmax import softmax_cross_entropy, softmax_workspace
from gatecast.kernels.cpu.steps import copy_columns, copy_steps
from gatecast.kernels.cpu.window_training import window_training
from gatecast.kernels.cpu.workspace import LSTMWeights, lookup_is_worth, lstm_gates, lstm_workspace

__all__ = [
    "CRFWeights",
    "LSTMWeights",
    "LayerNormWeights",
    "LinearWeights",
    "adam_step",
    "additive_attention_backward",
    "additive_attention_forward",
    "as_array",
    "attention_workspace",
    "average_into",
    "clip_gradient_norm",
    "copy_columns",
    "copy_into",
    "copy_steps",
    "crf_log_partition",
    "crf_loss",
    "crf_marginals",
    "crf_viterbi",
    "crf_workspace",
    "cross_entropy_loss",
    "dot_attention_backward",
    "dot_attention_forward",
    "dropout",
    "embedding_backward",
    "embedding_forward",
    "empty",
    "forecast_loss",
    "gather_windows",
    "generate_tokens",
    "generation_workspace",
    "layer_norm_backward",
    "layer_norm_forward",
    "layer_norm_workspace",
    "linear_backward",
    "linear_forward",
    "linear_workspace",
    "lookup_is_worth",
    "lstm_backward",
    "lstm_forward",
    "lstm_gates",
    "lstm_workspace",
    "mse_loss",
    "name",
    "ones",
    "repeat_over_steps",
    "scale_windows",
    "softmax_cross_entropy",
    "softmax_workspace",
    "sum_over_steps",
    "tanh_backward",
    "tanh_forward",
    "to_floats",
    "to_host",
    "weigh_targets",
    "window_training",
    "zeros",
]

name = "cpu"


def zeros(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return an array of zeros where this backend computes."""
    return cleared(np.zeros(shape, dtype))


def ones(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return an array of ones where this backend computes."""
    return np.ones(shape, dtype)


def empty(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return an array where this backend computes, for a kernel that writes all of it."""
    return np.empty(shape, dtype)


def as_array(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return `array` C-contiguous, of `dtype` and where this backend computes; a copy only if necessary."""
    return np.ascontiguousarray(array, dtype)


def to_host(array: np.ndarray) -> np.ndarray:
    """Return a NumPy copy of one of this backend's arrays."""
    return np.array(array, order="C")


def to_floats(numbers: Sequence[float]) -> list[float]:
    """Return numbers that operations have returned, losses and norms, as floats; on a GPU that is one copy for all."""
    return [float(number) for number in numbers]


def copy_into(source: np.ndarray, destination: np.ndarray) -> None:
    """``destination = source``, from a NumPy array into one of this backend's."""
    destination[...] = source
