"""The reward model: backbone, pooling, heads, adapters, saving, and the embedded default."""
