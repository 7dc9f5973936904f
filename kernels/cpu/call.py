"""How operations call their kernels: through `run`, so that a step's calls can be recorded and then repeated.

A step of a small network takes a tenth of a millisecond, and the interpreter needs a fifth of that between kernels.
The calls of a step are the same from step to step: the same kernels on the same arrays, with a few numbers that vary.
So one step is taken as usual and its calls are written down, and `Replay` repeats them in compiled code. It calls the
machine code that the interpreter has called, which makes the results the same to the bit and leaves nothing more to
compile, whatever the network is made of. (A CUDA graph is the same idea; see `kernels.cuda.call`.)

What a call is given is written down as 64-bit words, flat, as Numba passes it: a named tuple is its fields, an array
its owner, address, sizes and strides. A *thunk*, a function of a few instructions for each signature, takes such words
to where the machine code expects its arguments.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from gatecast.kernels.cpu.compilation import kernel
from gatecast.kernels.varying import ReplayedSteps, VaryingFloat, VaryingInt

__all__ = ["RecordedNumber", "Replay", "cleared", "record", "run"]

_WORD = ir.IntType(64)
_NO_RESULT = -1


class RecordedNumber(float):
    """What a recorded kernel has returned; `column` says which of the numbers of a step it is."""

    column: int

    def __new__(cls, value: float, column: int) -> RecordedNumber:
        """Make it from the value of the step that is recorded."""
        number = super().__new__(cls, value)
        number.column = column
        return number


class _Call(NamedTuple):
    thunk: int  # address
    function: int  # address
    words: list[int]
    column: int  # of the result, or `_NO_RESULT`


class _Recording:
    """The calls of a step."""

    def __init__(self) -> None:
        self.calls: list[_Call] = []
        self.varying: list[tuple[int, int, VaryingInt | VaryingFloat]] = []  # call, word, number
        self.kept: list[Any] = []  # arrays that the calls work on, and the machine code
        self.results = 0

    def run(self, kernel: Any, arguments: tuple[Any, ...]) -> Any:
        """Call a kernel and write the call down."""
        plain = [_plain(argument) for argument in arguments]
        result = kernel(*plain)
        kinds = tuple(kernel.typeof_pyval(argument) for argument in plain)
        kernel.compile(kinds)  # has been, unless numbers were converted
        compiled = kernel.overloads[kinds]
        thunk = _thunk(compiled.signature.return_type, kinds)
        words: list[int] = []
        for argument in arguments:
            self._write(argument, words)
        address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
        column = _NO_RESULT
        if isinstance(result, float):
            column = self.results
            self.results += 1
        self.calls.append(_Call(thunk.address, address, words, column))
        self.kept.append((compiled, thunk, arguments))
        return result if column == _NO_RESULT else RecordedNumber(result, column)

    def _write(self, argument: Any, words: list[int]) -> None:
        """Add the words of an argument."""
        if isinstance(argument, VaryingInt | VaryingFloat):
            self.varying.append((len(self.calls), len(words), argument))
            words.append(0)
        elif isinstance(argument, np.ndarray):
            address = argument.__array_interface__["data"][0]
            # Without an owner: the recording keeps the array.
            words += [0, 0, argument.size, argument.itemsize, address, *argument.shape, *argument.strides]
        elif isinstance(argument, tuple):
            for field in argument:
                self._write(field, words)
        elif argument is None:
            words.append(0)
        elif isinstance(argument, float | np.floating):
            bits = np.array(argument)
            words.append(int(bits.view(f"int{8 * bits.itemsize}")))
        else:
            words.append(int(argument))


_RECORDING: ContextVar[_Recording | None] = ContextVar("_RECORDING", default=None)


def run(kernel: Any, *arguments: Any) -> Any:
    """Call `kernel`, with all its arguments; if a step is being recorded, write the call down.

    Parameters
    ----------
    kernel : from `kernel` or `parallel_kernel`
        It returns nothing or a float.
    *arguments : arrays, numbers, None, and named tuples of them
    """
    recording = _RECORDING.get()
    return kernel(*arguments) if recording is None else recording.run(kernel, arguments)


def record(work: Callable[[], Any]) -> tuple[Any, Replay]:
    """Call `work`, and return what it returns and a `Replay` of it.

    All that `work` does to arrays it must do through `run`. What it allocates is kept, and used again by each replay.
    """
    recording = _Recording()
    token = _RECORDING.set(recording)
    try:
        result = work()
    finally:
        _RECORDING.reset(token)
    return result, Replay(recording)


def cleared(array: np.ndarray) -> np.ndarray:
    """Return `array`, new and full of zeros; a replay makes it so again."""
    if _RECORDING.get() is not None:
        run(_clear, array.reshape(-1))
    return array


class Replay:
    """The calls of a recorded step, again and again."""

    def __init__(self, recording: _Recording):
        self._kept = recording.kept
        self._varying = [number for _, _, number in recording.varying]
        self._results = recording.results
        sizes = [len(call.words) for call in recording.calls]
        begins = [0, *itertools.accumulate(sizes)]
        self._words = np.array([word for call in recording.calls for word in call.words], np.int64)
        self._places = np.array([begins[call] + word for call, word, _ in recording.varying], np.int64)
        first = self._words.__array_interface__["data"][0]
        self._calls = np.array(
            [
                (call.thunk, call.function, first + 8 * begin, call.column)
                for call, begin in zip(recording.calls, begins, strict=False)
            ],
            np.int64,
        )

    def __call__(self, steps: ReplayedSteps) -> np.ndarray:
        """Take the steps; return what they returned, float64 (steps, numbers of a step)."""
        count = len(steps.numbers)
        found = np.empty((count, len(self._varying)), np.int64)
        for n, number in enumerate(self._varying):
            kind = np.int64 if isinstance(number, VaryingInt) else np.float64
            found[:, n] = np.ascontiguousarray(number.find(steps), kind).view(np.int64)
        results = np.empty((count, max(1, self._results)))
        failed = _replay(self._calls, self._words, self._places, found, results)
        if failed >= 0:
            raise RuntimeError(f"call {failed} of a compiled training step failed; train with fewer rows at a time")
        return results


@kernel
def _replay(calls, words, places, found, results):
    """Take a step for each row of `found`; return the number of a call that failed, or -1."""
    nowhere = np.empty(1)
    for step in range(found.shape[0]):
        for n in range(places.shape[0]):
            words[places[n]] = found[step, n]
        for n in range(calls.shape[0]):
            column = calls[n, 3]
            result = nowhere.ctypes.data if column == _NO_RESULT else results[step, column:].ctypes.data
            if not _call(calls[n, 0], calls[n, 1], calls[n, 2], result):
                return n
    return -1


@kernel
def _clear(line):
    line[:] = 0


@intrinsic
def _call(typing_context, thunk, function, words, result):
    """Call a thunk; return whether the function that it calls succeeded."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.IntType(1), [_WORD] * 3)
        return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])

    return types.boolean(types.int64, types.int64, types.int64, types.uintp), generate


