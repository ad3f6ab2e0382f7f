"""Answers beside what is right: metrics, their intervals, and gates on them."""
