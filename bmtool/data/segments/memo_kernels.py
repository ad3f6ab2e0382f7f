"""What is compiled of the memo of segments.

A slot is 32 bytes, half a cache line:

    0, 1   the key. Up to 15 bytes: the bytes themselves, the length in the top byte. Longer: a 64-bit hash; then
           1 bit LONG, 31 bits length, 32 bits place of the bytes in `long_bytes`, which are compared on each hit.
    2      32 bits place in `ids`, 32 bits number of ids (PENDING: not known yet)
    3      the ids themselves, where they fit: four of uint16 or two of uint32
"""

from __future__ import annotations

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.quality.wide import prefetch

#: Segments are looked up so many at a time, so that what one waits for is on its way while others are worked on.
AT_ONCE = 64

#: `write_ids` writes up to four ids without looking whether there is room.
SLACK = 4


_SHORT = 15
_LONG = np.uint64(1 << 63)
_PENDING = np.uint64(0xFFFFFFFF)
_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)  # MurmurHash3's finaliser
_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
_U32 = np.uint64(32)
_U56 = np.uint64(56)


@nb.njit(inline="always")
def _lower(x):  # type: ignore[no-untyped-def]
    """Eight bytes at once: A-Z to a-z, all others as they are."""
    low = x & np.uint64(0x7F7F7F7F7F7F7F7F)
    from_a = low + np.uint64(0x3F3F3F3F3F3F3F3F)
    past_z = low + np.uint64(0x2525252525252525)
    upper = (from_a ^ past_z) & ~x & np.uint64(0x8080808080808080)
    return x | (upper >> np.uint64(2))


@nb.njit(inline="always")
def _mix(x, y, seed, one, two):  # type: ignore[no-untyped-def]
    h = (x ^ seed) * one
    h = (h ^ (h >> _U32) ^ y) * two
    h ^= h >> _U32
    h *= _MULTIPLIER
    return h ^ (h >> np.uint64(29))


@nb.njit(nogil=True, cache=True)
def _long_hash(eights, at, length, fold, seeds):  # type: ignore[no-untyped-def]
    h = np.uint64(length)
    k = 0
    while k < length:
        width = min(8, length - k)
        x = eights[at + k] & (_ONES >> np.uint64(64 - 8 * width))
        h = _mix(_lower(x) if fold else x, h, seeds[0], seeds[1], seeds[2])
        k += 8
    return h


@nb.njit(nogil=True, cache=True)
def _find_long(data, at, length, fold, h, table, long_bytes):  # type: ignore[no-untyped-def]
    """The slot that holds a segment with this hash, or the empty one where it belongs."""
    last = np.uint64(len(table) - 1)
    slot = h & last
    while table[slot, 1] != 0:
        there = table[slot, 1]
        if table[slot, 0] == h and there >> _U32 == (_LONG >> _U32 | np.uint64(length)):
            place = np.int64(there & _PENDING)
            same = 0
            while same < length and long_bytes[place + same] == _folded(data[at + same], fold):
                same += 1
            if same == length:
                break
        slot = (slot + np.uint64(1)) & last
    return slot


@nb.njit(inline="always")
def _folded(x, fold):  # type: ignore[no-untyped-def]
    return x + np.uint8(32) if fold and 65 <= x <= 90 else x


@nb.njit(nogil=True, cache=True)
def find_segments(  # type: ignore[no-untyped-def]
    data, eights, starts, lengths, num, fold, seeds, table, long_bytes, used, keys, found, missing
):
    """Set `found[n]` to each segment's slot, -1 for a length of 0; (whether it is full, how many are missing).

    One function, since every segment goes through it, and an array that is handed to another one has its references
    counted, in and out, at 5 ns each.
    """
    seed, one, two = seeds[0], seeds[1], seeds[2]
    last = np.uint64(len(table) - 1)
    limit = len(table) // 2
    num_missing = 0
    for begin in range(0, num, AT_ONCE):
        end = min(begin + AT_ONCE, num)
        for n in range(begin, end):
            length, at = np.int64(lengths[n]), np.int64(starts[n])
            first, second = np.uint64(0), np.uint64(length) << _U56
            if length > _SHORT:
                first = h = _long_hash(eights, at, length, fold, seeds)
            elif length > 0:
                first = eights[at] & (_ONES >> np.uint64(64 - 8 * length if length < 8 else 0))
                rest = np.uint64(0)
                if length > 8:
                    rest = eights[at + 8] & (_ONES >> np.uint64(128 - 8 * length))
                if fold:
                    first, rest = _lower(first), _lower(rest)
                second |= rest
                h = _mix(first, second, seed, one, two)
            else:
                continue
            keys[n - begin, 0], keys[n - begin, 1], keys[n - begin, 2] = first, second, h & last
            prefetch(table, np.int64(h & last))
        for n in range(begin, end):
            length = np.int64(lengths[n])
            if length == 0:
                found[n] = -1
                continue
            first, second, slot = keys[n - begin, 0], keys[n - begin, 1], keys[n - begin, 2]
            at = np.int64(starts[n])
            if length <= _SHORT:
                while table[slot, 1] != 0 and (table[slot, 0] != first or table[slot, 1] != second):
                    slot = (slot + np.uint64(1)) & last
            else:
                slot = _find_long(data, at, length, fold, first, table, long_bytes)
                second = _LONG | np.uint64(length) << _U32 | np.uint64(used[2])
            if table[slot, 1] == 0:
                if used[0] >= limit or (length > _SHORT and used[2] + length > len(long_bytes)):
                    return True, num_missing
                if length > _SHORT:
                    for k in range(length):
                        long_bytes[used[2] + k] = _folded(data[at + k], fold)
                    used[2] += length
                table[slot, 0] = first
                table[slot, 1] = second
                table[slot, 2] = _PENDING
                used[0] += 1
                missing[num_missing, 0] = at
                missing[num_missing, 1] = length
                missing[num_missing, 2] = slot
                num_missing += 1
            found[n] = slot
    return False, num_missing


