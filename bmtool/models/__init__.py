"""Building models, checkpoints, attention and heads for packed batches."""
