"""What the smaller commands do: one module a command, called by the command line."""
