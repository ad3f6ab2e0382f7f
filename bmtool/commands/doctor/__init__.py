"""`bmtool doctor`: what this machine gives a run, and what is wrong with it."""
