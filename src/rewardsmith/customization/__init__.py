"""The generality budget: the best custom model that provably lost no more general ability than allowed."""
