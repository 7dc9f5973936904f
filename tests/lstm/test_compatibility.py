"""Checkpoints that earlier revisions wrote."""

from __future__ import annotations

import pytest

from gatecast import load
from tests.fixtures import FIXTURES, checkpoints_in, expected_predictions, predictions

EXPECTED = expected_predictions()
# What another processor's order of additions may change.
TOLERANCES = {"float32": 1e-5, "float64": 1e-11}


def test_every_checkpoint_has_its_predictions_on_record():
    assert set(checkpoints_in(FIXTURES)) == set(EXPECTED)


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: str(path.relative_to(FIXTURES)))
def test_a_checkpoint_predicts_what_it_did_where_it_was_made(path):
    predicted = predictions(path)
    expected = EXPECTED[path]
    tolerance = TOLERANCES[load(path).settings.dtype]
    assert list(predicted) == list(expected)
    for name, value in expected.items():
        exact = name in ("tags", "text")
        assert predicted[name] == (value if exact else pytest.approx(value, rel=tolerance))
