"""Numbers from 1e-300 to 1e300."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pandas as pd

from tests.torture.torture import Torture, one_sentence, require

ROWS = 60
EXPONENTS = (-300, -150, -60, -39, -20, -3, 0, 3, 12, 25, 30, 36, 38, 39, 60, 149, 151, 200, 300)
KINDS: tuple[dict[str, Any], ...] = (
    {}, {"horizon": 3}, {"dropout": 0.3}, {"dtype": "float64"}, {"scaling": "minmax"}, {"scaling": "none"},
    {"window_scaling": "none", "season": "none"}, {"loss": "mse"}, {"n_models": 2, "dropout": 0.2},
)  # fmt: skip


class Numbers(Torture):
    """A forecast is a finite number, or one sentence names the series, for values from 1e-300 to 1e300.

    Two series; one of them has a huge or tiny value somewhere, or all of its values are of that size.
    """

    name = "numbers"
    short = 30

    def trial(self, seed: int, number: int) -> str:
        from gatecast import Forecaster
        from gatecast.data.sequences.splits import TEST
        from tests.lstm.frames import SPLIT, sequences_for

        draw = random.Random(seed)
        frame, what = strange_frame(draw)
        settings = {"lookback": 7, "hidden_size": 4, "max_epochs": 2, "seed": seed, **draw.choice(KINDS)}
        with warnings.catch_warnings(), one_sentence(f"{what}, {settings}") as told:
            warnings.simplefilter("ignore", UserWarning)
            model = Forecaster(**settings).fit(frame, SPLIT)
            wrong = model.predict()["y_hat"].to_numpy()
            require(np.isfinite(wrong).all(), f"{what}, {settings}: predict gives {wrong}")
            if settings.get("dropout"):
                _, samples = model.sample(n_samples=3)
                require(np.isfinite(samples).all(), f"{what}, {settings}: sample gives what is not finite")
            windows = model.predict_windows(sequences_for(model, frame), TEST)
            require(np.isfinite(windows["y_hat"]).all(), f"{what}, {settings}: predict_windows is not finite")
        return "refused" if told else "forecast"


def strange_frame(draw: random.Random) -> tuple[pd.DataFrame, str]:
    """Return two series, one of them with values of an odd size, and what was done to them."""
    numbers = np.random.default_rng(draw.randrange(2**32))
    season = np.sin(np.arange(ROWS) / 7 * 2 * np.pi)
    usual = season + numbers.normal(0, 0.1, ROWS)
    odd = 5 + season + numbers.normal(0, 0.1, ROWS)
    exponent = draw.choice(EXPONENTS)
    size = draw.choice((1, -1)) * 10.0**exponent
    how = draw.choice(("one", "last", "all", "half"))
    with np.errstate(all="ignore"):
        if how == "all":
            odd = odd * size
        elif how == "half":
            odd[ROWS // 2 :] *= size
        else:
            odd[-1 if how == "last" else draw.randrange(ROWS)] = size
    days = pd.date_range("2020-01-01", periods=ROWS)
    parts = [pd.DataFrame({"unique_id": name, "ds": days, "y": y}) for name, y in (("usual", usual), ("odd", odd))]
    return pd.concat(parts, ignore_index=True), f"{how} of size {size:g}"
