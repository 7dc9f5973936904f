"""Forecast tomorrow's volatility of the S&P 500 and the NASDAQ, and compare with the naive forecast on later days."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from gatecast import FEATURE_SETS, TARGETS, Forecaster, Selection, build_series_frame, open_source


def main(start: date = date(2010, 1, 1), n_windows: int = 100, max_epochs: int = 10) -> pd.DataFrame:
    """Train on the shipped daily bars from `start` on, score on the last days, and return the forecast."""
    bars = open_source("sample").read(Selection(start=start))
    frame = build_series_frame(bars, TARGETS["range"], FEATURE_SETS["returns"])  # unique_id, ds, y, three covariates

    # The last `n_windows` days are forecast one by one, each from what was known the day before.
    model = Forecaster(lookback=60, horizon=1, max_epochs=max_epochs, seed=0)
    scored = model.cross_validation(frame, n_windows=n_windows)
    known = frame[["unique_id", "ds", "y"]].rename(columns={"ds": "cutoff", "y": "naive"})
    scored = scored.merge(known, on=["unique_id", "cutoff"])
    for name, rows in scored.groupby("unique_id"):
        errors = {column: np.sqrt(np.mean((rows[column] - rows["y"]) ** 2)) for column in ("y_hat", "naive")}
        print(f"{name}: RMSE {errors['y_hat']:.3f}, naive {errors['naive']:.3f}")

    forecast = model.fit(frame).predict()
    print(forecast)
    return forecast


if __name__ == "__main__":
    main()
