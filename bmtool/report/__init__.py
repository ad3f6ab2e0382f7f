"""Tables, plots, one self-contained HTML page, the model card."""
