"""What a user writes, as a type checker sees it; each line that ends in "wrong" is an error, and no other."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gatecast import (
    LSTM,
    CharLM,
    CharLMSettings,
    Forecaster,
    ForecasterSettings,
    LSTMRegressor,
    SplitSettings,
    Tagger,
    load,
)

frame = pd.DataFrame()
model: Forecaster = Forecaster(lookback=60, horizon=5, dropout=0.2, attention="dot")
model.fit(frame, SplitSettings(test_fraction=0.1)).predict()
Forecaster()
chosen: dict[str, Any] = {"lookback": 60, "horizon": 5}
Forecaster(**chosen)
Forecaster(lookbak=60)  # wrong
Forecaster(horizon="five")  # wrong
Forecaster(attention="cosine")  # wrong
Forecaster(60)  # wrong
ForecasterSettings(lookback=60, scaling="robust")
ForecasterSettings(lookbak=60)  # wrong

language_model: CharLM = CharLM(level="word", max_minutes=3)
CharLM(hidden=3)  # wrong
CharLM(level="sentence")  # wrong
CharLMSettings(max_epochs="many")  # wrong

tagger: Tagger = Tagger(crf=False, scheme="BIOES")
Tagger(crf="no")  # wrong
Tagger(tags=3)  # wrong

LSTM(3, 4, bidirectional=True)
LSTM(3, hidden_size="five")  # wrong
LSTMRegressor(hidden_sise=4)  # wrong
load("model", backend="cpu")
load(5)  # wrong
