"""Formats to ship: one component a file, found by its file name."""
