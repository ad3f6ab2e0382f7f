"""Where rows come from: one component a file, found by its file name."""
