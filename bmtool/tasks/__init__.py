"""What fine-tuning learns: one component a file, found by its file name."""
