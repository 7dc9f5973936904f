from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest

from gatecast import kernels
from tests.conftest import SIMULATED, get_ops


def test_both_backends_offer_the_same_operations_with_the_same_arguments():
    cpu = get_ops("cpu")
    cuda = get_ops("cuda")
    assert cpu.__all__ == cuda.__all__
    for name in cpu.__all__:
        ours = getattr(cpu, name)
        theirs = getattr(cuda, name)
        if callable(ours):
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), name


def test_an_unknown_backend_is_named():
    with pytest.raises(ValueError, match="'tpu' is unknown; choose cpu, cuda or auto"):
        kernels.get_backend("tpu")


def test_cuda_without_a_gpu_is_an_error_and_auto_says_what_it_chose(tmp_path):
    code = (
        "import logging; logging.basicConfig(level='INFO')\n"
        "from gatecast import kernels\n"
        "print(kernels.get_backend('auto').name)\n"
        "try: kernels.get_backend('cuda'); print('usable')\n"
        "except kernels.BackendError as error: print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": "", "NUMBA_ENABLE_CUDASIM": "0"}
    )
    chosen, answer = result.stdout.splitlines()
    assert f"chose {chosen}" in result.stderr
    if answer == "usable":
        assert chosen == "cuda"
    else:
        assert chosen == "cpu"
        assert answer.startswith("backend cuda needs")


@pytest.mark.skipif(not SIMULATED, reason="here is a GPU")
def test_make_asks_for_a_gpu_and_gets_one_sentence_where_there_is_none():
    outcomes = {}
    for simulator in ("0", "1"):
        command = [sys.executable, "-m", "kernels", "cuda"]
        outcomes[simulator] = subprocess.run(
            command, capture_output=True, text=True, env={"PATH": "", "NUMBA_ENABLE_CUDASIM": simulator}
        )
    assert outcomes["0"].returncode == 1
    assert outcomes["0"].stderr.startswith("backend cuda needs")
    assert len(outcomes["0"].stderr.splitlines()) == 1
    assert outcomes["1"].returncode == 0
    assert outcomes["1"].stdout.startswith("backend cuda: Numba's simulator")


def test_the_code_version_names_the_cache_folder():
    assert len(kernels.code_version()) == 16
    assert kernels.cache_folder().name == f"kernels-{kernels.code_version()}"


def test_describe_says_what_doctor_shows():
    from gatecast.kernels.backend import describe

    facts = describe()
    assert facts["threads"] >= 1
    assert facts["threading_layer"] in ("omp", "tbb", "workqueue")
    assert facts["vector_bits"] in (128, 256, 512)


@pytest.mark.skipif(SIMULATED, reason="no GPU here: the CUDA kernels ran in the simulator, which is no GPU pass")
def test_a_real_gpu_adds_up():
    ops = get_ops("cuda")
    assert ops.to_host(ops.as_array(np.ones(3), "float64")).sum() == 3
