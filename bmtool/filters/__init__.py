"""Which documents stay: one component a file, found by its file name."""
