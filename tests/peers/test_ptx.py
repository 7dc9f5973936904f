"""The CUDA kernels compile to PTX: that takes NVIDIA's compiler libraries, but neither GPU nor driver."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("nvidia", reason="make test-peers installs NVIDIA's compiler libraries")

# Device functions ask for the compute capability of the present device; without one, this replaces it.
COMPILE = """
import importlib
import pkgutil
import numba.cuda.dispatcher as dispatcher
from numba import boolean, cuda, float32, float64, int32, int64, types

class Hopper:
    compute_capability = (9, 0)

dispatcher.get_current_device = Hopper
import gatecast.kernels.cuda
from gatecast.kernels.cuda.dropout import _dropout
from gatecast.kernels.cuda.window_training import _keep, _take
from gatecast.kernels.masks import Mask
from gatecast.kernels.cuda import activation, arrays, attention, crf, embedding, fleet, gather, generation
from gatecast.kernels.cuda import layer_norm, loss
from gatecast.kernels.cuda import optim, product, reduction, sequence, softmax, spread, steps, stepwise, tensor

number = {"float32": float32, "float64": float64}["DTYPE"]
one, two, three, four, five = (types.Array(number, ndim, "C") for ndim in (1, 2, 3, 4, 5))
counters = types.Array(int32, 1, "C")
sums, integers, tags = types.Array(float64, 1, "C"), types.Array(int64, 1, "C"), types.Array(int64, 2, "C")
lengths = tags
pointers = types.Array(int32, 3, "C")
mask = types.NamedTuple((int64, int64, number, boolean), Mask)
signatures = {
    sequence._pack: (three, two, two),
    sequence.forward_sequence: (two, int64, boolean, lengths, mask, three, three, four, four, four, four, boolean, four)
    + (three, three),
    sequence.backward_sequence: (two, int64, lengths, mask, boolean, four, three, three, four, four, four)
    + (three, three),
    spread._begin: (mask, three, three, boolean, four, four, four),
    spread._forward: (three, int64, int64, int64, counters, four, boolean, lengths, mask, four, four, four, four)
    + (boolean, four, three, three),
    spread._backward: (three, int64, int64, counters, five, lengths, mask, boolean, four, four, four, four)
    + (three, three),
    stepwise._enter: (mask, two, two, three, three),
    stepwise._forward_step: (int64, integers, mask, three, three, three, three, boolean, three, two, two),
    stepwise._backward_step: (int64, integers, mask, boolean, three, three, three, three, two, two, two),
    product._product: (three, boolean, three, boolean, number[:, :], int64, number[:, :, :], int64),
    product._column_sums: (three, three),
    product._add_slices: (three, two, boolean),
    softmax._largest: (two, integers),
    optim._adam: (one,) * 4 + (number,) * 7,
    optim._adam_at: (one,) * 5 + (number,) * 4,
    optim._average: (one, one, number),
    optim._average_at: (one,) * 3,
    _take: (integers, lengths, two, integers, one),
    _dropout: (three, three, mask),
    embedding._forward: (two, integers, two),
    embedding._backward: (int64, integers, two, two, boolean),
    generation._generate: (two, three, three, two, two, one, one, one, int64, two, two, one, number, int64, number)
    + (integers,),
    gather._gather: (two, integers, three),
    gather._weigh: (one, integers, one, two),
    embedding._repeat: (two, three),
    embedding._sum: (three, two),
    attention._query_scores: (two, three, integers, three),
    attention._add_query_gradient: (two, integers, three, three),
    attention._add_query: (two, three, integers),
    attention._additive_scores: (one, three, integers, three),
    attention._additive_scores_backward: (one, three, integers, three, two, two),
    attention._key_weight_gradient: (three, three, integers, two),
    attention._add_key_gradient: (two, three, integers, three),
    attention._softmax: (integers, three),
    attention._softmax_backward: (integers, three, three),
    attention._weighted_sum: (three, integers, three, two),
    attention._weighted_sum_backward: (three, two, three),
    attention._sum_rows: (two, one),
    activation._tanh_forward: (one,),
    activation._tanh_backward: (one, one, one),
    layer_norm._forward: (one, one, two, two, one, two, number),
    layer_norm._backward: (one, two, two, one, two),
    layer_norm._weight_gradient: (two, two, one, one),
    crf._sum: (two, two, two),
    crf._first_step: (one, three, three),
    crf._forward_step: (int64, two, three, integers, three),
    crf._backward_step: (int64, two, one, three, integers, three),
    crf._marginals: (three, three, integers, three),
    crf._pair_normalisers: (two, three, three, three, integers, two),
    crf._transition_gradient: (two, three, three, three, two, tags, integers, number, two),
    crf._end_gradients: (three, tags, integers, number, one, one),
    crf._emission_gradient: (three, tags, integers, number, three),
    crf._viterbi_step: (int64, two, three, integers, three, pointers),
    crf._trace_back: (one, three, pointers, integers, tags),
    arrays._fill: (int64, one),
    steps._copy_columns: (two, int64, two, int64, int64, boolean),
    steps._copy_steps: (three, int64, three, int64, int64, integers, boolean, boolean),
}
wide = {
    fleet._squared_errors: (three, three, sums),
    fleet._clip: (two, two, two, two, two, float64),
    loss._divide: (sums, sums, int64, sums),
    loss._forecast_gradient: (int64, two, two, two, two, one, sums, two),
    loss._gradient: (two, two, one, sums, two),
    loss.cross_entropy_rows: (two, integers, one, sums, two, one),
    gather._scale: (two, integers, integers, int64, int64, float64, boolean, int64, int64, three, two, two, two, one),
    optim._norm: (sums, sums),
    optim._clip: (one, sums, float64),
    _keep: (sums, sums, integers, types.Array(float64, 2, "C")),
    reduction._forecast_losses: (int64, two, two, two, two, one, sums),
    reduction._known_weights: (two, two, sums),
    reduction._sum: (one, sums),
    reduction._sum_of_products: (one, one, sums),
    reduction._squared_errors: (two, two, one, sums),
    arrays._copy: (sums, one),
    crf._mean_loss: (sums, sums, sums),
    crf._log_partition: (one, three, integers, sums),
    crf._scores: (two, one, one, three, tags, integers, sums),
}
keeps_nan = {sequence.forward_sequence, stepwise._forward_step, spread._forward, activation._tanh_forward}
in_registers = {sequence.forward_sequence, sequence.backward_sequence, product._product}
in_registers |= {spread._forward, spread._backward}
if number == float32:
    wide[tensor.tensor_product] = (three, boolean, three, boolean, number[:, :], boolean, three, int64)
