"""The register tile: where Gatecast writes machine instructions by hand (the other place is `kernels.cpu.dot`).

A matrix product is fast when every number that is loaded is used many times. The tile holds a block of the result,
``HEIGHT`` rows by two vectors, in registers for the whole depth of the product; at each step it loads two vectors of
``b``, and one number of ``a`` per row, which it multiplies with both: 16 multiply-adds for 10 loads on a machine with
512-bit vectors, so the arithmetic units and not the loads set the pace. Numba has no vector type, and LLVM does not
find this form from loops over arrays, so `tile` emits it as LLVM instructions. The width follows the CPU: AVX-512
(16 floats), AVX2 (8), SSE or NEON (4). ``llvm.fmuladd`` is one instruction if the CPU has it, and two if not.
"""

from __future__ import annotations

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import config
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

__all__ = ["HEIGHT", "VECTOR_BYTES", "tile"]


def _vector_bytes() -> int:
    # What Numba compiles for: the CPU it runs on, or what NUMBA_CPU_FEATURES names ("+avx2,-avx512f").
    named = config.CPU_FEATURES
    flags = get_host_cpu_features().flatten() if named is None else named
    features = set(flags.split(","))
    if "+avx512f" in features:
        return 64
    return 32 if "+avx2" in features else 16


VECTOR_BYTES = _vector_bytes()
# Accumulators must leave registers for the operands: 8 x 2 of 32 with AVX-512, 4 x 2 of 16 without.
HEIGHT = 8 if VECTOR_BYTES == 64 else 4


@intrinsic(prefer_literal=True)
def tile(typing_context, height, panels, a, row, b, panel, c, accumulate):
    """``c[row : row + height, columns] (+)= a[row : row + height] @ b[:, columns]`` for the columns of some panels.

    Parameters
    ----------
    height : int literal
        Rows of the tile.
    panels : int literal
        How many panels side by side.
    a : (rows, depth) array, any strides
    row, panel : int
        The first ones.
    b : (n_panels, depth, 2 * vector) or (depth, n_panels * 2 * vector) array, last axis contiguous
    c : (rows, n_panels * 2 * vector) array, last axis contiguous
        ``=`` if `accumulate` is False, ``+=`` if it is True. All columns of the panels are written.
    accumulate : bool
    """
    if not isinstance(height, types.IntegerLiteral) or not isinstance(panels, types.IntegerLiteral):
        raise TypingError("height and width of a tile are literal integers")
    signature = types.void(height, panels, a, types.intp, b, types.intp, c, types.boolean)

    def generate(context, builder, signature, arguments):
        emitter = _Tile(context, builder, signature, arguments, height.literal_value, 2 * panels.literal_value)
        emitter.emit()
        return context.get_dummy_value()

    return signature, generate


class _Tile:
    """Emits the instructions of one tile."""

    def __init__(self, context, builder, signature, arguments, height, vectors):
        self.builder = builder
        self.height = height
        self.vectors = vectors
        array = {
            name: context.make_array(signature.args[place])(context, builder, arguments[place])
            for name, place in (("a", 2), ("b", 4), ("c", 6))
        }
        self.row = arguments[3]
        self.panel = arguments[5]
        self.accumulate = arguments[7]
        self.scalar = context.get_data_type(signature.args[2].dtype)
        self.item_bytes = context.get_abi_sizeof(self.scalar)
        self.lanes = VECTOR_BYTES // self.item_bytes
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.data = {name: builder.bitcast(value.data, ir.IntType(8).as_pointer()) for name, value in array.items()}
        self.strides = {name: cgutils.unpack_tuple(builder, value.strides) for name, value in array.items()}
        self.depth = cgutils.unpack_tuple(builder, array["a"].shape)[1]

    def address(self, name, offset, element):
        pointer = self.builder.gep(self.data[name], [offset])
        return self.builder.bitcast(pointer, element.as_pointer())

    def load(self, name, offset, element):
        return self.builder.load(self.address(name, offset, element), align=self.item_bytes)

    def broadcast(self, value):
        undefined = ir.Constant(self.vector, ir.Undefined)
        lane = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(lane, undefined, zeros)

    def keep_as_loop(self, body):
        """Tell LLVM not to unroll the loop that ends with this block.

        A CPU prefetches if a load instruction advances by the same small step each time. In a loop unrolled by four the
        steps are four times as long, and weights arrive more slowly from the second cache.
        """
        module = self.builder.module
        loop = module.add_metadata([module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])] * 2)
        loop.operands = (loop, loop.operands[1])
        body.terminator.set_metadata("llvm.loop", loop)

    def emit(self):
        """Multiply over the whole depth, then store or add."""
        builder = self.builder
        size = self.depth.type
        width = ir.Constant(size, VECTOR_BYTES)
        multiply_add = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(self.vector, [self.vector] * 3),
            f"llvm.fmuladd.v{self.lanes}f{8 * self.item_bytes}",
        )

        def offset(*terms):
            total = ir.Constant(size, 0)
            for count, stride in terms:
                total = builder.add(total, builder.mul(count, stride))
            return total

        def constant(number):
            return ir.Constant(size, number)

        sums = [
            [cgutils.alloca_once_value(builder, ir.Constant(self.vector, None)) for _ in range(self.vectors)]
            for _ in range(self.height)
        ]
        with cgutils.for_range(builder, self.depth) as loop:
            # A packed panel is the first axis of b; an unpacked one is two vectors of b's last axis.
            is_packed = len(self.strides["b"]) == 3
            panel_stride = self.strides["b"][0] if is_packed else constant(2 * VECTOR_BYTES)
            right = []
            for n in range(self.vectors):
                panel = builder.add(self.panel, constant(n // 2))
                start = offset((panel, panel_stride), (loop.index, self.strides["b"][-2]))
                right.append(self.load("b", builder.add(start, constant(VECTOR_BYTES * (n % 2))), self.vector))
            for m in range(self.height):
                place = offset(
                    (builder.add(self.row, constant(m)), self.strides["a"][0]), (loop.index, self.strides["a"][1])
                )
                left = self.broadcast(self.load("a", place, self.scalar))
                for n in range(self.vectors):
                    total = builder.call(multiply_add, [left, right[n], builder.load(sums[m][n])])
                    builder.store(total, sums[m][n])
            body = builder.basic_block
        self.keep_as_loop(body)

        def store(add):
            """Write the sums to c, or add them to it."""
            for m in range(self.height):
                row = builder.mul(builder.add(self.row, constant(m)), self.strides["c"][0])
                for n in range(self.vectors):
                    column = builder.mul(builder.add(builder.mul(self.panel, constant(2)), constant(n)), width)
                    place = builder.add(row, column)
                    total = builder.load(sums[m][n])
                    if add:
                        total = builder.fadd(self.load("c", place, self.vector), total)
                    builder.store(total, self.address("c", place, self.vector), align=self.item_bytes)

        with builder.if_else(self.accumulate) as (then, otherwise):
            with then:
                store(add=True)
            with otherwise:
                store(add=False)
