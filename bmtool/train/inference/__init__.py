"""Models that answer and aren't trained: over a split, and read once for a method."""
