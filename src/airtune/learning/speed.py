"""How fast this machine computes."""

from __future__ import annotations

import time

import torch


def matmul_rate(tokens: int, width: int, threads: int) -> float:
    """Measure the rate of matrix products of a model's shape [FLOP/s], in about 0.1 s."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        left, right = torch.ones(tokens, width), torch.ones(width, 4 * width)
        count, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < 0.1 or count < 2:
            torch.matmul(left, right)
            count += 1
        return float(count * 8.0 * tokens * width * width / spent)
    finally:
        torch.set_num_threads(before)
