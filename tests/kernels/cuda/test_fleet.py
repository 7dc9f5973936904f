from __future__ import annotations

import numpy as np
import pytest

from tests import reference
from tests.conftest import SIMULATED, get_ops

CUDA = get_ops("cuda")

from gatecast.kernels.cuda.fleet import FleetWeights, clip_fleet, fleet_gradients, fleet_workspace  # noqa: E402

SIZES = (3, 5, 4, 2, 6, 2) if SIMULATED else (200, 32, 30, 2, 32, 3)  # models, B, T, I, H, outputs


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
def test_every_model_gets_the_loss_and_the_gradients_that_it_would_get_alone(rng, dtype, tolerance):
    models, batch_size, seq_len, input_size, hidden_size, outputs = SIZES
    width = 4 * hidden_size
    rows = 20 * models + seq_len
    shapes = [(width, input_size), (width, hidden_size), (width,), (outputs, hidden_size), (outputs,)]
    weights = FleetWeights(*(rng.normal(scale=0.4, size=(models, *shape)).astype(dtype) for shape in shapes))
    values = rng.normal(size=(rows, input_size)).astype(dtype)
    starts = rng.integers(0, rows - seq_len, (models, batch_size))
    y = rng.normal(size=(models, batch_size, outputs)).astype(dtype)
    on_gpu = FleetWeights(*(CUDA.as_array(array, dtype) for array in weights))
    gradients = FleetWeights(*(CUDA.zeros(array.shape, dtype) for array in weights))
    losses = CUDA.zeros((models,), "float64")
    workspace = fleet_workspace(*SIZES, dtype)
    inputs = CUDA.as_array(values, dtype), CUDA.as_array(starts, "int64"), CUDA.as_array(y, dtype)
    for _ in range(2):  # a workspace serves again
        fleet_gradients(on_gpu, *inputs, workspace, gradients, losses)
    found = FleetWeights(*(array.copy_to_host() for array in gradients))
    for model in range(models):
        expected_loss, expected = alone(*(array[model] for array in weights), values, starts[model], y[model], seq_len)
        assert losses.copy_to_host()[model] == pytest.approx(expected_loss, rel=tolerance)
        for array, other in zip(found, expected, strict=True):
            assert reference.relative_error(array[model], other) < tolerance


def alone(w_ih, w_hh, bias, head_weight, head_bias, values, starts, y, seq_len):
    """One model in float64 NumPy: its loss and gradients."""
    x = np.stack([values[start : start + seq_len] for start in starts])
    zeros = np.zeros((len(x), w_hh.shape[1]))
    _, h_n, _, steps = reference.lstm_forward(w_ih, w_hh, bias, x, zeros, zeros)
    error = h_n @ head_weight.T.astype(float) + head_bias - y
    d_y = 2 * error / error.size
    d_steps = np.zeros((*x.shape[:2], w_hh.shape[1]))
    layer = reference.lstm_backward(w_ih, w_hh, steps, d_steps, d_y @ head_weight.astype(float), zeros)
    return np.mean(error**2), [*layer[:3], d_y.T @ h_n, d_y.sum(axis=0)]


def test_clipping_looks_at_each_model_by_itself(rng):
    shapes = [(8, 3), (8, 2), (8,), (1, 2), (1,)]
    arrays = [rng.normal(size=(2, *shape)) for shape in shapes]
    for array in arrays:
        array[1] *= 1e-3
    on_gpu = FleetWeights(*(CUDA.as_array(array, "float64") for array in arrays))
    clip_fleet(on_gpu, 1.0)
    found = [array.copy_to_host() for array in on_gpu]
    norm = np.sqrt(sum((array[0] ** 2).sum() for array in arrays))
    assert norm > 1
    for array, before in zip(found, arrays, strict=True):
        np.testing.assert_allclose(array[0], before[0] / norm, rtol=1e-12)
        np.testing.assert_array_equal(array[1], before[1])
