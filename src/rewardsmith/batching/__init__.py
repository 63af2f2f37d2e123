"""From preferences to tensors: one function tokenises for training, scoring and evaluation alike."""
