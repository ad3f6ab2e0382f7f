"""Models on disk: opened, written, and used on new rows."""
