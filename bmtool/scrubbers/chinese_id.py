"""Chinese identity numbers."""

from __future__ import annotations

import datetime
from typing import ClassVar

from bmtool.contracts import Scrubber

#: The first two digits: provinces and what is treated like one (GB/T 2260), 83 for residents from Taiwan, 9x for
#: foreigners with permanent residence.
_REGIONS = r"(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|9[1-9])"

#: Weights of the first 17 digits, and the last character by the sum modulo 11 (GB 11643-1999; ISO 7064, MOD 11-2).
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_LAST = "10X98765432"


class ChineseId(Scrubber):
    """Find identity numbers of 18 digits: a known region, a date that exists, and the check character (GB 11643)."""

    precedence: ClassVar[int] = 40

    def pattern(self) -> str:
        """Region, date of birth from 1900 on, order, check character."""
        date = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
        return rf"(?:^|\W)({_REGIONS}\d{{4}}{date}\d{{3}}[\dXx])\b"

    def is_valid(self, value: str, before: str, after: str) -> bool:
        """The date exists and the check character is right."""
        del before, after
        try:
            datetime.date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
        except ValueError:
            return False
        total = sum(int(digit) * weight for digit, weight in zip(value, _WEIGHTS, strict=False))
        return value[-1].upper() == _LAST[total % 11]

    def normalised(self, value: str) -> str:
        """With a capital X."""
        return value.upper()
