"""What a run tells while it goes on, and of itself afterwards."""
