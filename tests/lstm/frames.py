"""Small seeded series frames, and forecasters that fit them in a moment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gatecast.data.sequences.sequences import Sequences, build_sequences
from gatecast.data.sequences.splits import SplitSettings
from gatecast.lstm.forecasting.forecaster import Forecaster
from gatecast.lstm.forecasting.recipe import sequence_settings

SPLIT = SplitSettings(validation_fraction=0.15, test_fraction=0.15)
SMALL = {
    "lookback": 8,
    "hidden_size": 5,
    "batch_size": 16,
    "max_epochs": 3,
    "patience": 3,
    "learning_rate": 0.02,
}
PLAIN = {"window_scaling": "none", "season": "none", "residual": "none", "linear_skip": "none", "loss": "mse"}
"""The method of 0.1.0: windows as they are, and nothing but the network"""


def sine_frame(rows: int = 120, names: tuple[str, ...] = ("alpha",), noise: float = 0.1, seed: int = 3) -> pd.DataFrame:
    """Noisy sines on business days, each series with its own level and phase, and the covariate `wave`."""
    rng = np.random.default_rng(seed)
    ds = pd.bdate_range("2020-01-01", periods=rows)
    parts = []
    for number, name in enumerate(names):
        angle = np.arange(rows) * 2 * np.pi / 12 + number
        y = 10.0 * (number + 1) + np.sin(angle) + noise * rng.standard_normal(rows)
        parts.append(pd.DataFrame({"unique_id": name, "ds": ds, "y": y, "wave": np.cos(angle)}))
    return pd.concat(parts, ignore_index=True)


def small_model(**changes: Any) -> Forecaster:
    """A forecaster that trains in a fraction of a second."""
    return Forecaster(**{**SMALL, **changes})


def sequences_for(model: Forecaster, frame: pd.DataFrame, split: SplitSettings = SPLIT) -> Sequences:
    """Sequences as `model` needs them."""
    settings = sequence_settings(model.settings, frame, split)
    return build_sequences(frame, settings.model_copy(update={"gaps": "mask"}))  # as `Forecaster.fit` has it
