from __future__ import annotations

import pytest

from gatecast.flows.registry.measures import BITS_PER_CHARACTER, F1, RMSE, TOLERANCE, Figure


def test_an_error_is_better_the_lower_it_is() -> None:
    assert RMSE.is_worse(1.1, 1.0)
    assert not RMSE.is_worse(0.9, 1.0)
    assert RMSE.gain(0.9, 1.0) == pytest.approx(0.1)
    assert RMSE.gain(0.9, 0.0) == 0
    assert RMSE.difference(0.9, 1.0) == "10.00% lower than"
    assert RMSE.difference(1.1, 1.0) == "10.00% higher than"


def test_a_share_of_what_is_right_is_better_the_higher_it_is() -> None:
    assert F1.is_worse(0.8, 0.9)
    assert not F1.is_worse(0.9, 0.8)
    assert F1.gain(0.9, 0.8) == pytest.approx(0.1)
    assert F1.difference(0.9, 0.8) == "10.00 percentage points higher than"
    assert F1.difference(0.8, 0.8) == "the same as"


@pytest.mark.parametrize("measure", [RMSE, F1])
def test_rounding_is_not_worse(measure) -> None:
    assert not measure.is_worse(1 + TOLERANCE / 2, 1.0)
    assert not measure.is_worse(1 - TOLERANCE / 2, 1.0)


def test_a_figure_is_written_with_its_measure_and_its_gain() -> None:
    assert (str(Figure(RMSE, 0.936927, 1.054)), Figure(RMSE, 0.936927, 1.054).gain) == ("RMSE 0.93693", "+11.1%")
    assert (str(Figure(F1, 0.8, 0.737)), Figure(F1, 0.8, 0.737).gain) == ("F1 80.00%", "+6.3 points")
    assert str(Figure(BITS_PER_CHARACTER, 2.0, None)) == "bits/char 2.0000"
    assert Figure(BITS_PER_CHARACTER, 2.0, None).gain == "–"
