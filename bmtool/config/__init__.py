"""Reading configuration: YAML with places, strict settings, units, references. Imports nothing heavy."""
