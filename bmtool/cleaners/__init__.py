"""Rewriting texts: one component a file, found by its file name."""
