from __future__ import annotations

import pytest

from benchmarks import (
    char_lm,
    crf,
    fleet,
    growth,
    inference,
    learning,
    orchestration,
    retrain,
    sequences,
    startup,
    training_loop,
    training_step,
    variants,
)  # fmt: skip
from benchmarks.measure import Plan
from benchmarks.sizes import Sizes
from benchmarks.trainers import GatecastTrainer, draw_weights

MODULES = (
    training_step, training_loop, variants, crf, char_lm, inference, startup, growth, sequences, fleet, orchestration,
    retrain, learning,
)  # fmt: skip


@pytest.mark.parametrize("quick", [False, True])
def test_names_of_rows_are_distinct(quick):
    plan = Plan(threads=1, quick=quick, deadline=float("inf"))
    names = [case.name for module in MODULES for case in module.cases(plan)]
    assert len(names) == len(set(names))


def test_steps_on_one_batch_lower_its_loss(rng):
    sizes = Sizes(4, 5, 2, 8)
    trainer = GatecastTrainer(sizes, draw_weights(sizes, seed=0))
    x, y = rng.normal(size=(4, 5, 2)).astype("float32"), rng.normal(size=(4, 1)).astype("float32")
    losses = [trainer.step(x, y) for _ in range(20)]
    assert losses[-1] < losses[0]


def test_a_missing_peer_makes_a_row_that_says_so(monkeypatch):
    monkeypatch.setattr(inference, "installed", lambda package: False)
    plan = Plan(threads=1, quick=True, deadline=float("inf"))
    (case,) = (case for case in inference.cases(plan) if case.name == "inference 1/60/8/64")
    rows = case.run()
    assert [(row.peer, row.other, row.note) for row in rows] == [
        (peer, None, "not installed") for peer in inference.PEERS
    ]
