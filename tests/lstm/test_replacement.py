"""A checkpoint that is replaced while others read it, and while its writer is killed, with and without `renameat2`."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from gatecast.data import store
from gatecast.lstm.training.checkpoint import Checkpoint, CheckpointError, fingerprint, read, write

ROOT = Path(__file__).parents[2]
SAVES = 2000

BUSY = """
import os, sys
from pathlib import Path
from gatecast.data import store
from gatecast.lstm.training.checkpoint import write
from tests.lstm.test_replacement import contents

os.fsync = lambda descriptor: None  # no power fails here, and a save would take ten times as long
if sys.argv[2] == "without":
    store.exchange = lambda one, other: False
for number in range(1, int(sys.argv[3]) + 1):
    write(contents(number), Path(sys.argv[1]), overwrite=True)
"""

# Replaces a checkpoint again and again, in processes that are killed before or after one more call to the system.
KILLED = """
import os, sys
from itertools import count
from pathlib import Path

from gatecast.data import store
from gatecast.lstm.training.checkpoint import read, write
from tests.lstm.test_replacement import contents, value

path = Path(sys.argv[1])
if sys.argv[2] == "without":
    store.exchange = lambda one, other: False
left = 0

def mortal(function):
    def call(*arguments, **options):
        step()
        result = function(*arguments, **options)
        step()
        return result
    return call

def step():
    global left
    left -= 1
    if left == 0:
        os._exit(9)

for name in ("fsync", "mkdir", "rename", "rmdir", "unlink"):
    setattr(os, name, mortal(getattr(os, name)))
store.exchange = mortal(store.exchange)

write(contents(0), path)
former, codes = 0, []
for number in count(1):
    process = os.fork()
    if process == 0:
        left = number
        write(contents(number), path, overwrite=True)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    found = value(read(path))
    assert found == number if code == 0 else found in (former, number), (number, code, found, former)
    former = found
    if code == 0:
        break
print(number)
"""


@pytest.fixture(params=["with", "without"])
def renameat2(request, monkeypatch):
    if request.param == "without":
        monkeypatch.setattr(store, "exchange", lambda one, other: False)
    elif sys.platform != "linux":
        pytest.skip("only Linux exchanges names")
    return request.param


def contents(number: int) -> Checkpoint:
    arrays = {name: {"weight": np.full(3, number, "float32")} for name in ("model", "optimizer")}
    return Checkpoint("Forecaster", {"number": number}, arrays)


def value(checkpoint: Checkpoint) -> int:
    """Return the number that all parts of a checkpoint agree on."""
    (number,) = {checkpoint.document["number"]} | {
        int(array[0]) for arrays in checkpoint.arrays.values() for array in arrays.values()
    }
    return number


def test_a_reader_finds_a_whole_checkpoint_at_every_moment(tmp_path, renameat2):
    path = write(contents(0), tmp_path / "model")
    run = [sys.executable, "-c", BUSY, str(path), renameat2, str(SAVES)]
    writer = subprocess.Popen(run, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    seen = set()
    while writer.poll() is None:
        seen.add(value(read(path)))
    assert writer.returncode == 0, writer.stderr.read()
    writer.stderr.close()
    assert len(seen) > 10
    assert value(read(path)) == SAVES


def test_writers_that_replace_the_same_checkpoint_leave_one_of_theirs(tmp_path, renameat2):
    path = tmp_path / "model"
    problems = []

    def save(first: int) -> None:
        try:
            for number in range(first, first + 100):
                write(contents(number), path, overwrite=True)
        except Exception as error:
            problems.append(error)

    writers = [threading.Thread(target=save, args=(first,)) for first in (100, 200, 300)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not problems
    assert value(read(path)) in (199, 299, 399)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"model", ".model.lock"}


def test_a_writer_that_is_killed_leaves_the_former_checkpoint_or_the_new_one(tmp_path, renameat2):
    path = tmp_path / "model"
    run = [sys.executable, "-c", KILLED, str(path), renameat2]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20  # the number of steps to be killed at
    write(contents(7), path, overwrite=True)
    assert value(read(path)) == 7


def test_what_a_killed_writer_moved_aside_is_loaded_and_is_not_overwritten_unasked(tmp_path):
    path = write(contents(1), tmp_path / "model")
    path.rename(tmp_path / ".model.former")
    assert value(read(path)) == 1
    assert len(fingerprint(path)) == 12
    with pytest.raises(CheckpointError, match="exists already"):
        write(contents(2), path)
    write(contents(2), path, overwrite=True)
    assert value(read(path)) == 2
    assert {entry.name for entry in tmp_path.iterdir()} == {"model", ".model.lock"}


def test_looking_for_a_checkpoint_that_is_not_there_leaves_nothing(tmp_path):
    with pytest.raises(CheckpointError):
        read(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_is_damaged_and_not_replaced_is_an_error(tmp_path):
    path = write(contents(1), tmp_path / "model")
    (path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="damaged"):
        read(path)


def test_a_link_to_a_checkpoint_is_replaced_and_its_target_is_left_alone(tmp_path, renameat2):
    target = write(contents(1), tmp_path / "target")
    path = tmp_path / "model"
    path.symlink_to(target)
    write(contents(2), path, overwrite=True)
    assert (value(read(path)), value(read(target))) == (2, 1)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"model", "target", ".model.lock"}
