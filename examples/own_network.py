"""Train a network of an LSTM and a linear layer by hand: forward pass, loss, backward pass and Adam, all in sight.

The task is the adding problem (Hochreiter & Schmidhuber 1997): add the two numbers of a sequence that are marked.
"""

import numpy as np

from gatecast import LSTM, Linear


def draw(rng: np.random.Generator, batch_size: int = 64, seq_len: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers and marks (batch, seq, 2), one mark in each half of a sequence, and the sums (batch, 1)."""
    numbers, marks = rng.random((batch_size, seq_len)), np.zeros((batch_size, seq_len))
    for half in (0, seq_len // 2):
        marks[np.arange(batch_size), half + rng.integers(seq_len // 2, size=batch_size)] = 1
    return np.stack([numbers, marks], axis=2).astype("float32"), (numbers * marks).sum(axis=1, keepdims=True)


def main(steps: int = 1500) -> float:
    """Train, and return the mean squared error of the last batch; that of always answering 1 is 1/6."""
    rng, lstm, head = np.random.default_rng(0), LSTM(2, 32, seed=0), Linear(32, 1, seed=1)
    moments = [[np.zeros_like(layer.parameters.values) for _ in range(2)] for layer in (lstm, head)]
    for step in range(1, steps + 1):
        x, y = draw(rng)
        _, (h_n, c_n) = lstm.forward(x, training=True)
        error = head.forward(h_n[-1]) - y
        dh_n = head.backward(2 * error / len(error))[np.newaxis]
        lstm.backward(None, (dh_n, np.zeros_like(c_n)), input_grad=False)
        for layer, (mean, square) in zip((lstm, head), moments, strict=True):
            mean += 0.1 * (layer.parameters.gradients - mean)
            square += 0.001 * (layer.parameters.gradients**2 - square)
            rate = 5e-3 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            layer.parameters.values -= rate * mean / (np.sqrt(square) + 1e-8)
            layer.parameters.changed()  # a layer keeps its weights packed, and packs them again
    print(f"mean squared error {np.mean(error**2):.4f} after {steps} steps")
    return float(np.mean(error**2))


if __name__ == "__main__":
    main()
