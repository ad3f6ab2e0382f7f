"""Learning a vocabulary: one component a file, found by its file name."""
