"""How the kernels of this package are compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.data.compiled import nb

if TYPE_CHECKING:
    from collections.abc import Callable

    Kernel = Callable[..., Any]


def compiled(function: Kernel) -> Kernel:
    """Compile a kernel that allocates nothing.

    Its arrays then need no reference counts. Counting is an atomic operation for each array at each call: without it a
    segment was cut into words in 25 to 138 ns instead of 267 to 1,005 (numba 0.68). The option has an underscore, so it
    is named in this one place.
    """
    options: dict[str, Any] = {"nogil": True, "cache": True, "_nrt": False}
    kernel: Kernel = nb.njit(**options)(function)
    return kernel


def spliced(function: Kernel) -> Kernel:
    """Compile a kernel that becomes part of those that call it.

    A call pushes seven words for each array, so one with a memo and its tables costs more than a short kernel's work.
    """
    options: dict[str, Any] = {"nogil": True, "cache": True, "_nrt": False, "forceinline": True}
    kernel: Kernel = nb.njit(**options)(function)
    return kernel


#: For the small ones that are put into their callers. Python calls some as well: these are kernels of their own, too.
inlined = nb.njit(inline="always", cache=True)
