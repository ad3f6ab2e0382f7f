"""Readers of raw files: bytes in, record batches out, and every row that can't be read is rejected by name."""
