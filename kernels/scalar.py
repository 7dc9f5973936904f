"""The mathematics of one LSTM unit: one source for the CPU and the GPU.

Each function is one equation on scalars and returns one number (LLVM vectorises loops over such functions; it gives up
on functions that return tuples). They run as plain Python on NumPy scalars, and compile under ``numba.njit`` and
``cuda.jit``.
Constants are float32: a bare Python float would turn float32 arithmetic into float64; the float64 path uses only
constants that float32 represents exactly. Fused multiply-adds are requested explicitly, since nothing here is compiled
with "fast" arithmetic: a compiler that may regroup sums does so differently from one build to the next.

Equations are those of Hochreiter & Schmidhuber (1997) with the forget gate of Gers, Schmidhuber & Cummins (2000), in
the form and gate order of torch.nn.LSTM::

    i = sigmoid(z_i)    f = sigmoid(z_f)    g = tanh(z_g)    o = sigmoid(z_o)
    c = f * c_prev + i * g                  h = o * tanh(c)
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

_HALF = np.float32(0.5)
_ONE = np.float32(1.0)
_LOG_ZERO = np.float32(-np.inf)

# A rational approximation of tanh, odd degree 13 over even degree 6, as in Eigen (MathFunctionsImpl.h, ptanh_float):
# relative error below 5e-7 on the clamped range, beyond which tanh is 1 to the last bit of float32 but one.
_TANH_BOUND = np.float32(7.90531110763549805)
_P13, _P11, _P9, _P7, _P5, _P3, _P1 = (
    np.float32(value)
    for value in (
        -2.76076847742355e-16,
        2.00018790482477e-13,
        -8.60467152213735e-11,
        5.12229709037114e-08,
        1.48572235717979e-05,
        6.37261928875436e-04,
        4.89352455891786e-03,
    )
)
_Q6, _Q4, _Q2, _Q0 = (
    np.float32(value)
    for value in (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
)

# exp(x) = 2^n * exp(r), n the integer nearest to x / ln 2 and r, at most ln 2 / 2, the remainder; ln 2 is in two parts:
# the first has so few digits that n times it is exact. exp(r) is the polynomial of Cephes (Moshier, expf.c):
# relative error below 2e-7. Adding 1.5 * 2^23 rounds to an integer, and that many bits are added to those of the sum.
# 2^n is made of two factors, since 2^128 is not a float32. Beyond the bounds e^x is zero, or infinite.
_EXP_LOWEST = np.float32(-103.972084)
_EXP_GREATEST = np.float32(88.7228317)
_LOG2_E = np.float32(1.44269502)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194442e-4)
_ROUNDER = np.float32(12582912.0)
_E7, _E6, _E5, _E4, _E3 = (
    np.float32(value) for value in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1)
)
_ONE_BIT, _EXPONENT_BITS, _BITS_OF_ONE, _BITS_OF_ROUNDER = (
    np.int32(value) for value in (1, 23, 0x3F800000, 0x4B400000)
)
_INFINITY = np.float32(np.inf)
_ZERO = np.float32(0.0)

# Philox2x32 (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", table 2). Words of 32
# bits travel in 64, where their products fit.
_ROUNDS = 10
_MULTIPLIER = np.uint64(0xD256D193)
_WEYL = np.uint64(0x9E3779B9)
_WORD = np.uint64(0xFFFFFFFF)
_WORD_BITS = np.uint64(32)


def multiply_add(a, b, c):
    """Return a * b + c, rounded once if the processor has an instruction for it; one dtype for all."""
    return a * b + c


@overload(multiply_add)
def _multiply_add_compiled(a, b, c):
    return lambda a, b, c: _fmuladd(a, b, c)


@intrinsic
def _fmuladd(typing_context, a, b, c):
    def generate(context, builder, signature, arguments):
        number = arguments[0].type
        function = builder.module.declare_intrinsic("llvm.fmuladd", [number], ir.FunctionType(number, [number] * 3))
        return builder.call(function, arguments)

    return a(a, a, a), generate


def _divide(a, b):
    """Return a / b; on a GPU in float32 off by 2 units in the last place at most, and without a branch."""
    return a / b


@overload(_divide)
def _divide_compiled(a, b):
    return lambda a, b: a / b


@overload(_divide, target="cuda")
def _divide_on_a_gpu(a, b):
    if a == types.float32:
        return lambda a, b: _divide_full_range(a, b)
    return lambda a, b: a / b


@intrinsic(target="cuda")
def _divide_full_range(typing_context, a, b):
    def generate(context, builder, signature, arguments):
        number = ir.FloatType()
        division = ir.InlineAsm(ir.FunctionType(number, [number] * 2), "div.full.f32 $0, $1, $2;", "=f,f,f")
        return builder.call(division, arguments)

    return a(a, b), generate


def _clamp(x, lowest, greatest):
    """Return x clipped to the bounds; NaN stays NaN, which min and max would not keep on a GPU."""
    return greatest if x > greatest else lowest if x < lowest else x


@overload(_clamp)
def _clamp_compiled(x, lowest, greatest):
    return lambda x, lowest, greatest: _select_within(x, lowest, greatest)


@intrinsic
def _select_within(typing_context, x, lowest, greatest):
    def generate(context, builder, signature, arguments):
        """Emit two selections, which LLVM compiles to one instruction each; Python's `if` would become branches."""
        x, lowest, greatest = arguments
        x = builder.select(builder.fcmp_ordered("<", greatest, x), greatest, x)
        return builder.select(builder.fcmp_ordered(">", lowest, x), lowest, x)

    return x(x, x, x), generate


