"""Which part of a model is its head, and what comes out of it."""
