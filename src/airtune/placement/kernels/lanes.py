"""Short vectors for the compiled kernels: eight doubles or sixteen singles at a time.

Loops over a few dozen entries are too short for the compiler's own vectorisation, which wants
long runs and treats the rest one by one. Here a kernel says what goes in parallel. Every operation
is rounded by itself, in the order written, so the bits depend on neither inlining nor machine;
processors with shorter registers split a vector in two or four.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

WIDTH = 8
"""Doubles in a vector; rows that vectors run over are padded to a multiple of it with zeros"""
SINGLES = 16
"""Singles in a vector"""


@njit
def padded(count):  # type: ignore[no-untyped-def]
    """The least multiple of WIDTH that is at least `count`."""
    return (count + WIDTH - 1) // WIDTH * WIDTH


class Lanes(types.Type):  # type: ignore[misc]
    """Numba type of a vector of `count` numbers of type `element`."""

    def __init__(self, element: Any, count: int) -> None:
        self.element, self.count = element, count
        super().__init__(name=f"Lanes({element}, {count})")


DOUBLES = {types.float64: Lanes(types.float64, WIDTH), types.float32: Lanes(types.float32, SINGLES)}


@register_model(Lanes)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Lanes) -> None:
        element = ir.DoubleType() if kind.element == types.float64 else ir.FloatType()
        super().__init__(manager, kind, ir.VectorType(element, kind.count))


def _operator(symbol: Any, instruction: str) -> None:
    @infer_global(symbol)
    class Typing(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args, kws):  # type: ignore[no-untyped-def]
            first, second = args
            same = isinstance(first, Lanes) and first == second
            return signature(first, first, second) if same else None

    @lower_builtin(symbol, Lanes, Lanes)
    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return getattr(builder, instruction)(*args)


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operator(_symbol, _instruction)
    _operator(getattr(operator, f"i{_symbol.__name__}"), _instruction)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """Address of array[at:at + count] as a vector."""
    view = context.make_array(kind)(context, builder, array)
    lanes = DOUBLES[kind.dtype]
    vector = context.get_value_type(lanes)
    return builder.bitcast(builder.gep(view.data, [at]), vector.as_pointer())


@intrinsic
def load(typing, array, at):  # type: ignore[no-untyped-def]
    """The vector array[at], array[at + 1], ... of a contiguous 1-D array."""
    lanes = DOUBLES[array.dtype]

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        size = 8 if array.dtype == types.float64 else 4
        return builder.load(_pointer(context, builder, array, *args), align=size)

    return lanes(array, types.intp), emit


@intrinsic
def store(typing, array, at, value):  # type: ignore[no-untyped-def]
    """Write a vector to array[at], array[at + 1], ..."""

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        size = 8 if array.dtype == types.float64 else 4
        builder.store(args[2], _pointer(context, builder, array, *args[:2]), align=size)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), emit


@intrinsic
def fill(typing, number):  # type: ignore[no-untyped-def]
    """The vector with `number` in every place."""
    lanes = DOUBLES[number]

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        kind = context.get_value_type(lanes)
        one = builder.insert_element(
            ir.Constant(kind, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes.count), None)
        return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

    return lanes(number), emit


@intrinsic
def lesser(typing, first, second):  # type: ignore[no-untyped-def]
    """Elementwise minimum."""

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.select(builder.fcmp_ordered("<", *args), *args)

    return first(first, second), emit


@intrinsic
def greater(typing, first, second):  # type: ignore[no-untyped-def]
    """Elementwise maximum."""

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return first(first, second), emit


@intrinsic
def total(typing, vector):  # type: ignore[no-untyped-def]
    """Sum of the entries, halves first."""

    def emit(context, builder, sig, args):  # type: ignore[no-untyped-def]
        value, count = args[0], vector.count
        while count > 1:
            count //= 2
            parts = []
            for start in (0, count):
                places = [ir.Constant(ir.IntType(32), start + i) for i in range(count)]
                mask = ir.Constant(ir.VectorType(ir.IntType(32), count), places)
                parts.append(
                    builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), mask)
                )
            value = builder.fadd(*parts)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return vector.element(vector), emit
