"""Reads many bytes of a text at once, which numba can't by itself: a word of eight, and the places of stops in 64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numba.extending import intrinsic

from bmtool.data.compiled import nb
from bmtool.data.quality.native import inlined

if TYPE_CHECKING:
    from collections.abc import Callable

    Code = tuple[Any, Callable[..., Any]]

#: Without the first parameter of what it decorates, so callers pass the others; numba's own type doesn't say so.
_intrinsic: Callable[[Callable[..., Code]], Callable[..., Any]] = intrinsic

_BLOCK = 64


@inlined
def is_stop(x):  # type: ignore[no-untyped-def]
    """Whether a segment may end at a character with this first byte: ASCII's white space, or one to look at."""
    return x == 32 or 9 <= x <= 13 or 28 <= x <= 31 or x == 0xC2 or x >= 0xE0


def _place(context: Any, builder: Any, signature: Any, arguments: Any, kind: Any) -> Any:
    """A pointer to values of `kind` at an index of an array of bytes."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), kind.as_pointer())


@_intrinsic
def load_word(typing_context: Any, data: Any, index: Any) -> Code:  # noqa: ARG001 - numba's form
    """The eight bytes from `index` on, the first one lowest; all of them must be in the array."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = builder.load(_place(context, builder, signature, arguments, ir.IntType(64)))
        word.align = 1
        return word

    return nb.types.uint64(data, nb.types.intp), code


@_intrinsic
def load_stops(typing_context: Any, data: Any, index: Any) -> Code:  # noqa: ARG001 - numba's form
    """`is_stop` of the 64 bytes from `index` on, as bits, the first one lowest; all must be in the array."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.VectorType(ir.IntType(8), _BLOCK)
        block = builder.load(_place(context, builder, signature, arguments, kind))
        block.align = 1

        def every(byte: int) -> Any:
            return ir.Constant(kind, [byte] * _BLOCK)

        found = builder.icmp_unsigned("<", builder.sub(block, every(9)), every(5))
        for other in (
            builder.icmp_unsigned("<", builder.sub(block, every(28)), every(5)),
            builder.icmp_unsigned("==", block, every(0xC2)),
            builder.icmp_unsigned(">=", block, every(0xE0)),
        ):
            found = builder.or_(found, other)
        return builder.bitcast(found, ir.IntType(_BLOCK))

    return nb.types.uint64(data, nb.types.intp), code


@_intrinsic
def trailing_zeros(typing_context: Any, bits: Any) -> Code:  # noqa: ARG001 - numba's form
    """How many of the lowest bits of a number are 0; the number isn't 0."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001 - numba's form
        return builder.cttz(arguments[0], cgutils.true_bit)

    return nb.types.int64(nb.types.uint64), code


@_intrinsic
def prefetch(typing_context: Any, table: Any, row: Any) -> Code:  # noqa: ARG001 - numba's form
    """Ask for a row of a table (in C order) that will be read soon."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        stride = builder.extract_value(array.strides, 0)
        byte = ir.IntType(8).as_pointer()
        place = builder.gep(builder.bitcast(array.data, byte), [builder.mul(arguments[1], stride)])
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")  # type: ignore[no-untyped-call]
        builder.call(function, [place, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return nb.types.void(table, nb.types.intp), code