@register_jitable
def _tanh_rational(x):
    x = _clamp(x, -_TANH_BOUND, _TANH_BOUND)
    s = x * x
    p = multiply_add(s, _P13, _P11)
    p = multiply_add(s, p, _P9)
    p = multiply_add(s, p, _P7)
    p = multiply_add(s, p, _P5)
    p = multiply_add(s, p, _P3)
    p = multiply_add(s, p, _P1)
    q = multiply_add(s, _Q6, _Q4)
    q = multiply_add(s, q, _Q2)
    q = multiply_add(s, q, _Q0)
    return _divide(x * p, q)


def tanh(x):
    """Hyperbolic tangent: a rational approximation that vectorises in float32, the C library's in float64."""
    return _tanh_rational(x) if isinstance(x, np.float32) else np.tanh(x)


@overload(tanh)
def _tanh_of_dtype(x):
    if x == types.float32:
        return lambda x: _tanh_rational(x)
    return lambda x: math.tanh(x)


@intrinsic
def _bits(typing_context, x):
    """Reinterpret a float32 as an int32, or the other way round."""
    other = types.int32 if x == types.float32 else types.float32

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_data_type(signature.return_type))

    return other(x), generate


@register_jitable
def _power_of_two(n):
    return _bits(np.int32((n << _EXPONENT_BITS) + _BITS_OF_ONE))


@register_jitable
def _exponential_polynomial(x):
    shifted = multiply_add(x, _LOG2_E, _ROUNDER)
    n = shifted - _ROUNDER
    r = multiply_add(n, -_LN2_HIGH, x)
    r = multiply_add(n, -_LN2_LOW, r)
    p = multiply_add(r, _E7, _E6)
    p = multiply_add(r, p, _E5)
    p = multiply_add(r, p, _E4)
    p = multiply_add(r, p, _E3)
    p = multiply_add(r, p, _HALF)
    p = multiply_add(r * r, p, r + _ONE)
    exponent = np.int32(_bits(shifted) - _BITS_OF_ROUNDER)
    half = exponent >> _ONE_BIT
    y = _ZERO if x < _EXP_LOWEST else p * _power_of_two(half) * _power_of_two(exponent - half)
    return _INFINITY if x > _EXP_GREATEST else y


def exponential(x):
    """e^x: a polynomial that vectorises in float32, the C library's in float64."""
    return np.exp(x)


@overload(exponential)
def _exponential_of_dtype(x):
    if x == types.float32:
        return lambda x: _exponential_polynomial(x)
    return lambda x: math.exp(x)


@register_jitable
def sigmoid(x):
    """Logistic function, 1 / (1 + exp(-x)), through tanh: it neither overflows nor needs a branch."""
    return multiply_add(tanh(_HALF * x), _HALF, _HALF)


