"""Models in another format, with the proof that they are the same."""
