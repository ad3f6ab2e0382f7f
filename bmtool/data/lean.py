"""Load numba and pyarrow without pandas and scipy, which both look for and preparing data has no use for."""

from __future__ import annotations

import gc
import importlib
import sys
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

#: Tops of what is left out.
LEFT_OUT = ("pandas", "scipy")


class _LeftOut(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        del path, target
        if name in LEFT_OUT:
            raise ModuleNotFoundError(f"{name} is left out while numba and pyarrow are loaded", name=name)
        return None


#: Objects that are made and not let go of before Python looks for circles among them; it begins with 700. What a
#: command loads is no garbage: 8 % of the CPU time of a short `prepare` went into looking.
OBJECTS_BETWEEN_LOOKS = 20_000


def own_process() -> None:
    """Say that this process is a command's own: nobody in it wants columns as pandas' frames, or garbage soon."""
    _Own.is_said = True
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS)


class _Own:
    is_said = False


@contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage while libraries are loaded: what they make is none, and stays out of every later look.

    Only where `own_process` was called. Of the 2.2 s of CPU of a run over 1 % more rows, 0.06 went into looking.
    """
    if not _Own.is_said:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def load_lean() -> None:
    """Load numba and pyarrow so, if none of the four is loaded already: 0.56 instead of 0.94 s of CPU.

    Others in this process can import pandas and scipy afterwards, but pyarrow converts nothing to pandas then. So it is
    done only where `own_process` was called; whoever calls a stage from Python loads them as ever.
    """
    if not _Own.is_said or any(name in sys.modules for name in ("numba", *LEFT_OUT)):
        return
    finder = _LeftOut()
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module("numba.np.arraymath")  # it looks for scipy when the first kernel is loaded
        import numpy as np
        import pyarrow as pa

        pa.array(np.zeros(0))  # the first array and the first scalar look for pandas, no other does
        pa.scalar("")
    finally:
        sys.meta_path.remove(finder)
