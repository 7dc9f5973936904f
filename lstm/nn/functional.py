"""The activation functions of an LSTM on arrays: the very functions that the kernels use, to see and to plot."""

from __future__ import annotations

from gatecast.kernels.cpu.elementwise import sigmoid, sigmoid_derivative, tanh, tanh_derivative

__all__ = ["sigmoid", "sigmoid_derivative", "tanh", "tanh_derivative"]
