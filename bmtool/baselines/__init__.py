"""Simpler things to stand beside the model: one component a file, found by its file name."""
