"""The activation functions of an LSTM on arrays: the same functions that the kernels use, to inspect and plot."""

from __future__ import annotations

from gatecast.kernels.cpu.elementwise import sigmoid, sigmoid_derivative, tanh, tanh_derivative

__all__ = ["sigmoid", "sigmoid_derivative", "tanh", "tanh_derivative"]
