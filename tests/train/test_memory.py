"""Large blocks that are asked for again and again come from memory that the process has already."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, resource
from bmtool.train.memory import keep_memory, release_memory

{first}
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
faults = []
for _ in range(4):
    block = libc.malloc(40_000_000)
    libc.memset(ctypes.c_void_p(block), 1, ctypes.c_size_t(40_000_000))
    libc.free(ctypes.c_void_p(block))
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[0])
"""


def faults(first):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_a_large_block_is_not_taken_from_the_kernel_each_time():
    assert faults("keep_memory()") < 100 < faults("")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_where_weights_come_and_go_it_is_the_kernel_s_again():
    assert faults("keep_memory(), release_memory()") > 100
