"""Prints the GFLOP per second of CPU of the best of some matrix products, as bmtool multiplies: peak.py bf16|fp32.

The shapes are a square and those that the models of the table multiply, since small ones can be the faster. One that is
measured alone looks too fast with several threads: Linux counts what another thread has used at its next tick, 4 ms
later at most. So each shape is multiplied for a quarter of a second.
"""

import sys
import time

import torch
from bmtool.models.kernels.products import product

SHAPES = ((2048, 2048, 2048), (4096, 256, 1024), (4096, 1024, 256), (4096, 512, 2048), (640, 256, 16384))
REPEATS, SECONDS = 3, 0.25


def rate(rows: int, inner: int, columns: int, dtype: torch.dtype) -> float:
    one, other = torch.randn(rows, inner).to(dtype), torch.randn(columns, inner).to(dtype)
    product(one, other)
    count, started, until = 0, time.process_time(), time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        product(one, other)
        count += 1
    return 2 * rows * inner * columns * count / (time.process_time() - started) / 1e9


if __name__ == "__main__":
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[sys.argv[1]]
    print(max(rate(*shape, dtype) for _ in range(REPEATS) for shape in SHAPES))
