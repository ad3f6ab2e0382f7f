"""Texts that hold an added token, such as `[MASK]`, literally: `tokenizers` cuts there before anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.segments.marking import mark_literals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Literals:
    """A few strings that are looked for in many texts."""

    def __init__(self, strings: Sequence[bytes]) -> None:
        self._strings = [string for string in strings if string]
        self._first, self._second = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
        for string in self._strings:
            self._first[string[0]] = 1
            if len(string) == 1:
                self._second[:] = 1
            else:
                self._second[string[1]] = 1

    def found(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(N,) 1 for each of N texts that holds one of the strings."""
        marked = np.zeros(len(offsets) - 1, np.uint8)
        if self._strings:
            mark_literals(data, offsets, self._first, self._second, marked)
        for row in np.flatnonzero(marked):
            text = data[offsets[row] : offsets[row + 1]].tobytes()
            marked[row] = any(string in text for string in self._strings)
        return marked