@register_jitable
def sigmoid_derivative(y):
    """Derivative of the logistic function, from its value y."""
    return y * (_ONE - y)


@register_jitable
def tanh_derivative(y):
    """Derivative of the hyperbolic tangent, from its value y."""
    return _ONE - y * y


@register_jitable
def cell_state(i, f, g, c_prev):
    """c_t = f * c_{t-1} + i * g."""
    return multiply_add(f, c_prev, i * g)


@register_jitable
def hidden_state(o, tanh_c):
    """h_t = o * tanh(c_t)."""
    return o * tanh_c


@register_jitable
def cell_state_gradient(dc, dh, o, tanh_c):
    """Gradient of c_t: what comes from step t + 1 (dc) and what comes through h_t."""
    return multiply_add(dh * o, tanh_derivative(tanh_c), dc)


@register_jitable
def input_gate_gradient(dc, i, g):
    """Gradient of z_i."""
    return dc * g * sigmoid_derivative(i)


@register_jitable
def forget_gate_gradient(dc, f, c_prev):
    """Gradient of z_f."""
    return dc * c_prev * sigmoid_derivative(f)


@register_jitable
def candidate_gradient(dc, i, g):
    """Gradient of z_g."""
    return dc * i * tanh_derivative(g)


@register_jitable
def output_gate_gradient(dh, o, tanh_c):
    """Gradient of z_o."""
    return dh * tanh_c * sigmoid_derivative(o)


@register_jitable
def random_word(element, step, key):
    """32 random bits, the same for the same three numbers below 2^32: Philox2x32-10, a counter-based generator."""
    left = np.uint64(element)
    right = np.uint64(step)
    key = np.uint64(key)
    for _ in range(_ROUNDS):
        product = left * _MULTIPLIER
        left, right = (product >> _WORD_BITS) ^ key ^ right, product & _WORD
        key = (key + _WEYL) & _WORD
    return left


@register_jitable
def dropout_factor(element, step, key, threshold, scale):
    """What dropout multiplies an element by: `scale`, or zero where its random word is below `threshold`."""
    return scale if random_word(element, step, key) >= np.uint64(threshold) else scale - scale


@register_jitable
def average_rate(step, decay):
    """Return how much of the weights after a step, 1 for the first, goes into their average; float64.

    At first the average forgets faster than `decay` says, and with it the weights that training began with.
    """
    return 1.0 - min(decay, (1.0 + step) / (10.0 + step))


@register_jitable
def log_add_exp(a, b):
    """log(exp(a) + exp(b)), which neither overflows nor loses a small term; minus infinity stands for log(0)."""
    if a == _LOG_ZERO:
        return b
    if b == _LOG_ZERO:
        return a
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


@register_jitable
def squared_loss(error):
    """The square of ``y_hat - y``."""
    return error * error


@register_jitable
def squared_loss_gradient(error):
    """Its derivative."""
    return error + error


@register_jitable
def absolute_loss_gradient(error):
    """The derivative of the absolute value: its sign, 0 at 0."""
    return (_ONE if error > _ZERO else _ZERO) - (_ONE if error < _ZERO else _ZERO)


@register_jitable
def huber_loss(error):
    """Half the square up to 1, the absolute value less a half beyond (Huber 1964)."""
    size = abs(error)
    return _HALF * error * error if size <= _ONE else size - _HALF


@register_jitable
def huber_loss_gradient(error):
    """Its derivative."""
    return min(max(error, -_ONE), _ONE)


@register_jitable
def symmetric_loss(y_hat, y):
    """``2 |y_hat - y| / (|y_hat| + |y|)``, the sMAPE of one forecast as a share; 0 where both are 0."""
    size = abs(y_hat) + abs(y)
    return (abs(y_hat - y) + abs(y_hat - y)) / size if size > _ZERO else size


@register_jitable
def symmetric_loss_gradient(y_hat, y):
    """Its derivative with respect to y_hat, which is 0 where the signs differ: there the loss is 2 throughout."""
    size = abs(y_hat) + abs(y)
    if size <= _ZERO:
        return size
    error = y_hat - y
    slope = absolute_loss_gradient(error) - abs(error) * absolute_loss_gradient(y_hat) / size
    return (slope + slope) / size
