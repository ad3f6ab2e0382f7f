"""Ways to find copies: one component a file, found by its file name."""
