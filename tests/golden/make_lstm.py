"""Make ``lstm.npz``: what torch.nn.LSTM computes, forward and backward, for a few small networks.

Run by ``make golden`` in the environment of the peers; the file is committed, so the tests need no torch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

CONFIGURATIONS = {
    # name: (batch, seq, input_size, hidden_size, num_layers)
    "single": (3, 5, 2, 4, 1),
    "one_of_each": (1, 1, 1, 1, 1),
    "stacked": (5, 7, 3, 6, 3),
    "wide": (9, 4, 11, 19, 2),
}


def main() -> None:
    """Write the vectors, float64, next to this file."""
    arrays: dict[str, np.ndarray] = {}
    for seed, (name, (batch, seq, input_size, hidden_size, layers)) in enumerate(CONFIGURATIONS.items()):
        torch.manual_seed(seed)
        network = torch.nn.LSTM(input_size, hidden_size, layers, batch_first=True, dtype=torch.float64)
        x = torch.randn(batch, seq, input_size, dtype=torch.float64, requires_grad=True)
        state = [torch.randn(layers, batch, hidden_size, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        y, (h_n, c_n) = network(x, tuple(state))
        dy = torch.randn_like(y)
        dh_n = torch.randn_like(h_n)
        dc_n = torch.randn_like(c_n)
        ((y * dy).sum() + (h_n * dh_n).sum() + (c_n * dc_n).sum()).backward()
        tensors = {
            "x": x, "h_0": state[0], "c_0": state[1], "y": y, "h_n": h_n, "c_n": c_n, "dy": dy, "dh_n": dh_n,
            "dc_n": dc_n, "dx": x.grad, "dh_0": state[0].grad, "dc_0": state[1].grad,
            **{f"weights.{key}": value for key, value in network.named_parameters()},
            **{f"gradients.{key}": value.grad for key, value in network.named_parameters()},
        }  # fmt: skip
        arrays.update({f"{name}/{key}": tensor.detach().numpy() for key, tensor in tensors.items()})
    np.savez_compressed(Path(__file__).with_name("lstm.npz"), **arrays)


if __name__ == "__main__":
    main()
