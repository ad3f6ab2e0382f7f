"""Large blocks that are asked for again and again come from memory that the process has already."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROGRAM = """
import ctypes, resource
from bmtool.train.machine.memory import keep_memory, release_memory

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


TRIMMED = """
import ctypes
from pathlib import Path
from bmtool.train.machine.memory import held_bytes, keep_memory, trim_above

def huge():
    heap = Path("/proc/self/smaps").read_text().partition("[heap]")[2]
    return " hg" in heap.partition("VmFlags:")[2].partition("\\n")[0]

keep_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
blocks = [libc.malloc(50_000_000) for _ in range(4)]
for block in blocks:
    libc.memset(ctypes.c_void_p(block), 1, ctypes.c_size_t(50_000_000))
for block in blocks:
    libc.free(ctypes.c_void_p(block))
before = held_bytes()
trim_above(before + 10_000_000)
kept = held_bytes()
was_huge = huge()
trim_above(before - 10_000_000)
print(before - kept, before - held_bytes(), was_huge, huge())
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux tells what a process holds")
def test_freed_memory_is_given_back_where_too_much_is_held_and_comes_again_in_huge_pages():
    done = subprocess.run([sys.executable, "-c", TRIMMED], capture_output=True, text=True, check=True)
    kept, given, was_huge, is_huge = done.stdout.split()

    assert abs(int(kept)) < 10_000_000
    assert int(given) > 150_000_000
    assert is_huge == was_huge


KERNELS = """
import ctypes
import torch
from bmtool.train.machine.memory import keep_kernels_once

class Malloc(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "a b c d e f g in_use h i".split()]

{first}
told = ctypes.CDLL(None).mallinfo2
told.restype = Malloc
torch.set_num_threads(1)
weight = torch.rand(64, 64, dtype=torch.bfloat16)
torch.rand(8, 64, dtype=torch.bfloat16) @ weight
before = told().in_use
for rows in range(16, 216):
    torch.rand(rows, 64, dtype=torch.bfloat16) @ weight
print(told().in_use - before)
"""


def grown_by_kernels(first):
    """Bytes, in a process of its own, which mustn't inherit what a training in this one has set."""
    environment = {name: value for name, value in os.environ.items() if name != "LRU_CACHE_CAPACITY"}
    command = [sys.executable, "-c", KERNELS.format(first=first)]
    return int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="needs glibc's numbers, and oneDNN's bfloat16",
)
def test_kernels_of_many_shapes_are_kept_once():
    once, twice = map(grown_by_kernels, ("keep_kernels_once()", ""))

    assert 0 < once < 0.8 * twice
