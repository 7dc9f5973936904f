"""Trainings side by side in threads, one core each: the compiled steps let go of the interpreter's lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from gatecast.kernels.backend import use_threads
from gatecast.lstm.training.loop import EpochRecord

__all__ = ["run_side_by_side"]

OnEpoch = Callable[[EpochRecord], None]


def run_side_by_side(trainings: Sequence[Callable[[OnEpoch], None]], workers: int, on_epoch: OnEpoch) -> None:
    """Run trainings, `workers` at a time; one worker is the calling thread, with all its cores.

    If one fails, or `on_epoch` does, the others end with their present epoch, and the error is raised.

    Parameters
    ----------
    trainings : sequence of callable
        Each is given what to call with the record of each of its epochs.
    workers : int
    on_epoch : callable
        Called in this thread with those records.
    """
    if workers == 1:
        for training in trainings:
            training(on_epoch)
        return
    said: SimpleQueue[EpochRecord | Future[None]] = SimpleQueue()
    is_over = threading.Event()

    def tell(record: EpochRecord) -> None:
        if is_over.is_set():
            raise RuntimeError("another training failed, or the program was interrupted")
        said.put(record)

    with ThreadPoolExecutor(workers, initializer=use_threads, initargs=(1,)) as pool:
        futures = [pool.submit(training, tell) for training in trainings]
        for future in futures:
            future.add_done_callback(said.put)
        running = len(futures)
        try:
            while running:
                word = said.get()
                if isinstance(word, EpochRecord):
                    on_epoch(word)
                else:
                    word.result()
                    running -= 1
        finally:
            is_over.set()
            for future in futures:
                future.cancel()
