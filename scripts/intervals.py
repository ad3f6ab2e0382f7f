"""The 95 % interval of a mean of few values, as the measuring scripts print it."""

import statistics
from collections.abc import Sequence

#: Student's t, 97.5 %, by degrees of freedom (any statistics table).
T = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 11: 2.201}
T |= {12: 2.179, 13: 2.160, 14: 2.145, 15: 2.131, 16: 2.120, 17: 2.110, 18: 2.101, 19: 2.093, 20: 2.086}


def half_width(values: Sequence[float]) -> float:
    """Half of the interval's width, by Student's t; not a number for fewer than two values."""
    if len(values) < 2:
        return float("nan")
    return T[len(values) - 1] * statistics.stdev(values) / len(values) ** 0.5
