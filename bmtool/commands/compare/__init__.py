"""`bmtool compare`: two artifacts of one kind, or two projects, side by side."""
