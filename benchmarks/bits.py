"""Hashes of seeded trainings: what must not change when code is moved or tidied.

``python -m benchmarks.bits`` trains each kind of model for a moment and prints one hash of its weights. Run it before
and after a change on the same machine: equal lines are equal bits. Other processors give other bits, so no test checks
them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

FORECASTERS: Mapping[str, Mapping[str, Any]] = {
    "forecaster": {},
    "forecaster, two layers and dropout": {"num_layers": 2, "dropout": 0.2, "recurrent_dropout": 0.2},
    "forecaster, both directions and attention": {"bidirectional": True, "attention": "additive"},
    "forecaster, residual and layer norm": {"num_layers": 3, "residual": True, "layer_norm": True},
    "forecaster, stateful": {"stateful": True, "batch_size": 2},
    "forecaster, float64": {"dtype": "float64"},
}


def main() -> None:
    """Train and print."""
    for name, settings in FORECASTERS.items():
        print(f"{forecaster_bits(settings)}  {name}")
    print(f"{text_bits()}  character model")
    print(f"{tagger_bits()}  tagger")


def forecaster_bits(settings: Mapping[str, Any]) -> str:
    """Return the hash of a forecaster of two sines."""
    from gatecast import Forecaster

    rng = np.random.default_rng(7)
    days = pd.bdate_range("2020-01-01", periods=300)
    parts = []
    for number, name in enumerate(("alpha", "beta")):
        y = 10.0 * (number + 1) + np.sin(np.arange(300) / 3 + number) + 0.1 * rng.standard_normal(300)
        parts.append(pd.DataFrame({"unique_id": name, "ds": days, "y": y}))
    small = {"lookback": 12, "horizon": 2, "hidden_size": 16, "batch_size": 16, "max_epochs": 3, "patience": 3}
    model = Forecaster(**{**small, **settings}).fit(pd.concat(parts, ignore_index=True))
    return weights_hash(model)


def text_bits() -> str:
    """Return the hash of a character model of the sample's first characters."""
    from gatecast import CharLM
    from gatecast.data.language.text import sample_text

    model = CharLM(hidden_size=32, seq_len=16, batch_size=8, max_epochs=2, recurrent_dropout=0.1)
    return weights_hash(model.fit(sample_text()[:20_000]))


def tagger_bits() -> str:
    """Return the hash of a tagger of three sentences, many times over."""
    from gatecast import Tagger

    sentences = [["Ada", "lives", "in", "Turin", "."], ["Turin", "sleeps", "."], ["we", "met", "Ada", "Byron"]] * 12
    tags = [["B-P", "O", "O", "B-L", "O"], ["B-L", "O", "O"], ["O", "O", "B-P", "I-P"]] * 12
    return weights_hash(Tagger(hidden_size=12, word_size=16, max_epochs=2).fit(sentences, tags))


def weights_hash(model: Any) -> str:
    """Return 16 hex digits of a fitted model's weights."""
    digest = hashlib.sha256()
    for name, array in sorted(model.network.parameters.to_host().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main()
