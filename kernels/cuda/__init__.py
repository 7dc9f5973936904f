"""The CUDA backend: the same host-level operations as `kernels.cpu`, on one NVIDIA GPU.

Under ``NUMBA_ENABLE_CUDASIM=1`` the kernels run in numba-cuda's simulator, slowly and without a GPU.
"""

from __future__ import annotations

from gatecast.kernels.cuda.activation import tanh_backward, tanh_forward
from gatecast.kernels.cuda.arrays import as_array, copy_into, empty, ones, to_host, zeros
from gatecast.kernels.cuda.attention import (
    additive_attention_backward,
    additive_attention_forward,
    attention_workspace,
    dot_attention_backward,
    dot_attention_forward,
)
from gatecast.kernels.cuda.crf import CRFWeights, crf_log_partition, crf_loss, crf_marginals, crf_viterbi, crf_workspace
from gatecast.kernels.cuda.dropout import dropout
from gatecast.kernels.cuda.embedding import embedding_backward, embedding_forward, repeat_over_steps, sum_over_steps
from gatecast.kernels.cuda.gather import gather_windows, scale_windows, weigh_targets
from gatecast.kernels.cuda.generation import generate_tokens, generation_workspace
from gatecast.kernels.cuda.layer_norm import (
    LayerNormWeights,
    layer_norm_backward,
    layer_norm_forward,
    layer_norm_workspace,
)
from gatecast.kernels.cuda.linear import LinearWeights, linear_backward, linear_forward, linear_workspace
from gatecast.kernels.cuda.loss import cross_entropy_loss, forecast_loss, mse_loss
from gatecast.kernels.cuda.lstm import (
    LSTMWeights,
    lookup_is_worth,
    lstm_backward,
    lstm_forward,
    lstm_gates,
    lstm_workspace,
)
from gatecast.kernels.cuda.optim import adam_step, average_into, clip_gradient_norm
from gatecast.kernels.cuda.reduction import to_floats
from gatecast.kernels.cuda.softmax import softmax_cross_entropy, softmax_workspace
from gatecast.kernels.cuda.steps import copy_columns, copy_steps
from gatecast.kernels.cuda.window_training import window_training

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

name = "cuda"
