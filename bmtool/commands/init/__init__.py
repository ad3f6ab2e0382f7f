"""`bmtool init`: a look at data, and a commented configuration for it."""
