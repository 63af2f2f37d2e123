"""A reward that can be used: on one scale, believed as a probability, without length, with its uncertainty.

Made from a reward model and preferences that it was not trained on; `calibrate` is all of it.
"""
