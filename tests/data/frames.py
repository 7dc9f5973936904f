"""Small frames that the tests of data/ share."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import settings

# The same examples at every run, however slow the machine.
REPRODUCIBLE = settings(deadline=None, derandomize=True)


def make_bars(
    symbols: tuple[str, ...] = ("A",), rows: int = 60, start: str = "2020-01-01", freq: str = "B"
) -> pd.DataFrame:
    """Return a valid bars frame, a random walk for each symbol."""
    parts = []
    for seed, symbol in enumerate(symbols):
        rng = np.random.default_rng(seed)
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, rows)))
        open_ = close * np.exp(rng.normal(0, 0.005, rows))
        part = pd.DataFrame(
            {
                "unique_id": symbol,
                "ds": pd.date_range(start, periods=rows, freq=freq),
                "open": open_,
                "high": np.maximum(open_, close) * 1.003,
                "low": np.minimum(open_, close) * 0.996,
                "close": close,
                "volume": rng.integers(1_000, 9_000, rows).astype(float),
            }
        )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def make_series(lengths: dict[str, int], covariates: int = 1, start: str = "2020-01-01") -> pd.DataFrame:
    """Return a valid series frame whose values are all different, so that a row out of place shows."""
    parts = []
    for number, (unique_id, rows) in enumerate(lengths.items()):
        y = 1000.0 * (number + 1) + np.arange(rows)
        part = pd.DataFrame({"unique_id": unique_id, "ds": pd.date_range(start, periods=rows), "y": y})
        for covariate in range(covariates):
            part[f"x{covariate}"] = -y - 0.1 * covariate
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
