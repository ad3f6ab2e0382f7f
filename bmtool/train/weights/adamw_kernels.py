"""AdamW and sums of squares as compiled loops over plain arrays, for `bmtool.train.weights.adamw`.

Numbers in bfloat16 come and go as uint16: the upper half of a float32, rounded to even. Each loop has few arrays, since
a compiler that can't tell whether they overlap gives up on vectors where there are many; what lies between loops fits
the first cache.
"""

from __future__ import annotations

import numpy as np

from bmtool.data.compiled import nb

#: So many numbers go through all loops together.
BLOCK = 2048


@nb.njit(inline="always")
def _load(bits, gradient):  # type: ignore[no-untyped-def]
    for j in range(len(gradient)):
        bits[j] = np.uint32(gradient[j]) << np.uint32(16)


@nb.njit(inline="always")
def _store(out, bits):  # type: ignore[no-untyped-def]
    for j in range(len(out)):
        rounded = bits[j] + np.uint32(0x7FFF) + ((bits[j] >> np.uint32(16)) & np.uint32(1))
        out[j] = np.uint16(rounded >> np.uint32(16))


@nb.njit(inline="always")
def _advance(weights, first, second, gradient, how):  # type: ignore[no-untyped-def]
    scale, keep_first, new_first, keep_second, new_second = how[0], how[1], how[2], how[3], how[4]
    decay, rate, root, epsilon = how[5], how[6], how[7], how[8]
    for j in range(len(first)):
        gradient[j] *= scale
        first[j] = keep_first * first[j] + new_first * gradient[j]
    for j in range(len(second)):
        second[j] = keep_second * second[j] + new_second * gradient[j] * gradient[j]
    for j in range(len(weights)):
        weights[j] = decay * weights[j] - rate * first[j] / (np.sqrt(second[j]) * root + epsilon)


@nb.njit(nogil=True, cache=True, error_model="numpy")
def move_all(weights, first, second, copy, gradient, narrow, how, start, end):  # type: ignore[no-untyped-def]
    """AdamW on the numbers from `start` to `end` of flat float32 arrays, in place.

    The gradient is `gradient`, or if that is empty `narrow`, in bfloat16; `copy` gets the new weights in bfloat16,
    unless it is empty.
    """
    values = np.empty(BLOCK, np.float32)
    bits = values.view(np.uint32)
    for low in range(start, end, BLOCK):
        high = min(low + BLOCK, end)
        of_block = values[: high - low]
        if len(gradient):
            of_block[:] = gradient[low:high]
        else:
            _load(bits, narrow[low:high])
        _advance(weights[low:high], first[low:high], second[low:high], of_block, how)
        if len(copy):
            of_block[:] = weights[low:high]
            _store(copy[low:high], bits)


@nb.njit(nogil=True, cache=True, error_model="numpy")
def move_rows(weights, first, second, copy, ids, rows, still, how, start, end):  # type: ignore[no-untyped-def]
    """The same on rows `start` to `end` of (N, D) matrices, where only rows `ids`, ascending, have a gradient, `rows`.

    Where a row is `still`, its moments are zeros: it had no gradient yet, and only decays.
    """
    width = weights.shape[1]
    values = np.empty(width, np.float32)
    bits = values.view(np.uint32)
    place = np.searchsorted(ids, start)
    decay = how[5]
    for row in range(start, end):
        if place < len(ids) and ids[place] == row:
            values[:] = rows[place]
            place += 1
            still[row] = False
        elif not still[row]:
            values[:] = np.float32(0)
        elif decay == np.float32(1):
            continue
        if still[row]:
            of_row = weights[row]
            for j in range(width):
                of_row[j] *= decay
        else:
            _advance(weights[row], first[row], second[row], values, how)
        if len(copy):
            values[:] = weights[row]
            _store(copy[row], bits)


@nb.njit(nogil=True, cache=True)
def sum_of_squares(gradient, narrow):  # type: ignore[no-untyped-def]
    """Of a float32 matrix (N, D), or if that is empty of one in bfloat16: column by column, and then these.

    Rows of zeros change no bit of it, whether they are there or not.
    """
    num, width = gradient.shape if len(gradient) else narrow.shape
    values = np.empty(width, np.float32)
    bits = values.view(np.uint32)
    sums = np.zeros(width, np.float64)
    for row in range(num):
        if len(gradient):
            values[:] = gradient[row]
        else:
            _load(bits, narrow[row])
        for j in range(width):
            sums[j] += np.float64(values[j]) * np.float64(values[j])
    total = 0.0
    for j in range(width):
        total += sums[j]
    return total
