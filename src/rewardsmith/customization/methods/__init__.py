"""Ways to customise a model and keep its general ability, one class each behind one interface (see `registry`)."""
