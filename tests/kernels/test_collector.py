from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from kernels.collector import collector_paused


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


def test_importing_a_model_leaves_the_collector_running_and_freezes_nothing():
    program = "import gc; from lstm import LSTM; LSTM(1, 1); print(gc.isenabled(), gc.get_freeze_count())"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert answer.split() == ["True", "0"]
