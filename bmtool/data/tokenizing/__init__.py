"""Tokenizers: learned, saved, extended, and text made into token ids with them."""
