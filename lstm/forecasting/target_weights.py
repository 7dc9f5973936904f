"""How much each target of training and validation counts: by its row, and by its step ahead."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from gatecast.data.sequences.sequences import Sequences
from gatecast.lstm.config import ForecasterSettings

__all__ = ["TargetWeights"]


class TargetWeights(NamedTuple):
    """Weights where a backend computes; that of a target is the product of both: see `ops.weigh_targets`."""

    of_rows: Any
    """(rows,)"""
    of_steps: Any
    """(horizon,)"""

    @classmethod
    def of(cls, settings: ForecasterSettings, sequences: Sequences, ops: ModuleType) -> TargetWeights | None:
        """Return those of sequences; None where all targets weigh the same."""
        if not settings.is_weighted:
            return None
        of_rows = np.ones(len(sequences.values)) if sequences.weights is None else sequences.weights
        of_steps = np.ones(settings.horizon) if settings.step_weights is None else np.array(settings.step_weights)
        return cls(*(ops.as_array(_near_one(weights), settings.dtype) for weights in (of_rows, of_steps)))


def _near_one(weights: np.ndarray) -> np.ndarray:
    """Return weights of at most 1, so that their products and sums are numbers of every dtype; only ratios count.

    They are divided by a power of two, which changes no bit of a training: the largest may be of a row to be tested.
    """
    _, exponent = np.frexp(weights.max())
    return np.ldexp(weights, -exponent)
