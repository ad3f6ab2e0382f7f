"""Rows on their way into a model: encoded, cut or windowed, and counted where they are."""
