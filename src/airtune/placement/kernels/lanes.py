"""Short vectors for the compiled kernels: eight doubles or sixteen singles at a time.

Loops over a few dozen entries are too short for the compiler's own vectorisation, which wants
long runs and treats the rest one by one. Here a kernel says what goes in parallel. Every operation
is rounded by itself, in the order written, so the bits depend on neither inlining nor machine;
processors with shorter registers split a vector in two or four.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Protocol, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing import signature
from numba.core.typing.templates import infer_global, make_concrete_template
from numba.extending import intrinsic, lower_builtin, models, register_model

from airtune.compiled import entry
from airtune.kinds import Floating

WIDTH = 8
"""Doubles in a vector; rows that vectors run over are padded to a multiple of it with zeros"""
SINGLES = 16
"""Singles in a vector"""


class Vector(Protocol):
    """A vector as the type checker sees it; in compiled code a register."""

    def __add__(self, other: Vector) -> Vector: ...
    def __sub__(self, other: Vector) -> Vector: ...
    def __mul__(self, other: Vector) -> Vector: ...
    def __truediv__(self, other: Vector) -> Vector: ...


@entry
def padded(count: int) -> int:
    """The least multiple of WIDTH that is at least `count`."""
    return (count + WIDTH - 1) // WIDTH * WIDTH


# numba has no types of its own: to the type checker these two bases are unknown
class Lanes(types.Type):  # type: ignore[misc]  # numba has no types for mypy
    """Numba type of a vector of `count` numbers of type `element`."""

    def __init__(self, element: Any, count: int) -> None:
        self.element, self.count = element, count
        super().__init__(name=f"Lanes({element}, {count})")


KINDS = {types.float64: Lanes(types.float64, WIDTH), types.float32: Lanes(types.float32, SINGLES)}


class _Model(models.PrimitiveModel):  # type: ignore[misc]  # as above
    def __init__(self, manager: Any, kind: Lanes) -> None:
        element = ir.DoubleType() if kind.element == types.float64 else ir.FloatType()
        super().__init__(manager, kind, ir.VectorType(element, kind.count))


register_model(Lanes)(_Model)


def _operator(symbol: Callable[[Any, Any], Any], instruction: str) -> None:
    """Let a Python operator on two equal vectors be one instruction."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args)

    cases = [signature(kind, kind, kind) for kind in KINDS.values()]
    infer_global(symbol)(make_concrete_template(f"Lanes_{symbol.__name__}", symbol, cases))
    lower_builtin(symbol, Lanes, Lanes)(emit)


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
    lanes = KINDS[kind.dtype]
    vector = context.get_value_type(lanes)
    return builder.bitcast(builder.gep(view.data, [at]), vector.as_pointer())


def _load(typing: Any, array: Any, at: Any) -> Any:
    lanes = KINDS[array.dtype]

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        size = 8 if array.dtype == types.float64 else 4
        return builder.load(_pointer(context, builder, array, *args), align=size)

    return lanes(array, types.intp), emit


def _store(typing: Any, array: Any, at: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        size = 8 if array.dtype == types.float64 else 4
        builder.store(args[2], _pointer(context, builder, array, *args[:2]), align=size)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), emit


def _fill(typing: Any, number: Any) -> Any:
    lanes = KINDS[number]

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = context.get_value_type(lanes)
        one = builder.insert_element(
            ir.Constant(kind, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes.count), None)
        return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

    return lanes(number), emit


def _chosen(comparison: str) -> Callable[..., Any]:
    """Elementwise choice between two vectors by a comparison."""

    def choose(typing: Any, first: Any, second: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.select(builder.fcmp_ordered(comparison, *args), *args)

        return first(first, second), emit

    return choose


def _total(typing: Any, vector: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
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


load = cast("Callable[[Floating, int], Vector]", intrinsic(_load))
"""load(array, at): the vector array[at], array[at + 1], ... of a contiguous 1-D array"""
store = cast("Callable[[Floating, int, Vector], None]", intrinsic(_store))
"""store(array, at, value): write a vector to array[at], array[at + 1], ..."""
fill = cast("Callable[[float | np.float32], Vector]", intrinsic(_fill))
"""fill(number): the vector with `number` in every place"""
lesser = cast("Callable[[Vector, Vector], Vector]", intrinsic(_chosen("<")))
"""lesser(first, second): elementwise minimum"""
greater = cast("Callable[[Vector, Vector], Vector]", intrinsic(_chosen(">")))
"""greater(first, second): elementwise maximum"""
total = cast("Callable[[Vector], float]", intrinsic(_total))
"""total(vector): sum of the entries, halves first"""