class _Thunk(NamedTuple):
    address: int
    library: Any  # the machine code, as long as this is kept


@cache
@global_compiler_lock
def _thunk(returned: Any, arguments: tuple[Any, ...]) -> _Thunk:
    """Compile what calls functions of one signature: ``thunk(function, words, result) -> succeeded``.

    They are addresses: of the function, of its arguments as `_Recording` writes them, and of where its result goes.
    """
    context = cpu_target.target_context
    convention = context.call_conv
    kind = convention.get_function_type(returned, arguments)
    library = context.codegen().create_library("thunk")
    name = f"gatecast_thunk_{id(library)}"  # no two that are in use have the same
    module = library.create_ir_module(name)
    thunk = ir.Function(module, ir.FunctionType(ir.IntType(1), [_WORD] * 3), name)
    builder = ir.IRBuilder(thunk.append_basic_block())
    function, words, result = thunk.args
    words = builder.inttoptr(words, _WORD.as_pointer())
    given = [
        _of_word(builder, builder.load(builder.gep(words, [ir.Constant(_WORD, n)])), wanted)
        for n, wanted in enumerate(kind.args[2:])
    ]
    place, error = (builder.alloca(pointer.pointee) for pointer in kind.args[:2])
    status = builder.call(builder.inttoptr(function, kind.as_pointer()), [place, error, *given])
    if returned == types.float64:
        builder.store(builder.load(place), builder.inttoptr(result, place.type))
    good = [builder.icmp_signed("==", status, ir.Constant(status.type, code)) for code in _GOOD_CODES]
    builder.ret(builder.or_(*good))
    library.add_ir_module(module)
    library.finalize()
    return _Thunk(library.get_pointer_to_function(name), library)


# Of Numba's calling convention: a function has returned a value, or None.
_GOOD_CODES = 0, -2


def _of_word(builder: Any, word: Any, wanted: Any) -> Any:
    """Turn a word into a value of the type that is wanted."""
    if isinstance(wanted, ir.PointerType):
        return builder.inttoptr(word, wanted)
    if isinstance(wanted, ir.DoubleType):
        return builder.bitcast(word, wanted)
    if isinstance(wanted, ir.FloatType):
        return builder.bitcast(builder.trunc(word, ir.IntType(32)), wanted)
    return word if wanted == _WORD else builder.trunc(word, wanted)


def _plain(argument: Any) -> Any:
    """Return an argument with ordinary numbers in the place of varying ones."""
    if isinstance(argument, VaryingInt):
        return int(argument)
    if isinstance(argument, VaryingFloat):
        return float(argument)
    if isinstance(argument, tuple):
        fields = [_plain(field) for field in argument]
        return type(argument)(*fields) if hasattr(argument, "_fields") else tuple(fields)
    return argument
