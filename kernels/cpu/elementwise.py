"""The scalar functions as NumPy ufuncs, to inspect or plot them."""

from __future__ import annotations

import numba

from gatecast.kernels import scalar

__all__ = ["sigmoid", "sigmoid_derivative", "tanh", "tanh_derivative"]


@numba.vectorize(cache=True)
def sigmoid(x):
    """Logistic function of each element, of the dtype of `x`."""
    return scalar.sigmoid(x)


@numba.vectorize(cache=True)
def tanh(x):
    """Hyperbolic tangent of each element, of the dtype of `x`."""
    return scalar.tanh(x)


@numba.vectorize(cache=True)
def sigmoid_derivative(y):
    """Derivative of the logistic function, from its values `y`."""
    return scalar.sigmoid_derivative(y)


@numba.vectorize(cache=True)
def tanh_derivative(y):
    """Derivative of the hyperbolic tangent, from its values `y`."""
    return scalar.tanh_derivative(y)
