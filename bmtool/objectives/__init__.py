"""What pre-training learns: one component a file, found by its file name."""
