"""All figures with their floors and aims; each module here measures one or a few of them."""

from __future__ import annotations

from benchmarks.measured import Figure

_ALL = (
    Figure("trl_default", "pairs", 3.0, 4.5, "pairs, against TRL as it comes"),
    Figure("trl_best", "pairs", 1.8, 2.2, "pairs, against TRL's best settings"),
    Figure("dsp_listwise", "domains", 4.0, 6.0, "lists of five, against their pairs through TRL"),
    Figure("four_domains", "domains", 10.0, 16.0, "four domains on one trunk, against four TRL runs"),
    Figure("imitation", "imitation", 2.0, 2.5, "ranking and imitation, against two padded passes"),
    Figure("scoring", "scoring", 2.0, 3.0, "five responses a prompt, against transformers' pipeline"),
    Figure("collection", "collection", 6.0, 10.0, "a local model's answers, against one `generate` call each"),
    Figure("cached_sweep", "sweep", 1.8, 2.0, "five seeds above frozen layers, against the same uncached"),
    Figure("matmul_peak", "step", 0.65, 0.75, "share of the machine's matmul rate in a step"),
    Figure("overhead", "step", 33.0, 100.0, "a step over its part outside forward, backward and optimiser"),
    Figure("memory", "memory", 1.0, 2.0, "peak memory of a step, against TRL without checkpointing"),
)

FIGURES = {figure.name: figure for figure in _ALL}
"""Figures by name, in the order they are shown."""
