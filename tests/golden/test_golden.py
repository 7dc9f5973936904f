from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatecast import LSTM
from tests.reference import relative_error

VECTORS = np.load(Path(__file__).with_name("lstm.npz"))
NAMES = sorted({key.split("/")[0] for key in VECTORS.files})


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
@pytest.mark.parametrize("name", NAMES)
def test_outputs_and_all_gradients_are_those_of_torch(name, dtype, tolerance):
    vectors = {key.removeprefix(f"{name}/"): VECTORS[key] for key in VECTORS.files if key.startswith(f"{name}/")}
    weights = {key.removeprefix("weights."): array for key, array in vectors.items() if key.startswith("weights.")}
    gradients = {key.removeprefix("gradients."): a for key, a in vectors.items() if key.startswith("gradients.")}
    layers, _, hidden_size = vectors["h_0"].shape
    network = LSTM(vectors["x"].shape[2], hidden_size, layers, dtype=dtype)
    network.load_state_dict(weights)
    y, (h_n, c_n) = network.forward(vectors["x"], (vectors["h_0"], vectors["c_0"]), training=True)
    dx, (dh_0, dc_0) = network.backward(vectors["dy"], (vectors["dh_n"], vectors["dc_n"]))
    ours = {"y": y, "h_n": h_n, "c_n": c_n, "dx": dx, "dh_0": dh_0, "dc_0": dc_0}
    for key, array in ours.items():
        assert relative_error(array, vectors[key]) < tolerance, key
    assert set(network.grads) == set(gradients)
    for key, expected in gradients.items():
        assert relative_error(network.grads[key], expected) < tolerance, key
