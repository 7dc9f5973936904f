"""One training step, by Gatecast and by torch: the same arithmetic from the same weights.

LSTM layers, a linear head on the last hidden state, mean squared error, gradients of all weights but not of the input,
clipping to a norm of 1, Adam without weight decay. Both train one bias for each gate: torch's second bias is zero and
frozen, since two would move twice as far.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from benchmarks.sizes import Sizes

__all__ = ["GatecastTrainer", "GatecastWindowTrainer", "TorchTrainer", "draw_weights"]

_LEARNING_RATE = 1e-3
_GRADIENT_CLIP = 1.0


def draw_weights(sizes: Sizes, seed: int) -> dict[str, np.ndarray]:
    """Draw the weights that both sides start from, float32, under the names and shapes of torch."""
    from gatecast.lstm.nn.initialisation import init_linear, init_parameters

    generator = np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}
    for layer in range(sizes.num_layers):
        input_size = sizes.hidden_size if layer else sizes.input_size
        arrays = init_parameters(input_size, sizes.hidden_size, generator)
        weights |= {f"lstm.{name}_l{layer}": array for name, array in arrays.items()}
    return weights | {f"head.{name}": array for name, array in init_linear(sizes.hidden_size, 1, generator).items()}


class GatecastTrainer:
    """Gatecast's network and optimiser.

    Parameters
    ----------
    sizes : Sizes
    weights : from `draw_weights`
    backend : {"cpu", "cuda"}
    """

    def __init__(self, sizes: Sizes, weights: dict[str, np.ndarray], backend: Literal["cpu", "cuda"] = "cpu"):
        from gatecast.lstm.config import NetworkSettings
        from gatecast.lstm.forecasting.network import Network
        from gatecast.lstm.training.optim import Adam

        settings = NetworkSettings(hidden_size=sizes.hidden_size, num_layers=sizes.num_layers, backend=backend)
        self.network = Network(sizes.input_size, 1, settings)
        self.network.parameters.load(weights)
        self.optimizer = Adam(self.network.parameters, self.network.ops, gradient_clip=_GRADIENT_CLIP)
        self._row_weights = self.network.ops.ones((sizes.batch_size,), "float32")

    def step(self, x: Any, y: Any) -> float:
        """Train on one batch, x (B, T, I) and y (B, 1), both in the backend's memory; return its loss."""
        return float(self.train(x, y))

    def train(self, x: Any, y: Any) -> Any:
        """Do the same without waiting for the loss, if the backend allows it."""
        network = self.network
        y_hat, _ = network.forward(x, training=True)
        gradient = network.ops.zeros(y_hat.shape, network.dtype)
        loss = network.ops.mse_loss(y_hat, y, self._row_weights, gradient)
        network.backward(gradient)
        self.optimizer.step(_LEARNING_RATE)
        return loss


class GatecastWindowTrainer:
    """The same network and optimiser, many steps in a call as in training on windows.

    Parameters
    ----------
    sizes : Sizes
    weights : from `draw_weights`
    values : (rows, I) array
        The series that windows are gathered from; the target is column 0 of the row after a window.
    backend : {"cpu", "cuda"}
    """

    def __init__(
        self,
        sizes: Sizes,
        weights: dict[str, np.ndarray],
        values: np.ndarray,
        backend: Literal["cpu", "cuda"] = "cpu",
    ):
        from gatecast.lstm.forecasting.batches import WindowBatches
        from gatecast.lstm.forecasting.window_steps import WindowSteps

        plain = GatecastTrainer(sizes, weights, backend)
        network = plain.network
        optimizer = plain.optimizer
        batches = WindowBatches(
            values, np.empty(0, np.int64), sizes.seq_len, 1, sizes.batch_size, seed=0, ops=network.ops
        )
        self._ops = network.ops
        self._seq_len = sizes.seq_len
        self._steps = WindowSteps(network, batches, optimizer)

    def places(self, starts: np.ndarray) -> Any:
        """Return where windows that begin at rows `starts`, int64 (steps, B), are, as the other methods take it."""
        places = np.stack([starts, starts + self._seq_len, np.zeros_like(starts)], axis=1)
        return self._ops.as_array(places, "int64")

    def steps(self, places: Any) -> list[float]:
        """Train on a batch of windows for each of `places`; return their losses."""
        return [float(record.loss) for record in self.take(places)]

    def take(self, places: Any) -> list[Any]:
        """Do the same without waiting for the losses, if the backend allows it; return the steps' records."""
        return list(self._steps.take(places, lambda step: _LEARNING_RATE))


class TorchTrainer:
    """The same in torch.

    Parameters
    ----------
    sizes : Sizes
    weights : from `draw_weights`
    device : {"cpu", "cuda"}
    """

    def __init__(self, sizes: Sizes, weights: dict[str, np.ndarray], device: str = "cpu"):
        import torch

        lstm = torch.nn.LSTM(sizes.input_size, sizes.hidden_size, sizes.num_layers, batch_first=True)
        self._model = torch.nn.ModuleDict({"lstm": lstm, "head": torch.nn.Linear(sizes.hidden_size, 1)})
        zeros = {name.replace("_ih_", "_hh_"): np.zeros_like(a) for name, a in weights.items() if "bias_ih" in name}
        self._model.load_state_dict({name: torch.from_numpy(array) for name, array in (weights | zeros).items()})
        self._model.to(device)
        for name in zeros:
            self._model.get_parameter(name).requires_grad_(False)
        self._parameters = [value for value in self._model.parameters() if value.requires_grad]
        capturable = device != "cpu"  # as a CUDA graph
        self._optimizer = torch.optim.Adam(self._parameters, lr=_LEARNING_RATE, fused=True, capturable=capturable)
        self._mse_loss = torch.nn.functional.mse_loss
        self._clip = torch.nn.utils.clip_grad_norm_

    def step(self, x: Any, y: Any) -> float:
        """Train on one batch of tensors, x (B, T, I) and y (B, 1); return its loss."""
        return self.train(x, y).item()

    def predict(self, x: Any) -> Any:
        """Return the predictions (B, 1) without gradients."""
        import torch

        with torch.no_grad():
            _, (h_n, _) = self._model["lstm"](x)
            return self._model["head"](h_n[-1])

    def train(self, x: Any, y: Any) -> Any:
        """Do the same without waiting for the loss, a tensor."""
        self._optimizer.zero_grad()
        _, (h_n, _) = self._model["lstm"](x)
        loss = self._mse_loss(self._model["head"](h_n[-1]), y)
        loss.backward()
        self._clip(self._parameters, _GRADIENT_CLIP)
        self._optimizer.step()
        return loss.detach()
