"""Fit Gatecast's forecaster to one series and predict: what a nightly retrain does.

Arguments: the series as a Parquet file, the number of threads, the settings as JSON.
"""

from __future__ import annotations

import json
import sys

import pandas as pd

from gatecast import Forecaster, SplitSettings


def main() -> None:
    """Run the program; see the module."""
    import numba  # here, so that Gatecast loads it, as in a user's program

    path, threads, text = sys.argv[1:]
    settings = json.loads(text)
    numba.set_num_threads(int(threads))
    frame = pd.read_parquet(path)
    epochs = settings["steps"] // settings["steps_per_epoch"]
    model = Forecaster(
        lookback=settings["lookback"],
        horizon=1,
        hidden_size=settings["hidden_size"],
        batch_size=settings["batch_size"],
        max_epochs=epochs,
        patience=epochs,
        schedule="constant",
        weight_decay=0,
    )
    split = SplitSettings(validation_fraction=settings["validation_rows"] / len(frame), test_fraction=0)
    model.fit(frame, split)
    y_hat = float(model.predict()["y_hat"].iloc[0])
    print(json.dumps({"steps": model.history[-1].step, "y_hat": y_hat}))


if __name__ == "__main__":
    main()
