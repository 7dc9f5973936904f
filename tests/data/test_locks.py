from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gatecast.data.errors import InputError
from gatecast.data.locks import lock_file, open_lock_file, try_lock

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from gatecast.data.locks import lock_file
with lock_file(Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(600)
"""


def held(path: Path) -> bool:
    with open_lock_file(path) as descriptor:
        return not try_lock(descriptor)


def test_a_held_lock_is_seen_and_is_free_afterwards(tmp_path):
    path = tmp_path / "lock"
    with lock_file(path):
        assert held(path)
    assert not held(path)


def test_a_process_that_is_killed_frees_its_lock(tmp_path):
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "in\n"
    assert held(path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert not held(path)


def test_an_error_frees_the_lock(tmp_path):
    with pytest.raises(ZeroDivisionError), lock_file(tmp_path / "lock"):
        raise ZeroDivisionError
    assert not held(tmp_path / "lock")


def test_one_thread_at_a_time_is_in(tmp_path):
    counted = {"inside": 0, "most": 0, "done": 0}

    def enter() -> None:
        for _ in range(20):
            with lock_file(tmp_path / "lock"):
                counted["inside"] += 1
                counted["most"] = max(counted["most"], counted["inside"])
                counted["done"] += 1
                counted["inside"] -= 1

    threads = [threading.Thread(target=enter) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted == {"inside": 0, "most": 1, "done": 60}


def test_what_is_in_the_file_stays(tmp_path):
    path = tmp_path / "lock"
    path.write_text("kept")
    with lock_file(path):
        pass
    assert path.read_text() == "kept"


@pytest.mark.parametrize("target", ["precious", "missing"])
def test_a_link_is_refused_and_not_followed(tmp_path, target):
    (tmp_path / "precious").write_text("kept")
    path = tmp_path / "lock"
    path.symlink_to(tmp_path / target)
    with pytest.raises(InputError, match=r"lock is a link, which a lock must not be; remove it\."), lock_file(path):
        pass
    assert (tmp_path / "precious").read_text() == "kept"
    assert not (tmp_path / "missing").exists()


def test_a_file_that_must_be_there_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError), open_lock_file(tmp_path / "lock", create=False):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_that_the_file_system_refuses_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("filelock.lock_descriptor", refuse)
    with pytest.raises(OSError, match=r"\.lock'$"), lock_file(tmp_path / ".lock"):
        pass
