"""A whole retrain, compared with neuralforecast's LSTM: a process starts, fits one series and predicts.

500 steps of 32 windows over 4,000 training windows, four passes with a validation after each, lookback 60, hidden 64.
Both sides scale the series once, train one LSTM layer and a linear head with Adam on the mean squared error, and clip
gradients to 1. They draw their own first weights and batches, so they agree if both took the same number of steps and
both forecasts are within the noise of the series.
"""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measure import Case, DisagreementError, Plan, installed
from benchmarks.processes import run_program
from benchmarks.results import Comparison, Timing

__all__ = ["cases"]

GROUP = "retrain"
PEER = "neuralforecast"
SETTINGS = {
    "steps": 500,
    "steps_per_epoch": 125,
    "batch_size": 32,
    "lookback": 60,
    "hidden_size": 64,
    "validation_rows": 940,
}
_ROWS = 5000
_NOISE = 0.1
_ROUNDS = 5


def cases(plan: Plan) -> list[Case]:
    """Return the one case of this module."""
    return [Case(f"{GROUP} 5000 rows, 500 steps", lambda: [_compare(plan)])]


def _compare(plan: Plan) -> Comparison:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.parquet"
        frame, expected = _series()
        frame.to_parquet(path)
        programs = {"gatecast": "retrain_gatecast"}
        if installed("neuralforecast"):
            programs[PEER] = "retrain_neuralforecast"
        turns: dict[str, list[list[float]]] = {name: [] for name in programs}
        # The first round of the full form is not counted: it compiles kernels and reads libraries from the disk.
        for round_number in range(1 if plan.quick else 1 + _ROUNDS):
            for name, program in programs.items():
                arguments = (str(path), str(plan.threads), json.dumps(SETTINGS))
                seconds, result = run_program(program, *arguments, timeout=plan.remaining())
                _require_sense(name, result, expected)
                if plan.quick or round_number > 0:
                    turns[name].append([seconds])
    timings = {name: Timing.of_turns(turn) for name, turn in turns.items()}
    return Comparison(
        group=GROUP,
        name="5000 rows, 500 steps, from process start",
        peer=PEER,
        gatecast=timings["gatecast"],
        other=timings.get(PEER),
        floor=6,
        aim=10,
        note="both forecasts within the noise" if PEER in timings else "neuralforecast is not installed",
    )


def _series() -> tuple[pd.DataFrame, float]:
    """Return a daily series with a season and noise, and the value expected after its end."""
    t = np.arange(_ROWS + 1)
    signal = np.sin(2 * math.pi * t / 30)
    noise = np.random.default_rng(0).normal(scale=_NOISE, size=_ROWS)
    ds = pd.date_range("2010-01-01", periods=_ROWS, freq="D")
    frame = pd.DataFrame({"unique_id": "series", "ds": ds, "y": signal[:-1] + noise})
    return frame, float(signal[-1])


def _require_sense(name: str, result: dict[str, float], expected: float) -> None:
    if result["steps"] != SETTINGS["steps"]:
        raise DisagreementError(f"{name} took {result['steps']} steps instead of {SETTINGS['steps']}")
    if not abs(result["y_hat"] - expected) <= 3 * _NOISE:
        raise DisagreementError(f"{name} forecasts {result['y_hat']:.2f} where {expected:.2f} is expected")
