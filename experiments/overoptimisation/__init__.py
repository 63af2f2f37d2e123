"""Where optimising a custom reward starts to hurt."""
