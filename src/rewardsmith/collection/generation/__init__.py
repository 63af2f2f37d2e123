"""A local language model that answers many requests at once."""
