"""What this machine computes fastest in: a CPU without bfloat16 instructions is slower with it than without."""

from __future__ import annotations

from functools import cache

import torch

from rewardsmith.training.planning import matmul_rate


@cache
def bfloat16_is_faster() -> bool:
    """Whether matrices of bfloat16 are multiplied faster than those of float32 here."""
    return matmul_rate(torch.bfloat16) > matmul_rate(torch.float32)
