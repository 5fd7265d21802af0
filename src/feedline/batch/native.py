"""What the compiled kernels share: memory by address, bit counts, varints, and the key of their cache.

The kernels read Arrow's buffers in place, so they work with plain addresses; every caller passes addresses of memory
that it keeps alive, and every read of bytes that came from outside is bounded by the kernel that makes it.
"""

# One function a step, comparisons spelled out: numba pays for every call that hands over an array, and for `in`.

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

# numba's cache knows the file of a kernel, not the files of what that kernel inlines. Each kernel is therefore made
# by a function that closes over this number, which becomes part of its key: a changed helper is never served stale.
_PARTS = (
    "native",
    "avro_program",
    "avro_encode",
    "avro_decode",
    "json_scan",
    "json_values",
    "json_text",
    "json_kernel",
)
SOURCES = int.from_bytes(
    hashlib.sha256(
        b"".join(
            path.read_bytes() for path in (Path(__file__).with_name(f"{part}.py") for part in _PARTS) if path.exists()
        )
    ).digest()[:7]
)

# Untyped for the type checker: numba lets these mix with Python's numbers, which numpy's stubs do not.
i64: Any = np.int64
u64: Any = np.uint64
u8: Any = np.uint8

_I8, _I16, _I32, _I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)


def _loader(numba_type: Any, llvm_type: Any) -> Any:
    @intrinsic
    def load(_context: Any, _address: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], llvm_type.as_pointer())
            value = builder.load(pointer)
            value.align = 1
            return value

        return numba_type(types.int64), generate

    return load


def _storer(numba_type: Any, llvm_type: Any) -> Any:
    @intrinsic
    def store(_context: Any, _address: Any, _value: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], llvm_type.as_pointer())
            builder.store(arguments[1], pointer, align=1)
            return context.get_dummy_value()

        return types.void(types.int64, numba_type), generate

    return store


load_u8 = _loader(types.uint8, _I8)
load_u16 = _loader(types.uint16, _I16)
load_i32 = _loader(types.int32, _I32)
load_u32 = _loader(types.uint32, _I32)
load_i64 = _loader(types.int64, _I64)
load_u64 = _loader(types.uint64, _I64)
load_f64 = _loader(types.float64, ir.DoubleType())
store_u8 = _storer(types.uint8, _I8)
store_i32 = _storer(types.int32, _I32)
store_i64 = _storer(types.int64, _I64)
store_u64 = _storer(types.uint64, _I64)
store_f32 = _storer(types.float32, ir.FloatType())
store_f64 = _storer(types.float64, ir.DoubleType())


@intrinsic
def _leading_zeros(_context: Any, _value: Any) -> Any:
    """Zero bits before the highest set bit of a uint64; 64 for 0."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def _trailing_zeros(_context: Any, _value: Any) -> Any:
    """Zero bits after the lowest set bit of a uint64; 64 for 0."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def _swap_bytes(_context: Any, _value: Any) -> Any:
    """A uint64 with its bytes in the opposite order."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bswap(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def _copy_bytes(_context: Any, _target: Any, _source: Any, _count: Any) -> Any:
    """memcpy between addresses."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        target, source = (builder.inttoptr(argument, cgutils.voidptr_t) for argument in arguments[:2])
        cgutils.raw_memcpy(builder, target, source, arguments[2], 1)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


leading_zeros: Any = _leading_zeros
trailing_zeros: Any = _trailing_zeros
swap_bytes: Any = _swap_bytes
copy_bytes: Any = _copy_bytes


@njit(inline="always")
def write_varint(at: int, value: int) -> int:
    """Write a long as Avro's zigzag varint; the address after it. Takes at most 10 bytes."""
    rest = (u64(value) << u64(1)) ^ u64(value >> 63)
    while rest > u64(127):
        store_u8(at, u8((rest & u64(127)) | u64(128)))
        rest >>= u64(7)
        at += 1
    store_u8(at, u8(rest))
    return at + 1


@njit(inline="always")
def read_varint(at: int, end: int) -> tuple[int, int]:
    """A long and the address after it; address 0 when it runs past `end` or over 64 bits."""
    first = u64(0)
    shift = u64(0)
    while at < end:
        byte = u64(load_u8(at))
        at += 1
        if shift == u64(63) and byte > u64(1):
            return i64(0), i64(0)
        first |= (byte & u64(127)) << shift
        if byte < u64(128):
            return i64(first >> u64(1)) ^ -i64(first & u64(1)), at
        shift += u64(7)
    return i64(0), i64(0)


@njit(inline="always")
def bit(bitmap: int, index: int) -> bool:
    """A bit of an Arrow validity bitmap."""
    return bool((load_u8(bitmap + (index >> 3)) >> u8(index & 7)) & u8(1) != 0)


@njit(nogil=True)
def valid_utf8(at: int, end: int) -> bool:
    """Whether the bytes between two addresses are UTF-8 (RFC 3629: no overlong form, no surrogate, at most 10FFFF)."""
    while at < end:
        if at + 8 <= end and load_u64(at) & u64(0x8080808080808080) == u64(0):
            at += 8
            continue
        lead = load_u8(at)
        if lead < 0x80:
            at += 1
            continue
        if lead < 0xC2 or lead > 0xF4:
            return False
        follow = 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3
        if at + follow >= end:
            return False
        second = load_u8(at + 1)
        low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
        high = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
        if second < low or second > high:
            return False
        for later in range(2, follow + 1):
            if load_u8(at + later) & 0xC0 != 0x80:
                return False
        at += follow + 1
    return True
