"""torch has two biases per gate, and Gatecast trains one: conversion between them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["with_both_biases", "with_one_bias"]


def with_both_biases(arrays: dict[str, np.ndarray], make_other: Callable[..., np.ndarray]) -> dict[str, np.ndarray]:
    """Add torch's second bias, made from the one that is trained."""
    both = {}
    for name, array in arrays.items():
        both[name] = array
        if "bias_ih" in name:
            both[name.replace("bias_ih", "bias_hh")] = make_other(array)
    return both


def with_one_bias(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add torch's second bias to the one that is trained."""
    one = {name: array for name, array in arrays.items() if "bias_hh" not in name}
    for name, array in arrays.items():
        if "bias_hh" in name:
            partner = name.replace("bias_hh", "bias_ih")
            if partner not in arrays:
                raise ValueError(f"parameters do not match: {name} without {partner}")
            if arrays[partner].shape != array.shape:
                raise ValueError(f"{name} has shape {array.shape}, but {partner} has {arrays[partner].shape}")
            one[partner] = arrays[partner] + array
    return one
