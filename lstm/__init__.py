"""LSTM models on Numba kernels: what a user imports.

>>> from lstm import Forecaster
>>> model = Forecaster(lookback=60, horizon=5).fit(frame)   # frame: unique_id, ds, y and covariates
>>> model.predict()                                         # unique_id, ds, y_hat

Names are imported when they are first used, so that ``import lstm`` costs nothing.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kernels.collector import collector_paused

if TYPE_CHECKING:
    from lstm.attention import Attention as Attention
    from lstm.cell import LSTMCell as LSTMCell
    from lstm.char_lm import CharLM as CharLM
    from lstm.checkpoint import CheckpointError as CheckpointError
    from lstm.config import CharLMSettings as CharLMSettings
    from lstm.config import ForecasterSettings as ForecasterSettings
    from lstm.config import TaggerSettings as TaggerSettings
    from lstm.crf import CRF as CRF
    from lstm.crf import Constraints as Constraints
    from lstm.forecaster import Forecaster as Forecaster
    from lstm.functional import sigmoid as sigmoid
    from lstm.functional import sigmoid_derivative as sigmoid_derivative
    from lstm.functional import tanh as tanh
    from lstm.functional import tanh_derivative as tanh_derivative
    from lstm.initialisation import Initialisation as Initialisation
    from lstm.initialisation import init_parameters as init_parameters
    from lstm.layers import Dropout as Dropout
    from lstm.layers import Embedding as Embedding
    from lstm.layers import Linear as Linear
    from lstm.models import load as load
    from lstm.normalisation import LayerNorm as LayerNorm
    from lstm.recurrent import LSTM as LSTM
    from lstm.regressor import LSTMRegressor as LSTMRegressor
    from lstm.stack import Stack as Stack
    from lstm.tagger import Tagger as Tagger

_MODULES = MappingProxyType(
    {
        "Attention": "lstm.attention",
        "CharLM": "lstm.char_lm",
        "CharLMSettings": "lstm.config",
        "CRF": "lstm.crf",
        "CheckpointError": "lstm.checkpoint",
        "Dropout": "lstm.layers",
        "Constraints": "lstm.crf",
        "Embedding": "lstm.layers",
        "Forecaster": "lstm.forecaster",
        "ForecasterSettings": "lstm.config",
        "Initialisation": "lstm.initialisation",
        "LSTM": "lstm.recurrent",
        "LSTMCell": "lstm.cell",
        "LSTMRegressor": "lstm.regressor",
        "LayerNorm": "lstm.normalisation",
        "Linear": "lstm.layers",
        "Stack": "lstm.stack",
        "Tagger": "lstm.tagger",
        "TaggerSettings": "lstm.config",
        "init_parameters": "lstm.initialisation",
        "load": "lstm.models",
        "sigmoid": "lstm.functional",
        "sigmoid_derivative": "lstm.functional",
        "tanh": "lstm.functional",
        "tanh_derivative": "lstm.functional",
    }
)

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES[name]
    with nullcontext() if module in sys.modules else collector_paused():
        return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return __all__
