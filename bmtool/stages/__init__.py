"""The five stages: a Config and a run() each."""
