"""How well it does: one component a file, found by its file name."""
