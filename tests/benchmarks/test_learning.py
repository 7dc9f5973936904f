from __future__ import annotations

import numpy as np

from benchmarks.learning import ADDING, draw_order, draw_sums, wrong_answers


def test_sums_are_those_of_the_paper(rng):
    x, lengths, targets = draw_sums(500, rng)
    assert x.shape == (500, 110, 2)
    assert set(lengths) == set(range(100, 111))
    for sequence, length, target in zip(x, lengths, targets, strict=True):
        numbers, markers = sequence[:length].T
        assert not sequence[length:].any()
        assert np.abs(numbers).max() <= 1
        assert markers[-1] == -1
        marked = np.flatnonzero(markers == 1)
        assert len(marked) == 2
        assert marked[0] < 10
        assert marked[1] < 50
        assert set(np.flatnonzero(markers == -1)) <= {0, length - 1}
        first_counts_as_zero = np.where(marked == 0, 0, numbers[marked])
        np.testing.assert_allclose(target[0], 0.5 + first_counts_as_zero.sum() / 4, atol=1e-6)


def test_orders_are_those_of_the_paper(rng):
    x, lengths, targets = draw_order(500, rng)
    assert x.shape == (500, 110, 8)
    assert set(lengths) == set(range(100, 111))
    classes = set()
    for sequence, length, target in zip(x, lengths, targets, strict=True):
        assert not sequence[length:].any()
        assert (sequence[:length].sum(axis=1) == 1).all()
        text = "".join("abcdEBXY"[place] for place in sequence[:length].argmax(axis=1))
        assert (text[0], text[-1]) == ("E", "B")
        assert set(text[1:-1]) <= set("abcdXY")
        places = [place for place, symbol in enumerate(text) if symbol in "XY"]
        assert len(places) == 2
        assert 10 <= places[0] <= 20
        assert 50 <= places[1] <= 60
        order = text[places[0]] + text[places[1]]
        assert target.tolist() == [order == name for name in ("XX", "XY", "YX", "YY")]
        classes.add(order)
    assert len(classes) == 4


def test_some_training_is_better_than_none():
    few, more = (wrong_answers(ADDING, 0, sequences=count) for count in (8, 8_000))
    assert more < few
    assert few > 1_000
