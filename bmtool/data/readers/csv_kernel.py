"""Find the rows and fields of CSV in its bytes, by the rules of Python's `csv.reader` with `strict=True`.

Delimiter, quotes and line ends are single bytes of ASCII, which are never a part of another character in UTF-8.
"""

from __future__ import annotations

from bmtool.data.compiled import nb

#: What is wrong with a row.
GOOD, NOT_DELIMITED, RETURN, UNCLOSED, TOO_MANY_LINES, TOO_LONG = range(6)

_QUOTE, _NEWLINE, _RETURN = 0x22, 0x0A, 0x0D
_START, _PLAIN, _QUOTED, _QUOTE_SEEN, _RETURN_SEEN, _SKIPPED = range(6)


@nb.njit(nogil=True, cache=True, inline="always")
def _next_state(state, byte, delimiter):  # type: ignore[no-untyped-def]
    """The state behind a byte that isn't a line break; what may not stand there leads to _SKIPPED."""
    if state == _QUOTED:
        return _QUOTE_SEEN if byte == _QUOTE else _QUOTED
    if state == _RETURN_SEEN and byte == _RETURN:
        return _RETURN_SEEN
    if state in (_SKIPPED, _RETURN_SEEN):
        return _SKIPPED
    if byte == delimiter:
        return _START
    if byte == _RETURN:
        return _RETURN_SEEN
    if state == _QUOTE_SEEN:
        return _QUOTED if byte == _QUOTE else _SKIPPED
    return _QUOTED if byte == _QUOTE and state == _START else _PLAIN


@nb.njit(nogil=True, cache=True)
def last_row_end(data, delimiter):  # type: ignore[no-untyped-def]
    """Where the last whole row of `data`, uint8 (N,) from the start of a row, ends; 0 without one."""
    state, end = _START, 0
    for place in range(len(data)):
        byte = data[place]
        if byte != _NEWLINE:
            state = _next_state(state, byte, delimiter)
        elif state != _QUOTED:
            state, end = _START, place + 1
    return end


@nb.njit(nogil=True, cache=True)
def find_rows(data, place, delimiter, slots, limits, starts, ends, rows):  # type: ignore[no-untyped-def]
    """Find rows from `place` on, until R of them, or about `limits[2]` bytes, are found.

    `data` uint8 (N,) are whole rows. `slots` (fields,) says for each field which of the C wanted ones it is, or -1.
    A row ends without success after `limits[0]` lines within quotes, or `limits[1]` bytes.
    Filled are `starts` and `ends` (R, C), where the wanted fields are, with their quotes; and `rows` (R, 4): what is
    wrong, the number of the first line (from 0), how many lines, how many fields. Empty lines are no rows.

    Returns (rows found, where the next one starts, lines read).
    """
    size, begin, line, found = len(data), place, 0, 0
    while place < size and found < len(rows) and place - begin < limits[2]:
        row_start, field_start, field, wrong, lines, state = place, place, 0, GOOD, 0, _START
        is_whole = False
        while place < size and not is_whole:
            byte = data[place]
            if byte == _NEWLINE:
                lines += 1
                if state != _QUOTED:
                    is_whole = True
                elif lines == limits[0]:
                    wrong, is_whole = TOO_MANY_LINES, True
            else:
                before = state
                state = _next_state(state, byte, delimiter)
                if state == _SKIPPED and before != _SKIPPED:
                    wrong = RETURN if before == _RETURN_SEEN else NOT_DELIMITED
                elif state == _START:
                    if field < len(slots) and slots[field] >= 0:
                        starts[found, slots[field]], ends[found, slots[field]] = field_start, place
                    field, field_start = field + 1, place + 1
            place += 1
            if place - row_start > limits[1] and wrong == GOOD:
                wrong, state = TOO_LONG, _SKIPPED
        if not is_whole:  # the end of the data came first
            if data[size - 1] != _NEWLINE:
                lines += 1
            if state == _QUOTED:
                wrong = UNCLOSED
        end = place - 1 if is_whole else place
        while state == _RETURN_SEEN and end > field_start and data[end - 1] == _RETURN:
            end -= 1
        if field < len(slots) and slots[field] >= 0:
            starts[found, slots[field]], ends[found, slots[field]] = field_start, end
        if wrong != GOOD or field > 0 or end > row_start:
            rows[found, 0], rows[found, 1], rows[found, 2], rows[found, 3] = wrong, line, lines, field + 1
            found += 1
        line += lines
    return found, place, line


@nb.njit(nogil=True, cache=True)
def copy_fields(data, starts, ends, offsets, out):  # type: ignore[no-untyped-def]
    """Write the fields between `starts` and `ends` (R,) one behind the other into `out`, without their quotes.

    `offsets` (R + 1,) takes where each begins; a doubled quote within quotes becomes one.
    """
    written = 0
    for row in range(len(starts)):
        offsets[row] = written
        place, end = starts[row], ends[row]
        if place < end and data[place] == _QUOTE:
            place, end = place + 1, end - 1
            while place < end:
                out[written] = data[place]
                written += 1
                place += 2 if data[place] == _QUOTE else 1
        else:
            for index in range(place, end):
                out[written] = data[index]
                written += 1
    offsets[len(starts)] = written
    return written
