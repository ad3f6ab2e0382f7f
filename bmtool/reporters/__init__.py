"""Reporters: where the numbers of a training run are sent besides `metrics.jsonl`, one a file."""
