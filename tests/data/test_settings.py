from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from gatecast import CharLM, Forecaster, LSTMRegressor, Tagger
from gatecast.data.errors import InputError, SettingsError
from gatecast.data.sequences.sequences import SequenceSettings
from gatecast.data.sequences.splits import SplitSettings
from gatecast.flows.settings.data import DataSettings
from gatecast.flows.settings.runs import RetrainSettings
from gatecast.flows.settings.tagging import TaggingSettings
from gatecast.lstm.config import ForecasterSettings

ROOT = Path(__file__).parents[2]

SENTENCES = {
    "mistyped": (lambda: Forecaster(lookbak=60), "Forecaster has no setting 'lookbak'; did you mean lookback?"),
    "half a name": (lambda: CharLM(hidden=3), "CharLM has no setting 'hidden'; did you mean hidden_size?"),
    "like no other": (lambda: Tagger(frobnicate=1), "Tagger has no setting 'frobnicate'; leave it out."),
    "no number": (
        lambda: Forecaster(horizon="five"),
        "horizon 'five' is not allowed: it should be a valid integer, unable to parse string as an integer.",
    ),
    "too small": (lambda: Forecaster(lookback=0), "lookback 0 is not allowed: it should be greater than 0, or 'auto'."),
    "too large": (lambda: Tagger(dropout=1.5), "dropout 1.5 is not allowed: it should be less than 1."),
    "no choice": (
        lambda: Forecaster(attention="cosine"),
        "attention 'cosine' is not allowed: it should be 'none', 'dot', 'general' or 'additive'.",
    ),
    "not finite": (
        lambda: CharLM(learning_rate=float("nan")),
        "learning_rate nan is not allowed: it should be a finite number.",
    ),
    "not together": (
        lambda: Forecaster(residual=True),
        "residual_layers and layer_norm go between layers; choose num_layers of at least 2.",
    ),
    "not together, in words": (
        lambda: SplitSettings(train_end="2020-01-01"),
        "Give both train_end and validation_end, or neither.",
    ),
    "the settings themselves": (
        lambda: ForecasterSettings(lookbak=60),
        "Forecaster has no setting 'lookbak'; did you mean lookback?",
    ),
    "of the data": (lambda: SequenceSettings(horizn=2), "Sequence has no setting 'horizn'; did you mean horizon?"),
    "nested": (
        lambda: RetrainSettings(model={"lookbak": 60}),
        "Retrain has no setting 'model.lookbak'; did you mean model.lookback?",
    ),
    "nested value": (
        lambda: RetrainSettings(model={"lookback": -1}),
        "model.lookback -1 is not allowed: it should be greater than 0, or 'auto'.",
    ),
    "pattern": (
        lambda: DataSettings(max_stale="5 days"),
        "max_stale '5 days' is not allowed: it should be a number and d, h or min, as 5d or 12h.",
    ),
    "missing": (lambda: TaggingSettings(), "Tagging needs a setting that was not given: train."),
    "estimator": (
        lambda: LSTMRegressor(hidden_size=0).fit([[1.0, 2.0]] * 3, [1.0, 2.0, 3.0]),
        "hidden_size 0 is not allowed: it should be greater than 0.",
    ),
}


@pytest.mark.parametrize(("mistake", "sentence"), SENTENCES.values(), ids=SENTENCES)
def test_a_mistake_is_told_in_one_sentence(mistake, sentence):
    with pytest.raises(SettingsError) as caught:
        mistake()
    assert str(caught.value) == sentence
    assert isinstance(caught.value, InputError)
    assert caught.value.__suppress_context__


def test_a_value_without_end_is_told_in_short():
    with pytest.raises(SettingsError) as caught:
        Forecaster(lookback="9" * 10_000)
    assert len(str(caught.value)) < 200
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(SettingsError, match=r"lookback \[+\.\.\.\]+ is not allowed"):
        Forecaster(lookback=nested)


def test_the_sentence_survives_the_way_to_another_process():
    with pytest.raises(SettingsError) as caught:
        Forecaster(lookbak=60)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.problem["loc"]) == (str(caught.value), ("lookbak",))


def test_whoever_validates_by_pydantic_gets_all_its_problems():
    with pytest.raises(ValidationError) as caught:
        ForecasterSettings.model_validate({"lookback": 0, "horizon": 0})
    assert list(dict.fromkeys(problem["loc"][0] for problem in caught.value.errors())) == ["lookback", "horizon"]


def test_settings_import_neither_pandas_nor_numba():
    code = (
        "import sys, gatecast.lstm.config; sys.exit(any(name in sys.modules for name in ('pandas', 'numba', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
