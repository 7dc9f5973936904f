"""How kernels are compiled and called: all of them through `run`, so that a call costs the host little.

numba-cuda derives what a kernel needs to know of an array again at every call, and a training step has thirty calls
with ten arrays each: that took longer than the launches. Here every array keeps it, and its views (`DeviceArray`).
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from numba import cuda, from_dtype, types
from numba.core import config
from numba.cuda.core import config as cuda_config

from gatecast.kernels import cache_folder

__all__ = ["as_device_array", "kernel", "new_array", "record", "run"]

# A folder per state of the sources, as for the CPU's kernels.
cuda_config.CACHE_DIR = str(cache_folder())
# numba-cuda warns of every launch of few blocks, as those of a small batch or a scalar must be.
cuda_config.CUDA_LOW_OCCUPANCY_WARNINGS = 0

_DEFAULT_SHARED_BYTES = 48 * 1024


class _Recording(NamedTuple):
    builder: Any  # of a CUDA graph
    arguments: list[tuple[Any, ...]]  # kept, since every replay works on them


_RECORDING: ContextVar[_Recording | None] = ContextVar("_RECORDING", default=None)


class _Thread(threading.local):
    stream: Any = None


_THREAD = _Thread()


def kernel(function: Callable[..., Any] | None = None, *, launch_bounds: tuple[int, ...] = ()) -> Any:
    """Compile `function` for the GPU, and keep it on disk.

    Parameters
    ----------
    function : callable
    launch_bounds : tuple of int, optional
        The most threads that a block will have and, where it matters, the least number of blocks for a multiprocessor:
        the compiler uses no more registers than that leaves for each thread.
    """
    if function is None:
        return lambda function: kernel(function, launch_bounds=launch_bounds)
    if config.ENABLE_CUDASIM:
        return cuda.jit(function)
    return cuda.jit(function, cache=True, launch_bounds=launch_bounds or None)


def run(kernel: Any, grid: Any, block: Any, shared_bytes: int, *arguments: Any, cooperative: bool = False) -> None:
    """Launch `kernel`.

    Parameters
    ----------
    kernel : from `kernel`
    grid, block : int or tuple
    shared_bytes : int
        Of dynamic shared memory for a block.
    *arguments : arrays on the GPU, numbers, and named tuples of numbers
    cooperative : bool
        All blocks must run at once, since they wait for one another; the driver refuses a launch that does not fit.
    """
    if config.ENABLE_CUDASIM:
        kernel[grid, block, 0, shared_bytes](*arguments)
        return
    kinds: list[Any] = []
    numbers: list[Any] = []
    for argument in arguments:
        _describe(argument, kinds, numbers)
    configuration = LaunchConfig(grid=grid, block=block, shmem_size=shared_bytes, is_cooperative=cooperative)
    function = _function(kernel, tuple(kinds), shared_bytes > _DEFAULT_SHARED_BYTES)
    recording = _RECORDING.get()
    if recording is None:
        launch(_stream(), configuration, function, *numbers)
    else:
        recording.arguments.append(arguments)
        launch(recording.builder, configuration, function, *numbers)


def record(work: Callable[[], Any]) -> Callable[[], Any]:
    """Record what `work` launches, without running it; return a callable that runs it on the same arrays and numbers.

    On a GPU that is a CUDA graph, in the simulator `work` itself. `work` must have run before, so that its kernels are
    compiled and loaded, and must copy nothing to the host or from it. The arrays that it passes to kernels are kept.
    """
    if config.ENABLE_CUDASIM:
        return work
    device = Device()
    device.set_current()
    builder = device.create_graph_builder()
    recording = _Recording(builder, [])
    token = _RECORDING.set(recording)
    try:
        with cuda.defer_cleanup():  # freeing memory would wait for the GPU
            builder.begin_building("relaxed")
            work()
            graph = builder.end_building().complete()
    finally:
        _RECORDING.reset(token)
    return lambda: (graph.launch(_stream()), recording)


def new_array(shape: int | tuple[int, ...], dtype: Any) -> Any:
    """Return an array on the GPU, not initialised."""
    shape = (shape,) if isinstance(shape, int) else shape
    if config.ENABLE_CUDASIM:
        return cuda.device_array(shape, dtype)
    strides: list[int] = []
    size = np.dtype(dtype).itemsize
    for extent in reversed(shape):
        strides.append(size)
        size *= extent
    return DeviceArray(shape=shape, strides=strides[::-1], dtype=np.dtype(dtype))


def as_device_array(array: np.ndarray) -> Any:
    """Copy an array of the host to the GPU."""
    if _RECORDING.get() is not None:
        raise RuntimeError("nothing can be copied to the GPU while launches are recorded")
    if config.ENABLE_CUDASIM:
        return cuda.to_device(array)
    copied = new_array(array.shape, array.dtype)
    if array.size:
        copied.copy_to_device(array)
    return copied


if not config.ENABLE_CUDASIM:
    from cuda.bindings import driver
    from cuda.core import Device, LaunchConfig, Stream, launch
    from numba.cuda.cudadrv.devicearray import DeviceNDArray

    class DeviceArray(DeviceNDArray):
        """An array on the GPU that keeps what a kernel's call needs of it, and its reshaped views."""

        @cached_property
        def described(self) -> tuple[Any, tuple[int, ...]]:
            """The array's type, as `_function` takes it, and the numbers that a kernel is given for it."""
            kind = self.dtype.char, self.ndim, "C" if self.is_c_contiguous() else "A"
            address = self.device_ctypes_pointer.value or 0
            return kind, (0, 0, self.size, self.dtype.itemsize, address, *self.shape, *self.strides)

        @cached_property
        def _views(self) -> dict[Any, Any]:
            return {}

        def reshape(self, *shape: Any, **options: Any) -> Any:
            """Return the view of this shape, always the same one."""
            if options:
                return super().reshape(*shape, **options)
            if shape not in self._views:
                self._views[shape] = super().reshape(*shape)
            return self._views[shape]

        def __getitem__(self, item: Any) -> Any:
            """Return an element or a part of the array; for the same part always the same view."""
            parts = item if isinstance(item, tuple) else (item,)
            key = "part", *((part.start, part.stop, part.step) if type(part) is slice else part for part in parts)
            view = self._views.get(key)
            if view is None:
                view = super().__getitem__(item)
                if isinstance(view, DeviceArray):  # not a number, which is a copy
                    self._views[key] = view
            return view


