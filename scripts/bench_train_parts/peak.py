"""Prints the GFLOP per second of CPU of the best of some matrix products: peak.py bf16|fp32.

The shapes are a square and those that the models of the table multiply, since small ones can be the faster.
"""

import sys
import time

import torch
import torch.nn.functional as F

SHAPES = ((2048, 2048, 2048), (4096, 256, 1024), (4096, 1024, 256), (4096, 512, 2048), (640, 256, 16384))
REPEATS = 12


def best(rows: int, inner: int, columns: int, dtype: torch.dtype) -> float:
    one, other = torch.randn(rows, inner).to(dtype), torch.randn(columns, inner).to(dtype)
    taken = []
    for _ in range(REPEATS):
        started = time.process_time()
        F.linear(one, other)
        taken.append(time.process_time() - started)
    return 2 * rows * inner * columns / min(taken) / 1e9


if __name__ == "__main__":
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[sys.argv[1]]
    print(max(best(*shape, dtype) for shape in SHAPES))
