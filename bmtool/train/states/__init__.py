"""Where a run is: its saved states, and what happens when a step is of no use."""
