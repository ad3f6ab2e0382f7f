"""How families of models run a batch: packed, in one row or two, or padded."""
