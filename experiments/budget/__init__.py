"""What a budget of general ability costs and keeps, on real data: `python -m experiments.budget`, piece by piece."""
