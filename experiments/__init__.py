"""Experiments on real data; each writes its page of docs/results."""
