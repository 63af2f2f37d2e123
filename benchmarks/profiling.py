"""Where one of our steps spends its time: torch's profiler over a step of random pairs."""

from __future__ import annotations

from torch.profiler import ProfilerActivity, profile

from benchmarks.training import our_trainer, timed
from benchmarks.workload import STEP, Setting, random_pairs, reward_model

_ROWS = 25


def profile_step(setting: Setting) -> str:
    """The operators that take longest, as a table; a first step warms up."""
    model = reward_model(setting)
    items = random_pairs(setting, model, STEP)
    timed(our_trainer(setting, model, items))
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if setting.device == "cuda" else [])]
    with profile(activities=activities) as found:
        timed(our_trainer(setting, model, items))
    order = "self_cuda_time_total" if setting.device == "cuda" else "self_cpu_time_total"
    table: str = found.key_averages().table(sort_by=order, row_limit=_ROWS, max_name_column_width=50)
    return table
