"""What models learn: examples, batches and losses."""
