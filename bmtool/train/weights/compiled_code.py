"""Where torch keeps the code that it compiled for layers: with bmtool's own compiled kernels."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import torch

from bmtool.artifacts.temporary import temporary_folder
from bmtool.data.compiled import bases, kernel_folder
from bmtool.models.kernels.products import told_by_processor

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Says where torch keeps it, and Triton below that.
VARIABLE = "TORCHINDUCTOR_CACHE_DIR"

#: What each folder is called, with a hash of the machine behind it.
NAME = "layers-"

#: What whoever started this process wants.
_GIVEN = os.environ.get(VARIABLE)


@cache
def keep_compiled() -> str:
    """Let torch keep it in a folder of this user, for this machine and this torch, and say which; later runs take it.

    torch's own place has a known name in the system's temporary folder: it stays there for good, and whoever makes it
    first can lay code there for others to run. What the environment says is left as it is.
    """
    if not _GIVEN:
        os.environ[VARIABLE] = str(kernel_folder(bases(), name=NAME, key=_machine_key()).absolute())
    _keep_no_headers()
    return os.environ[VARIABLE]


def _keep_no_headers() -> None:
    """torch would put precompiled headers into the system's temporary folder, wherever its cache is.

    Once the place is said: torch makes its own when this is loaded.
    """
    from torch._inductor import config

    if hasattr(config, "cpp_cache_precompile_headers"):
        config.cpp_cache_precompile_headers = False


def _machine_key() -> str:
    """Code for another processor might not run here, and torch doesn't look: a home may be that of several machines."""
    parts = [torch.__version__, told_by_processor("model name"), told_by_processor("flags")]
    parts += [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@contextmanager
def not_kept() -> Iterator[None]:
    """What torch compiles in the block is gone afterwards, and nothing that was compiled before is taken for it."""
    before = os.environ.get(VARIABLE)
    with temporary_folder("compiled") as folder:
        os.environ[VARIABLE] = str(folder)
        _keep_no_headers()
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            os.environ.update({} if before is None else {VARIABLE: before})
