"""One model of a fleet."""

from __future__ import annotations

from typing import Any

import pytest

from gatecast.flows.member import train_tiny
from gatecast.lstm.config import ForecasterSettings


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"weight_column": "w"},
        {"horizon": 3, "step_weights": (0, 1, 1)},
        {"differences": "seasonal"},
        {"differences": "first", "transform": "log"},
        {"residual": "seasonal", "season": 24},
        {"series_embedding": 2, "n_models": 2, "transform": "boxcox", "loss": "mse"},
        {"window_scaling": "mean", "loss": "smape"},
        {"stateful": True, "horizon": 2},
    ],
)
def test_kernels_are_compiled_whatever_only_the_data_of_the_models_can_fit(given: dict[str, Any]) -> None:
    forecast = train_tiny(ForecasterSettings(hidden_size=2, **given))
    assert len(forecast) == 1
    assert forecast["y_hat"].notna().all()
