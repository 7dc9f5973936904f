"""What `kernels.cuda.call` hands to a kernel is what numba-cuda would: checked without GPU and driver."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("nvidia", reason="make test-peers installs NVIDIA's compiler libraries")

PROGRAM = """
import ctypes
from types import SimpleNamespace

import numpy as np
from numba.cuda import types
from numba.cuda.dispatcher import _Kernel
from numba.cuda.typing.typeof import Purpose, typeof

from gatecast.kernels.cuda import call
from gatecast.kernels.masks import Mask

memory = SimpleNamespace(device_ctypes_pointer=ctypes.c_uint64(4096), size=1 << 20, view=lambda *_: memory)


def array(shape, dtype, strides=None):
    dtype = np.dtype(dtype)
    if strides is None:
        strides = np.empty(shape, dtype).strides
    found = call.DeviceArray(shape, strides, dtype, gpu_data=memory)
    found.__cuda_memory__ = True
    return found


arguments = [
    array((2, 3, 4), "float32"), array((2, 3, 2), "float32", (48, 16, 4)), array((7,), "int64"),
    array((5,), "float64"), array((3, 1), "int32"), array((2, 3, 4), "float64").reshape(6, 4),
    3, -1, np.int64(9), True, False, np.float32(0.1), 0.1, Mask(12345, 1 << 31, np.float32(1.25), True),
]
for argument in arguments:
    kinds, ours, theirs = [], [], []
    call._describe(argument, kinds, ours)
    ty = call._type_of(kinds[0])
    assert ty == typeof(argument, Purpose.argument), (ty, argument)
    for part, value in zip(ty, argument) if isinstance(argument, tuple) else [(ty, argument)]:
        _Kernel._prepare_args(SimpleNamespace(extensions=[]), part, value, 0, [], theirs)
    plain = [[getattr(number, "value", number) for number in numbers] for numbers in (ours, theirs)]
    assert plain[0] == plain[1], (argument, plain)
print("the same", len(arguments))
"""


def test_arguments_are_laid_out_as_numba_cuda_lays_them_out():
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0"}
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment)
    assert result.stdout.strip() == "the same 14", result.stderr
