"""Texts that are alike: sketches, candidates, exact comparison, copies of test rows."""
