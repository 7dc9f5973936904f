"""One LSTM layer, one direction, on the GPU.

Forward, the inputs' part of z is one product for all time steps. The rest is recurrent and runs in one launch, in
blocks that have their own rows (`kernels.cuda.sequence`) or share units (`kernels.cuda.spread`); or, in very large
layers, in a launch per step (`kernels.cuda.stepwise`): see the rules in `kernels.cuda.launch`. Backward, the recurrent
part leaves the gradients of z of all steps; the gradients of the weights and of the input are then one product each.
Sums have a fixed order: the same input gives the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gatecast.kernels.cuda.call import as_device_array, new_array
from gatecast.kernels.cuda.dropout import dropout, of_dtype
from gatecast.kernels.cuda.embedding import embedding_backward, embedding_forward
from gatecast.kernels.cuda.launch import SequencePlan, device, launch_sequence, plan_sequence
from gatecast.kernels.cuda.product import affine, column_sums, partial_sums, row_product, transposed_product
from gatecast.kernels.cuda.sequence import (
    BACKWARD_BUFFERS,
    FORWARD_BUFFERS,
    backward_sequence,
    forward_sequence,
    pack,
    packed_size,
)
from gatecast.kernels.cuda.spread import Spread, backward_spread, forward_spread, make_spread
from gatecast.kernels.cuda.stepwise import backward_steps, forward_steps
from gatecast.kernels.lookup import Lookup
from gatecast.kernels.masks import NO_MASK, Mask

__all__ = ["LSTMWeights", "lookup_is_worth", "lstm_backward", "lstm_forward", "lstm_gates", "lstm_workspace"]


class LSTMWeights(NamedTuple):
    """Weights of one layer and direction, or their gradients, in torch's shapes and gate order i, f, g, o."""

    w_ih: Any
    """(4H, I)"""
    w_hh: Any
    """(4H, H)"""
    bias: Any
    """(4H,)"""


class _Workspace(NamedTuple):
    """Arrays of M models; an `LSTM` is one."""

    x: Any | None  # (M, B, T, I): a copy, so that the caller may reuse its own; None if inputs are looked up
    entering: Any  # (M, B, T, H): h_{t-1} as it enters the gates, masked
    cell: Any  # (M, B, T + 1, H)
    tanh_cell: Any  # (M, B, T, H)
    gates: Any  # (M, B, T, 4H): the inputs' part of z, then i f g o, then the gradients of z
    lengths: Any  # (M, B) int64: T for all
    forward_weights: Any  # (M, packed_size): packed for the sequence kernels
    backward_weights: Any
    partial: Any  # of the weights' gradients
    d_next: Any  # (M, B, H)
    spread: Spread | None  # None unless the sequence is spread over the GPU
    training: bool
    tf32: bool


def lookup_is_worth(batch_size: int, seq_len: int, vocabulary_size: int) -> bool:
    """As `kernels.cpu.workspace.lookup_is_worth`; here it is enough that the table is the smaller product."""
    return batch_size * seq_len >= 2 * vocabulary_size


def lstm_workspace(
    batch_size: int,
    seq_len: int,
    input_size: int,
    hidden_size: int,
    dtype: str,
    training: bool = True,
    precision: str = "float32",
    vocabulary_size: int = 0,
    former: _Workspace | None = None,
) -> _Workspace:
    """Allocate what the passes need for these sizes; reused from call to call.

    Without `training` a pass that runs in one launch leaves out what only the backward pass reads. With `precision`
    "tf32" all products but the recurrent ones run on the tensor cores, see `kernels.cuda.tensor`. With a
    `vocabulary_size` the inputs are a `kernels.lookup.Lookup`, and `input_size` is ignored. So is `former`, since a
    GPU's memory has no page faults.

    Raises
    ------
    ValueError
        When `precision` is "tf32" and `dtype` is not float32.
    """
    if precision == "tf32" and dtype != "float32":
        raise ValueError(f"precision tf32 rounds float32 numbers, and dtype is {dtype}; choose float32 for both")
    input_size = 0 if vocabulary_size else input_size
    return allocate(1, batch_size, seq_len, input_size, hidden_size, dtype, training, precision == "tf32")


