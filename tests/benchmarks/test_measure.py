from __future__ import annotations

import time

import pytest

from benchmarks.measure import DisagreementError, OutOfTimeError, Plan, require_agreement, take_turns


def plan(deadline: float = float("inf")) -> Plan:
    return Plan(threads=1, quick=True, deadline=deadline)


def test_sides_alternate():
    calls: list[str] = []

    def side(name: str):
        return lambda: (calls.append(name), time.sleep(0.02))

    timings = take_turns({"a": side("a"), "b": side("b")}, plan())
    turns = [name for place, name in enumerate(calls) if place == 0 or calls[place - 1] != name]
    assert turns == ["a", "b"] * plan().rounds
    # The first call of each turn warms up and is not counted.
    assert timings["a"].calls == calls.count("a") - plan().rounds


def test_a_quick_run_past_its_deadline_stops():
    with pytest.raises(OutOfTimeError):
        take_turns({"a": lambda: None}, plan(deadline=time.monotonic()))


def test_agreement_is_relative_and_strict():
    assert require_agreement([1000.0, 1.0], [1000.0, 1.05]) == pytest.approx(5e-5)
    for ours in ([1.0, 2.1], [1.0], [1.0, float("nan")]):
        with pytest.raises(DisagreementError):
            require_agreement(ours, [1.0, 2.0])
