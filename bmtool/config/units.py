"""Values with a unit: `4M` tokens, `10m`, `1%`, `500 steps`. The setting's type says which one is read."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from bmtool.config.model import Settings, Words, Written, explained, shown

_COUNTS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def count(value: Any) -> Any:
    """`4M` to 4,000,000; a whole number stays what it is."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kKMGB]?)", value.strip())
    number = float(match[1]) * _COUNTS[match[2]] if match else 0.5
    if not number.is_integer():
        raise explained(f"expected a whole number such as 500, 20k or 4M, got {shown(value)}")
    return int(number)


def count_or_auto(value: Any) -> Any:
    """The same, or `auto`."""
    if value == "auto":
        return value
    number = count(value)
    if type(number) is not int or number < 1:
        raise explained(f"expected auto, or a whole number above 0 such as 4096 or 20k, got {shown(value)}")
    return number


def seconds(value: Any) -> Any:
    """`90s`, `10m`, `2h` or `1d` to seconds.

    A bare number is refused: nobody remembers whether it was seconds or minutes.
    """
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd])", value.strip())
        if match:
            return float(match[1]) * _SECONDS[match[2]]
    raise explained(f"expected a duration such as 90s, 10m or 2h, got {shown(value)}")


def ratio(value: Any) -> Any:
    """`1%` to 0.01; a number stays what it is."""
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%", value.strip())
        if not match:
            raise explained(f"expected a share such as 0.05 or 5%, got {shown(value)}")
        return float(match[1]) / 100
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Interval(Settings):
    """How often: every so many seconds or every so many steps, exactly one of the two."""

    seconds: float | None = None
    steps: int | None = None


def interval(value: Any) -> Any:
    """`10m` or `500 steps` to an Interval."""
    if isinstance(value, Interval):
        return value
    match = re.fullmatch(r"([0-9]+)\s*steps?", value.strip()) if isinstance(value, str) else None
    if match and int(match[1]) > 0:
        return Interval(steps=int(match[1]))
    try:
        return Interval(seconds=seconds(value))
    except PydanticCustomError:
        raise explained(
            f"expected a duration such as 10m, or a number of steps such as '500 steps', got {shown(value)}"
        ) from None


def steps(value: Any) -> Any:
    """`500 steps` to an Interval. A duration is refused: what is done after a while isn't done alike twice."""
    read = value if isinstance(value, Interval) else None
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]+\s*steps?\s*", value):
        read = interval(value)
    if read is None or read.steps is None:
        raise explained(f"expected a number of steps such as '500 steps', got {shown(value)}")
    return read


_CountText = Annotated[str, Field(pattern=r"^\s*([0-9]+|[0-9]+(\.[0-9]+)?\s*[kKMGB])\s*$")]
_Duration = Annotated[str, Field(pattern=r"^\s*[0-9]+(\.[0-9]+)?\s*[smhd]\s*$")]
_Steps = Annotated[str, Field(pattern=r"^\s*[0-9]*[1-9][0-9]*\s*steps?\s*$")]
_Percent = Annotated[str, Field(pattern=r"^\s*(0*100(\.0+)?|0*[0-9]{1,2}(\.[0-9]+)?)\s*%\s*$")]

#: What torch and numpy take for one.
Seed = Annotated[int, Field(ge=0, lt=2**63)]

Count = Annotated[
    int,
    BeforeValidator(count),
    Field(gt=0),
    Words("a whole number such as 500, 20k or 4M"),
    Written(int | _CountText),
]
AutoCount = Annotated[
    int | Literal["auto"],
    BeforeValidator(count_or_auto),
    Words("auto, or a whole number such as 500, 20k or 4M"),
    Written(Annotated[int, Field(gt=0)] | Literal["auto"] | _CountText),
]
Seconds = Annotated[
    float, BeforeValidator(seconds), Field(gt=0), Words("a duration such as 90s, 10m or 2h"), Written(_Duration)
]
#: A number or a percentage, for a setting that has limits of its own.
Share = Annotated[float, BeforeValidator(ratio), Written(float | _Percent)]
Ratio = Annotated[Share, Field(ge=0, le=1), Words("a share such as 0.05 or 5%")]
Every = Annotated[
    Interval, BeforeValidator(interval), Words("a duration such as 10m, or '500 steps'"), Written(_Duration | _Steps)
]
EverySteps = Annotated[
    Interval, BeforeValidator(steps), Words("a number of steps such as '500 steps'"), Written(_Steps)
]
