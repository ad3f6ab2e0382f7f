"""Single operations that torch has no fast form of."""
