"""What a model is made of before it has learned anything, and what it costs."""
