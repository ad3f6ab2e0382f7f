"""Artifacts: immutable, self-describing folders that one stage writes and the next one reads."""
