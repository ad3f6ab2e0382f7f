"""Models without a network, which a trained one has to beat."""
