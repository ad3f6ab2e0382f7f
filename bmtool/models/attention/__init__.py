"""Attention for packed batches, by itself: tensors in, tensors out."""