def allocate(
    models: int,
    batch_size: int,
    seq_len: int,
    input_size: int,
    hidden_size: int,
    dtype: str,
    training: bool,
    tf32: bool,
) -> _Workspace:
    """Allocate the workspace of some models of one size; without an `input_size` their inputs are looked up."""
    steps = (models, batch_size, seq_len)
    packed = (models, packed_size(hidden_size))
    widths = [size for size in (input_size, hidden_size) if size]
    return _Workspace(
        x=new_array((*steps, input_size), dtype) if input_size else None,
        entering=new_array((*steps, hidden_size), dtype),
        cell=new_array((models, batch_size, seq_len + 1, hidden_size), dtype),
        tanh_cell=new_array((*steps, hidden_size), dtype),
        gates=new_array((*steps, 4 * hidden_size), dtype),
        lengths=as_device_array(np.full((models, batch_size), seq_len)),
        forward_weights=new_array(packed, dtype),
        backward_weights=new_array(packed, dtype),
        partial=partial_sums(models, batch_size * seq_len, 4 * hidden_size, widths, dtype),
        d_next=new_array((models, batch_size, hidden_size), dtype),
        spread=_spread(models, batch_size, hidden_size, np.dtype(dtype), training),
        training=training,
        tf32=tf32,
    )


def lstm_forward(
    weights: LSTMWeights,
    x: Any,
    h_0: Any,
    c_0: Any,
    workspace: _Workspace,
    y: Any | None,
    h_n: Any,
    c_n: Any,
    weights_changed: bool = True,
    lengths: Any | None = None,
    input_mask: Mask = NO_MASK,
    recurrent_mask: Mask = NO_MASK,
) -> None:
    """Run the layer over a batch of sequences; arguments as `kernels.cpu.lstm.lstm_forward`."""
    if workspace.x is None:
        embedding_forward(x.table, x.indices.reshape(-1), workspace.gates.reshape(-1, x.table.shape[1]))
    else:
        dropout(x, workspace.x[0], input_mask)
    forward(
        _of_one_model(weights), _one(h_0), _one(c_0), workspace, None if y is None else _one(y), _one(h_n), _one(c_n),
        weights_changed, None if lengths is None else _one(lengths), recurrent_mask,
    )  # fmt: skip


def lstm_backward(
    weights: LSTMWeights,
    dy: Any | None,
    dh_n: Any,
    dc_n: Any,
    workspace: _Workspace,
    gradients: LSTMWeights,
    dx: Any | None,
    dh_0: Any,
    dc_0: Any,
    lengths: Any | None = None,
    input_mask: Mask = NO_MASK,
    recurrent_mask: Mask = NO_MASK,
) -> None:
    """Back-propagate through time; arguments as `kernels.cpu.lstm.lstm_backward`."""
    dx, d_lookup = (None, dx) if isinstance(dx, Lookup) else (dx, None)
    backward(
        _of_one_model(weights), None if dy is None else _one(dy), _one(dh_n), _one(dc_n), workspace,
        _of_one_model(gradients), None if dx is None else _one(dx), _one(dh_0), _one(dc_0),
        None if lengths is None else _one(lengths), recurrent_mask,
    )  # fmt: skip
    if dx is not None and input_mask.threshold:
        dropout(dx, dx, input_mask)
    if d_lookup is not None:
        d_gates = workspace.gates.reshape(-1, d_lookup.table.shape[1])
        embedding_backward(d_lookup.indices.reshape(-1), d_gates, d_lookup.table, accumulate=False)


def lstm_gates(workspace: _Workspace) -> np.ndarray:
    """Return the activations i, f, g, o of the last forward pass as a fresh (B, T, 4H) NumPy array."""
    return workspace.gates.copy_to_host()[0]


