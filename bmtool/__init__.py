"""bmtool: five commands take a team from raw documents to a shipped model."""

__version__ = "0.1.0"
