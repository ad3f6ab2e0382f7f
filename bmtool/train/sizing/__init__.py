"""How much fits and how long it takes, before a run and when memory is out."""
