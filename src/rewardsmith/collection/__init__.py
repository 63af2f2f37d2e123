"""Asking a language model as each domain would answer: a preference set of one's own from a list of queries."""
