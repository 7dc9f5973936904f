from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from gatecast.kernels.collector import collector_paused


@pytest.fixture(autouse=True)
def _collector_on():
    gc.enable()
    yield
    gc.enable()


def test_the_collector_rests_inside_the_block_and_runs_after_it():
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_runs_again_after_an_error():
    with pytest.raises(ImportError), collector_paused():
        raise ImportError
    assert gc.isenabled()


def test_who_turned_the_collector_off_finds_it_off():
    gc.disable()
    with collector_paused():
        pass
    assert not gc.isenabled()


def test_what_is_made_inside_the_block_is_old_after_it_and_not_frozen():
    with collector_paused():
        made = [[]]
    assert any(made[0] is old for old in gc.get_objects(generation=2))
    assert gc.get_freeze_count() == 0


def test_what_the_process_froze_stays_frozen():
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with collector_paused():
            made = [[]]
        assert gc.get_freeze_count() > frozen / 2  # some die meanwhile
        assert not any(made[0] is old for old in gc.get_objects(generation=2))
    finally:
        gc.unfreeze()


def test_importing_a_model_leaves_the_collector_running_and_freezes_nothing():
    program = "import gc; from gatecast import LSTM; LSTM(1, 1); print(gc.isenabled(), gc.get_freeze_count())"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert answer.split() == ["True", "0"]


def test_using_a_model_again_leaves_young_objects_young():
    program = """
import gc
from gatecast import LSTM
young = [[]]
from gatecast import LSTM
print(any(young[0] is some for some in gc.get_objects(generation=0)))
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert answer.strip() == "True"
