"""Forecast a week of sales of three shops from a long frame with covariates, then save the model and load it again."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from gatecast import Forecaster, load


def read_sales(days: int) -> pd.DataFrame:
    """Make up sales; yours come from ``pd.read_csv("sales.csv", parse_dates=["ds"])``, with the same columns."""
    rng = np.random.default_rng(0)
    shops = []
    for shop, level in (("harbour", 200), ("market", 120), ("station", 400)):
        dates = pd.date_range("2024-01-01", periods=days)
        visitors = level * (1 + 0.3 * np.sin(2 * np.pi * dates.day_of_week / 7)) + rng.normal(0, 5, days)
        y = 0.4 * np.roll(visitors, 1) + rng.normal(0, 2, days)  # yesterday's visitors buy today
        weekend = (dates.day_of_week >= 5).astype(float)
        shops.append(pd.DataFrame({"unique_id": shop, "ds": dates, "y": y, "visitors": visitors, "weekend": weekend}))
    return pd.concat(shops, ignore_index=True)


def main(days: int = 400, max_epochs: int = 30) -> pd.DataFrame:
    """Train one model for all shops; every column after ``y`` is a covariate, known up to the day of the forecast."""
    frame = read_sales(days)
    model = Forecaster(lookback=21, horizon=7, learning_rate=5e-3, max_epochs=max_epochs, seed=0).fit(frame)
    with tempfile.TemporaryDirectory() as folder:
        path = model.save(Path(folder) / "sales")  # safetensors and JSON
        forecast = load(path).predict()  # the seven days after the frame; predict(newer) continues a newer one
    print(forecast)
    return forecast


if __name__ == "__main__":
    main()