@nb.njit(nogil=True, cache=True)
def write_ids(table, ids, found, begin, out, written, ends, document):  # type: ignore[no-untyped-def]
    """Write the ids of the segments from `begin` on; (where it stopped as `out` is full, ids written, document)."""
    narrow = out.itemsize == 2
    for n in range(begin, len(found)):
        if found[n] < 0:
            ends[document] = written
            document += 1
            continue
        slot = np.int64(found[n])
        count = np.int64(table[slot, 2] & _PENDING)
        if written + count + SLACK > len(out):
            return n, written, document
        inline = table[slot, 3]
        if narrow and count <= 4:
            out[written] = inline & np.uint64(0xFFFF)
            out[written + 1] = (inline >> np.uint64(16)) & np.uint64(0xFFFF)
            out[written + 2] = (inline >> _U32) & np.uint64(0xFFFF)
            out[written + 3] = inline >> np.uint64(48)
        elif not narrow and count <= 2:
            out[written] = inline & _PENDING
            out[written + 1] = inline >> _U32
        else:
            place = np.int64(table[slot, 2] >> _U32)
            for k in range(count):
                out[written + k] = ids[place + k]
        written += count
    return len(found), written, document


@nb.njit(nogil=True, cache=True)
def store_segments(table, slots, counts, flat, ids, used):  # type: ignore[no-untyped-def]
    """Give claimed slots their ids; `flat` holds them one segment after the other. Negative counts are left open."""
    at = 0
    width = 4 if ids.itemsize == 2 else 2
    bits = np.uint64(64 // width)
    for n in range(len(slots)):
        count = counts[n]
        if count < 0:
            continue
        if count <= width:
            inline = np.uint64(0)
            for k in range(count):
                inline |= np.uint64(flat[at + k]) << (bits * np.uint64(k))
            table[slots[n], 3] = inline
            table[slots[n], 2] = np.uint64(count)
        else:
            place = used[1]
            for k in range(count):
                ids[place + k] = flat[at + k]
            table[slots[n], 2] = np.uint64(place) << _U32 | np.uint64(count)
            used[1] += count
        at += count


@nb.njit(nogil=True, cache=True)
def rehash(old, new, seeds):  # type: ignore[no-untyped-def]
    """Put all slots of a table into a larger one."""
    last = np.uint64(len(new) - 1)
    for n in range(len(old)):
        y = old[n, 1]
        if y == 0:
            continue
        h = old[n, 0] if y & _LONG else _mix(old[n, 0], y, seeds[0], seeds[1], seeds[2])
        slot = h & last
        while new[slot, 1] != 0:
            slot = (slot + np.uint64(1)) & last
        new[slot] = old[n]


@nb.njit(nogil=True, cache=True)
def list_segments(table, long_bytes, ids, text, offsets, flat, counts):  # type: ignore[no-untyped-def]
    """Write out every known segment's bytes and ids, in the order of their slots; returns how many."""
    num = 0
    at = np.int64(0)
    width = 4 if ids.itemsize == 2 else 2
    bits = np.uint64(64 // width)
    for n in range(len(table)):
        y, what = table[n, 1], table[n, 2]
        if y == 0 or what == _PENDING:
            continue
        end = offsets[num]
        if y & _LONG:
            length = np.int64((y & ~_LONG) >> _U32)
            place = np.int64(y & _PENDING)
            for k in range(length):
                text[end + k] = long_bytes[place + k]
        else:
            length = np.int64(y >> _U56)
            for k in range(length):
                text[end + k] = (table[n, k >> 3] >> np.uint64(8 * (k & 7))) & np.uint64(0xFF)
        count = np.int64(what & _PENDING)
        for k in range(count):
            if count <= width:
                flat[at + k] = (table[n, 3] >> (bits * np.uint64(k))) & (_PENDING >> (_U32 - bits))
            else:
                flat[at + k] = ids[np.int64(what >> _U32) + k]
        at += count
        offsets[num + 1] = end + length
        counts[num] = count
        num += 1
    return num
