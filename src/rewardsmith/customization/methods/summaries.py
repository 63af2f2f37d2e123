"""What every method does, in a line: light to import, for the command's help."""

SUMMARIES = {
    "anchored": "a residual head, held to the general model's verdicts on general prompts",
    "head": "a residual head on the custom preferences alone",
    "gated": "a head of its own where a dialogue looks like the custom ones (--no-portable)",
    "fine-tuning": "the upper layers, on the custom preferences alone",
    "ties": "fine-tuning, its largest changes alone",
    "dare": "fine-tuning, a random part of its changes, scaled up",
    "lora": "low-rank adapters in the upper layers",
    "l2-sp": "the upper layers, pulled back to the general model's weights",
    "imitation": "the upper layers, with the language-modelling loss on preferred responses",
    "early-stopping": "the upper layers; the checkpoint best on custom accuracy less general loss",
    "distillation": "the upper layers; general prompts keep the general model's verdicts (no labels needed)",
    "enrichment": "the upper layers, with as many general preferences mixed in as custom ones",
    "resampled-enrichment": "the same, with other general preferences in every epoch",
    "a-gem": "the upper layers, by gradients projected not to raise the loss on general pairs",
    "warm": "the mean of three fine-tunings with other seeds",
    "full-fine-tuning": "all weights, on the custom preferences alone",
}
"""By name, from cheap to dear: the order in which `auto` tries them."""