compiled = set()
for kernel, signature in {**signatures, **wide}.items():
    ptx, _ = cuda.compile_ptx(kernel.py_func, signature, cc=(9, 0))
    assert ".entry" in ptx, kernel
    if number == float32 and kernel in signatures:
        assert ".f64" not in ptx, f"{kernel.py_func.__name__} computes in float64"
    if kernel in keeps_nan:
        assert "min.f32" not in ptx and "max.f32" not in ptx, f"{kernel.py_func.__name__} would turn NaN into a bound"
    if kernel in in_registers:
        assert ".local" not in ptx, f"{kernel.py_func.__name__} keeps its sums in memory"
        assert f"ld.shared.v{4 if number == float32 else 2}" in ptx, f"{kernel.py_func.__name__} reads number by number"
    if kernel is tensor.tensor_product:
        assert ptx.count("mma.sync") == 8, "each warp has 2 x 4 tiles"
        assert ".local" not in ptx
    compiled.add(kernel)
present = set()
for module in pkgutil.iter_modules(gatecast.kernels.cuda.__path__, "gatecast.kernels.cuda."):
    for value in vars(importlib.import_module(module.name)).values():
        if hasattr(value, "py_func") and not value.targetoptions.get("device"):
            present.add(value)
if number == float64:  # it has no TF32
    present.discard(tensor.tensor_product)
print("not compiled:", sorted(kernel.py_func.__name__ for kernel in present - compiled))
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kernel_compiles_for_hopper_and_float32_stays_float32(dtype):
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0"}
    program = COMPILE.replace("DTYPE", dtype)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert result.stdout.strip() == "not compiled: []", result.stderr
