"""Numbers with a decimal comma, as most of Europe writes them."""

from __future__ import annotations

import re
from typing import Any

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")

#: `1,000`, which may be a thousand
_THOUSANDS = re.compile(r"[+-]?\d{1,3},\d{3}")


def has_decimal_comma(value: Any, *, surely: bool = False) -> bool:
    """Whether it is a text such as `0,5`; `surely` not one such as `1,000`."""
    if not isinstance(value, str) or _DECIMAL_COMMA.fullmatch(value.strip()) is None:
        return False
    return not (surely and _THOUSANDS.fullmatch(value.strip()))
