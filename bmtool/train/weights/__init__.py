"""The weights that are trained: where they stand, which process holds what of them, and what is done to them."""
