"""Ways to learn a task: one component a file, found by its file name."""
