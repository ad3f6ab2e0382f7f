"""Families of models: one component a file, found by its file name."""
