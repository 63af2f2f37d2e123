"""Training: losses, recipes, stages, and the trainer that runs them."""
