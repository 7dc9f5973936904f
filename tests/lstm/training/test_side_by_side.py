from __future__ import annotations

import math
import threading

import pytest

from gatecast.kernels.backend import thread_count
from gatecast.lstm.training.loop import EpochRecord
from gatecast.lstm.training.side_by_side import run_side_by_side


def record(epoch):
    return EpochRecord(epoch, epoch, 1.0, 1.0, 0.1, math.nan, best=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_all_are_run_and_records_come_in_the_calling_thread(workers):
    seen, threads, counts = [], set(), []

    def training(number):
        def run(tell):
            counts.append(thread_count())
            for epoch in (1, 2):
                tell(record(10 * number + epoch))

        return run

    def on_epoch(of_epoch):
        seen.append(of_epoch.epoch)
        threads.add(threading.current_thread())

    run_side_by_side([training(number) for number in range(4)], workers, on_epoch)
    assert sorted(seen) == [1, 2, 11, 12, 21, 22, 31, 32]
    for number in range(4):  # those of one training are in order
        assert [epoch for epoch in seen if epoch // 10 == number] == [10 * number + 1, 10 * number + 2]
    assert threads == {threading.current_thread()}
    assert counts == [1 if workers > 1 else thread_count()] * 4


def test_as_many_run_at_once_as_there_are_workers():
    met = threading.Barrier(3, timeout=30)
    run_side_by_side([lambda tell: met.wait()] * 3, 3, print)
    assert not met.broken


@pytest.mark.parametrize("fails", ["a training", "on_epoch"])
def test_the_first_error_ends_the_others_and_is_raised(fails):
    ended = []
    begun = []

    def endless(tell):
        begun.append(True)
        try:
            while True:
                tell(record(1))
        finally:
            ended.append(True)

    def failing(tell):
        raise ZeroDivisionError

    def on_epoch(of_epoch):
        raise ZeroDivisionError

    others = [endless, endless, endless, endless]
    with pytest.raises(ZeroDivisionError):
        if fails == "a training":
            run_side_by_side([failing, *others], 2, lambda of_epoch: None)
        else:
            run_side_by_side(others, 2, on_epoch)
    assert ended == begun
    assert len(begun) <= 3  # what had not begun never did