def _describe(argument: Any, kinds: list[Any], numbers: list[Any]) -> None:
    """Add an argument's type and the numbers that a kernel is given for it, as numba-cuda lays them out."""
    if isinstance(argument, DeviceArray):
        kind, values = argument.described
        kinds.append(kind)
        numbers.extend(values)
    elif isinstance(argument, tuple):  # a named tuple of numbers
        fields: list[Any] = []
        for field in argument:
            _describe(field, fields, numbers)
        kinds.append((type(argument), *fields))
    elif isinstance(argument, (bool, np.bool_)):
        kinds.append(types.boolean)
        numbers.append(bool(argument))
    elif isinstance(argument, (int, np.integer)):
        kinds.append(types.int64)
        numbers.append(int(argument))
    elif isinstance(argument, np.float32):
        kinds.append(types.float32)
        numbers.append(ctypes.c_float(float(argument)))
    elif isinstance(argument, float):
        kinds.append(types.float64)
        numbers.append(ctypes.c_double(argument))
    else:  # an array that another library has put on the GPU
        _describe(_adopted(argument), kinds, numbers)


def _adopted(array: Any) -> Any:
    found = cuda.as_cuda_array(array)
    return DeviceArray(found.shape, found.strides, found.dtype, gpu_data=found.gpu_data)


def _stream() -> Any:
    """Return the default stream, which all launches go to, and make sure that the calling thread may use the GPU."""
    if _THREAD.stream is None:
        cuda.current_context()
        _THREAD.stream = Stream.from_handle(0)
    return _THREAD.stream


@cache
def _function(kernel: Any, kinds: tuple[Any, ...], wants_more_memory: bool) -> Any:
    """Return the kernel, compiled for these arguments and loaded; if asked, with all of a block's shared memory."""
    function = kernel.compile(tuple(_type_of(kind) for kind in kinds))._codelibrary.get_cufunc()
    if wants_more_memory:  # numba-cuda does not ask for it
        most = function.device.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        (status,) = driver.cuKernelSetAttribute(attribute, most, function.handle, function.device.id)
        if status != driver.CUresult.CUDA_SUCCESS:
            raise RuntimeError(f"the GPU refuses a block {most} bytes of shared memory ({status.name})")
    return function.kernel


def _type_of(kind: Any) -> Any:
    if not isinstance(kind, tuple):
        return kind
    if isinstance(kind[0], type):
        return types.NamedTuple(tuple(_type_of(field) for field in kind[1:]), kind[0])
    char, ndim, layout = kind
    return types.Array(from_dtype(np.dtype(char)), ndim, layout)