def forward(
    weights: LSTMWeights,
    h_0: Any,
    c_0: Any,
    workspace: _Workspace,
    y: Any | None,
    h_n: Any,
    c_n: Any,
    weights_changed: bool,
    lengths: Any | None,
    recurrent_mask: Mask,
) -> None:
    """Run models over the inputs in ``workspace.x``; arrays as in `lstm_forward`, with the model first.

    If inputs are looked up, their part of z is in ``workspace.gates``.
    """
    models, batch_size, seq_len, width = workspace.gates.shape
    hidden_size = width // 4
    rows = (models, batch_size * seq_len)
    lengths = workspace.lengths if lengths is None else lengths
    mask = of_dtype(recurrent_mask, workspace.gates.dtype)
    output = (False, workspace.entering) if y is None else (True, y)
    tf32 = workspace.tf32
    if workspace.x is not None:
        affine(workspace.x.reshape(*rows, -1), weights.w_ih, weights.bias, workspace.gates.reshape(*rows, width), tf32)
    state = workspace.gates, workspace.entering, workspace.cell, workspace.tanh_cell, *output, h_n, c_n
    plan = _plan(workspace, FORWARD_BUFFERS)
    if workspace.spread is not None:
        forward_spread(workspace.spread, weights.w_hh, lengths, mask, h_0, c_0, workspace.training, *state)
        return
    if plan is None:
        forward_steps(weights.w_hh, lengths, mask, h_0, c_0, *state)
        return
    if weights_changed:
        pack(weights.w_hh, workspace.forward_weights, workspace.backward_weights)
    launch_sequence(
        forward_sequence, plan, models, batch_size, hidden_size, workspace.forward_weights, plan.resident,
        workspace.training, lengths, mask, h_0, c_0, *state,
    )  # fmt: skip


def backward(
    weights: LSTMWeights,
    dy: Any | None,
    dh_n: Any,
    dc_n: Any,
    workspace: _Workspace,
    gradients: LSTMWeights,
    dx: Any | None,
    dh_0: Any,
    dc_0: Any,
    lengths: Any | None,
    recurrent_mask: Mask,
) -> None:
    """Back-propagate through models; arrays as in `lstm_backward`, with the model first."""
    if not workspace.training:
        raise ValueError("the workspace was made without training and has not kept what a backward pass needs")
    models, batch_size, seq_len, width = workspace.gates.shape
    hidden_size = width // 4
    rows = (models, batch_size * seq_len)
    lengths = workspace.lengths if lengths is None else lengths
    mask = of_dtype(recurrent_mask, workspace.gates.dtype)
    given = (False, workspace.entering) if dy is None else (True, dy)
    state = *given, dh_n, dc_n, workspace.gates, workspace.cell, workspace.tanh_cell, dh_0, dc_0
    plan = _plan(workspace, BACKWARD_BUFFERS)
    if workspace.spread is not None:
        backward_spread(workspace.spread, weights.w_hh, lengths, mask, *state)
    elif plan is None:
        backward_steps(weights.w_hh, lengths, mask, *state, workspace.d_next)
    else:
        pack(weights.w_hh, workspace.forward_weights, workspace.backward_weights)
        launch_sequence(
            backward_sequence, plan, models, batch_size, hidden_size, workspace.backward_weights, plan.resident,
            lengths, mask, *state,
        )  # fmt: skip
    d_gates = workspace.gates.reshape(*rows, width)
    partial = workspace.partial
    tf32 = workspace.tf32
    transposed_product(d_gates, workspace.entering.reshape(*rows, hidden_size), partial, gradients.w_hh, tf32=tf32)
    if workspace.x is not None:
        transposed_product(d_gates, workspace.x.reshape(*rows, -1), partial, gradients.w_ih, tf32=tf32)
        column_sums(d_gates, partial, gradients.bias)
    if dx is not None:
        row_product(d_gates, weights.w_ih, dx.reshape(*rows, -1), tf32)


def _spread(models: int, batch_size: int, hidden_size: int, dtype: np.dtype, training: bool) -> Spread | None:
    """Spread the sequence over the GPU if a block cannot run it by itself, forward or backward."""
    sizes = models, batch_size, hidden_size, dtype.itemsize
    if all(plan_sequence(*sizes, buffers, device()) for buffers in (FORWARD_BUFFERS, BACKWARD_BUFFERS)):
        return None
    return make_spread(models, batch_size, hidden_size, dtype, training, device())


def _plan(workspace: _Workspace, buffers: int) -> SequencePlan | None:
    models, batch_size, _, width = workspace.gates.shape
    return plan_sequence(models, batch_size, width // 4, workspace.gates.dtype.itemsize, buffers, device())


def _of_one_model(weights: LSTMWeights) -> LSTMWeights:
    return LSTMWeights(*[_one(array) for array in weights])


def _one(array: Any) -> Any:
    """Return an array of one model's as one of models'."""
    return array.reshape(1, *array.shape)
