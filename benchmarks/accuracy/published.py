"""What others have reported on the tasks, by the same protocol."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from benchmarks.accuracy.task import Measure

__all__ = ["PUBLISHED", "Published"]

_GIFT_EVAL = "GIFT-Eval leaderboard, August 2026"
_M4 = "M4 competition, Makridakis et al. 2020"
_INFORMER = "Zhou et al. 2021, arXiv 2012.07436"
_OF_THIS_PROJECT = "measured for this project on other machines"


class Published(NamedTuple):
    """One system of a paper or a leaderboard."""

    title: str
    source: str
    scores: dict[Measure, float]


def _gift_eval(title: str, mase: float, loss: float) -> Published:
    return Published(title, _GIFT_EVAL, {"MASE": mase, "weighted quantile loss": loss})


PUBLISHED: Mapping[str, tuple[Published, ...]] = MappingProxyType(
    {
        "m4_hourly": (
            Published("ES-RNN, the winner", _M4, {"MASE": 0.893, "OWA": 0.4401}),
            Published("seasonal naive", _M4, {"MASE": 1.193, "sMAPE": 13.912, "OWA": 0.6275}),
            Published(
                "neuralforecast 3.3 LSTM, hidden 32, input 96, rate 5e-3, 1,000 steps, 159 s of the processor",
                _OF_THIS_PROJECT,
                {"MASE": 1.371, "OWA": 0.698},
            ),
            _gift_eval("Chronos-2 (pretrained)", 0.788, 0.0232),
            _gift_eval("Chronos-Bolt small (pretrained)", 0.866, 0.0203),
            _gift_eval("AutoARIMA", 1.03, 0.0337),
            _gift_eval("seasonal naive", 1.193, 0.0376),
            _gift_eval("N-BEATS", 1.34, 0.0501),
            _gift_eval("PatchTST", 1.40, 0.0390),
            _gift_eval("TFT", 2.47, 0.0401),
            _gift_eval("DeepAR", 3.53, 0.133),
        ),
        "etth1-24": (
            Published("LSTMa", _INFORMER, {"MSE": 0.650}),
            Published(
                "torch LSTM, instance-normalised, lookback 96, hidden 64, 4 epochs", _OF_THIS_PROJECT, {"MSE": 0.336}
            ),
        ),
        "etth1-48": (Published("LSTMa", _INFORMER, {"MSE": 0.702}),),
        "etth1-168": (Published("LSTMa", _INFORMER, {"MSE": 1.212}),),
    }
)
"""By task. GIFT-Eval's own ETT1 task has another test period, so its figures are not held against these."""
